//! Messages that were sent and have no answer yet: `loadflow/engine/protocols/running/correlation.py` again.

use std::collections::{BTreeSet, HashMap};

use crate::http::checks::short;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::orders::{Observed, Orders};
use crate::values::words::{quoted, with_commas};

const MOST: usize = 10_000; // of one user

struct Sent {
    name: String,
    start_ns: i64,
    due_ns: i64,
    timeout_s: f64,
}

/// One user's. Each message that is expected ends as one observed hit, whatever happens.
pub struct Correlations {
    method: &'static str,
    sent: HashMap<String, Sent>,
    due: BTreeSet<(i64, String)>,
}

impl Correlations {
    pub fn new(method: &'static str) -> Self {
        Correlations { method, sent: HashMap::new(), due: BTreeSet::new() }
    }

    pub fn count(&self) -> u32 {
        self.sent.len() as u32
    }

    /// Starts to wait for `key`.
    pub fn expect(&mut self, key: &str, name: &str, timeout_s: f64, now_ns: i64) -> Result<(), Failure> {
        if self.sent.contains_key(key) {
            let text = format!("{} is still waited for; give each message a value of its own, e.g. ${{uuid()}}", quoted(key));
            return Err(Failure::new(Outcome::Template, text));
        }
        if self.sent.len() >= MOST {
            let text = format!("{} messages of this user have no answer yet", with_commas(MOST as u64));
            return Err(Failure::new(Outcome::TooLarge, text));
        }
        let due_ns = now_ns.saturating_add((timeout_s * 1e9) as i64);
        self.due.insert((due_ns, key.to_owned()));
        self.sent.insert(key.to_owned(), Sent { name: name.to_owned(), start_ns: now_ns, due_ns, timeout_s });
        Ok(())
    }

    /// Whether the user waited for it.
    pub fn answered(&mut self, key: &str, received: u64, orders: &mut Orders) -> bool {
        let Some(sent) = self.forget(key) else { return false };
        self.tell(sent, received, None, orders);
        true
    }

    /// It was not sent after all.
    pub fn take_back(&mut self, key: &str) {
        self.forget(key);
    }

    pub fn fail_all(&mut self, failure: &Failure, orders: &mut Orders) {
        for (_, key) in std::mem::take(&mut self.due) {
            if let Some(sent) = self.sent.remove(&key) {
                self.tell(sent, 0, Some(failure.clone()), orders);
            }
        }
    }

    pub fn next_due_ns(&self) -> Option<i64> {
        self.due.first().map(|(due_ns, _)| *due_ns)
    }

    /// Ends those that are late.
    pub fn expire(&mut self, orders: &mut Orders) {
        while self.next_due_ns().is_some_and(|due_ns| due_ns <= orders.now_ns) {
            let Some((_, key)) = self.due.pop_first() else { return };
            if let Some(sent) = self.sent.remove(&key) {
                let text = format!("no answer within {} s", short(sent.timeout_s));
                self.tell(sent, 0, Some(Failure::new(Outcome::Timeout, text)), orders);
            }
        }
    }

    fn forget(&mut self, key: &str) -> Option<Sent> {
        let sent = self.sent.remove(key)?;
        self.due.remove(&(sent.due_ns, key.to_owned()));
        Some(sent)
    }

    fn tell(&self, sent: Sent, received: u64, failure: Option<Failure>, orders: &mut Orders) {
        orders.observed(Observed { user: None, method: self.method, name: sent.name, start_ns: sent.start_ns, received, failure });
    }
}
