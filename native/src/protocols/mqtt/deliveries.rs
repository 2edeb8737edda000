//! How long messages are under way: what publishers of this process sent, until subscribers of this process have it.
//! `loadflow/engine/protocols/mqtt/delivery.py` again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use crate::http::checks::short;
use crate::plan::mqtt::DeliveryRule;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::mqtt::inbox::Arrived;
use crate::protocols::mqtt::request::token_at;
use crate::protocols::orders::{Observed, Orders};
use crate::values::words::counted;

/// The user property that carries a token.
pub const PROPERTY: &str = "loadflow-delivery";
pub const METHOD: &str = "MQTT";
/// Tokens that are waited for.
const MOST_UNDER_WAY: usize = 100_000;

/// One process's, shared by its loops.
#[derive(Default)]
struct Shared {
    /// Locked only where a message has a token.
    table: Mutex<Deliveries>,
    /// Where tokens may lie in a JSON payload: rules of which each has another path.
    paths: RwLock<Vec<Arc<DeliveryRule>>>,
}

#[derive(Default)]
struct Deliveries {
    under_way: HashMap<Key, UnderWay>,
    users: u64,
    serials: u64,
}

/// The path at which the token lies, "" for the property; the token.
type Key = (Arc<str>, String);

struct UnderWay {
    serial: u64,
    rule: Arc<DeliveryRule>,
    start_ns: i64,
    seen_by: Vec<u64>,
}

static PROCESSES: Mutex<Vec<(String, Weak<Shared>)>> = Mutex::new(Vec::new());

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One user's part in it.
pub struct Own {
    shared: Arc<Shared>,
    process: String,
    number: u64,
    /// What the user published, by time-out, in the order of time.
    sent: Vec<(i64, VecDeque<Sent>)>,
}

struct Sent {
    start_ns: i64,
    serial: u64,
    key: Key,
}

impl Own {
    pub fn new(process: &str) -> Self {
        let mut processes = locked(&PROCESSES);
        processes.retain(|(_, shared)| shared.strong_count() > 0);
        let known = processes.iter().find(|(name, _)| name == process).and_then(|(_, shared)| shared.upgrade());
        let shared = known.unwrap_or_else(|| {
            let made = Arc::<Shared>::default();
            processes.push((process.to_owned(), Arc::downgrade(&made)));
            made
        });
        let number = {
            let mut table = locked(&shared.table);
            table.users += 1;
            table.users
        };
        Own { shared, process: process.to_owned(), number, sent: Vec::new() }
    }

    pub fn new_token(&self) -> String {
        let mut table = locked(&self.shared.table);
        table.serials += 1;
        format!("{}-{}", self.process, table.serials)
    }

    /// To be called before the message goes out: its delivery may be faster than its acknowledgement.
    pub fn sent(&mut self, rule: &Arc<DeliveryRule>, token: &str, orders: &mut Orders) -> Option<u64> {
        if !rule.path.is_empty() {
            self.look_at(rule);
        }
        let mut table = locked(&self.shared.table);
        for (_, queue) in &mut self.sent {
            while queue.front().is_some_and(|sent| !table.waits_for(sent)) {
                queue.pop_front();
            }
        }
        if table.under_way.len() >= MOST_UNDER_WAY {
            let text = format!("not measured: the engine process already waits for {}", counted(MOST_UNDER_WAY as u64, "message"));
            observe(rule, orders.now_ns, 0, Some(Failure::new(Outcome::Unfinished, text)), orders);
            return None;
        }
        table.serials += 1;
        let (serial, start_ns) = (table.serials, orders.now_ns);
        let key: Key = (rule.path.as_str().into(), token.to_owned());
        table.under_way.insert(key.clone(), UnderWay { serial, rule: rule.clone(), start_ns, seen_by: Vec::new() });
        let timeout_ns = (rule.timeout_s * 1e9) as i64;
        let queue = match self.sent.iter().position(|(one, _)| *one == timeout_ns) {
            Some(at) => &mut self.sent[at].1,
            None => {
                self.sent.push((timeout_ns, VecDeque::new()));
                &mut self.sent.last_mut()?.1
            }
        };
        queue.push_back(Sent { start_ns, serial, key });
        Some(serial)
    }

    fn look_at(&self, rule: &Arc<DeliveryRule>) {
        let is_known = |paths: &Vec<Arc<DeliveryRule>>| paths.iter().any(|one| one.path == rule.path);
        if !is_known(&self.shared.paths.read().unwrap_or_else(PoisonError::into_inner)) {
            let mut paths = self.shared.paths.write().unwrap_or_else(PoisonError::into_inner);
            if !is_known(&paths) {
                paths.push(rule.clone());
            }
        }
    }

    /// A message is here: the tokens in its properties and in its payload.
    pub fn arrived(&self, message: &Arrived, orders: &mut Orders) {
        let size = message.payload.len() as u64;
        for (_, token) in message.user.iter().filter(|(name, _)| name == PROPERTY) {
            self.received("", token.clone(), size, orders);
        }
        for rule in self.shared.paths.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(token) = token_at(&message.payload, &rule.cut) {
                self.received(&rule.path, token, size, orders);
            }
        }
    }

    /// The publish failed, and is recorded as that.
    pub fn not_sent(&mut self, serial: u64) {
        let mut table = locked(&self.shared.table);
        for (_, queue) in &mut self.sent {
            if let Some(at) = queue.iter().rposition(|sent| sent.serial == serial) {
                if let Some(sent) = queue.remove(at) {
                    table.forget(&sent);
                }
                return;
            }
        }
    }

    /// Each subscriber counts once: brokers may repeat a message of QoS 1.
    fn received(&self, path: &str, token: String, received: u64, orders: &mut Orders) {
        let mut table = locked(&self.shared.table);
        let key: Key = (path.into(), token);
        let Some(entry) = table.under_way.get_mut(&key) else { return };
        if entry.seen_by.contains(&self.number) {
            return;
        }
        entry.seen_by.push(self.number);
        let (rule, start_ns) = (entry.rule.clone(), entry.start_ns);
        if entry.seen_by.len() >= rule.subscribers {
            table.under_way.remove(&key);
        }
        drop(table);
        observe(&rule, start_ns, received, None, orders);
    }

    pub fn next_due_ns(&self) -> Option<i64> {
        self.sent.iter().filter_map(|(timeout_ns, queue)| queue.front().map(|sent| sent.start_ns + timeout_ns)).min()
    }

    /// Gives up what is due.
    pub fn expire(&mut self, orders: &mut Orders) {
        let mut table = locked(&self.shared.table);
        for (timeout_ns, queue) in &mut self.sent {
            while queue.front().is_some_and(|sent| sent.start_ns + *timeout_ns <= orders.now_ns) {
                let Some(sent) = queue.pop_front() else { break };
                let Some(UnderWay { rule, start_ns, seen_by, .. }) = table.forget(&sent) else { continue };
                if rule.required {
                    let mut text = format!("not delivered within {} s", short(rule.timeout_s));
                    if rule.subscribers > 1 {
                        text.push_str(&format!(" to {}, only to {}", counted(rule.subscribers as u64, "subscriber"), seen_by.len()));
                    }
                    observe(&rule, start_ns, 0, Some(Failure::new(Outcome::Timeout, text)), orders);
                }
            }
        }
    }

    /// The user goes: his hits can't be recorded any more.
    pub fn leave(&mut self) {
        let mut table = locked(&self.shared.table);
        for sent in self.sent.drain(..).flat_map(|(_, queue)| queue) {
            table.forget(&sent);
        }
    }
}

impl Deliveries {
    fn waits_for(&self, sent: &Sent) -> bool {
        self.under_way.get(&sent.key).is_some_and(|entry| entry.serial == sent.serial)
    }

    fn forget(&mut self, sent: &Sent) -> Option<UnderWay> {
        if self.waits_for(sent) { self.under_way.remove(&sent.key) } else { None }
    }
}

fn observe(rule: &DeliveryRule, start_ns: i64, received: u64, failure: Option<Failure>, orders: &mut Orders) {
    orders.observed(Observed { user: None, method: METHOD, name: rule.name.clone(), start_ns, received, failure });
}
