//! Names to addresses, on threads of their own; one lookup serves all that wait for it, and those of the next second.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::os::socket::Waker;

const KEPT_NS: i64 = 1_000_000_000;

pub type Found = Result<Vec<SocketAddr>, String>;
type Key = (String, u16);

enum Entry {
    Pending(Vec<u32>),
    Known { found: Found, until_ns: i64 },
}

pub struct Resolver {
    entries: HashMap<Key, Entry>,
    answers: Receiver<(Key, Found)>,
    sender: Sender<(Key, Found)>,
    waker: Arc<Waker>,
}

impl Resolver {
    pub fn new(waker: Arc<Waker>) -> Self {
        let (sender, answers) = channel();
        Resolver { entries: HashMap::new(), answers, sender, waker }
    }

    /// The addresses, or None: then `user` is among those that `take` gives when they are known.
    pub fn look_up(&mut self, host: &str, port: u16, user: u32, now_ns: i64) -> Option<Found> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Ok(vec![SocketAddr::new(address, port)]));
        }
        let key = (host.to_owned(), port);
        match self.entries.get_mut(&key) {
            Some(Entry::Known { found, until_ns }) if now_ns < *until_ns => return Some(found.clone()),
            Some(Entry::Pending(waiting)) => {
                waiting.push(user);
                return None;
            }
            _ => {}
        }
        self.entries.insert(key.clone(), Entry::Pending(vec![user]));
        let (sender, waker) = (self.sender.clone(), self.waker.clone());
        let asked = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            let found = key.to_socket_addrs().map(Iterator::collect).map_err(|error| words(&error));
            if sender.send((key, found)).is_ok() {
                waker.wake();
            }
        });
        match asked {
            Ok(_) => None,
            Err(error) => {
                self.entries.remove(&(host.to_owned(), port));
                Some(Err(error.to_string()))
            }
        }
    }

    /// The users whose lookups are done; each asks again, and is answered from memory.
    pub fn take(&mut self, now_ns: i64) -> Vec<u32> {
        let mut ready = Vec::new();
        while let Ok((key, found)) = self.answers.try_recv() {
            if let Some(Entry::Pending(waiting)) = self.entries.insert(key, Entry::Known { found, until_ns: now_ns + KEPT_NS }) {
                ready.extend(waiting);
            }
        }
        ready
    }
}

/// What the system says, without Rust's words before it.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}
