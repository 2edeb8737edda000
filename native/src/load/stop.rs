//! How a load ends early or changes its pace, and what is said of it while it runs and at its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use crate::load::arrivals::Passes;
use crate::load::functions::Spent;
use crate::os::socket::Waker;

/// What is reported while the load runs. All hits that ended before the time are among the rows in the file.
#[derive(Debug, PartialEq)]
pub enum Event {
    Tick {
        second: i64,
        state: State,
    },
    Flush {
        until_ns: i64,
        rows: u64,
    },
    /// The loop does not come back to its clock: since when (since the run's start), for how long so far, at which step, and what it does.
    Stood {
        since_ns: i64,
        stood_ns: i64,
        step: usize,
        doing: &'static str,
    },
}

/// Where the load stands. `ran_ns`: how long it ran, once it has ended and only the drain is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub rows: u64,
    pub users: u32,
    /// The most at once since the last time this was asked.
    pub users_peak: u32,
    pub in_flight: u32,
    /// The longest that anything due had to wait for the loop, since the last time this was asked.
    pub lag_ns: i64,
    pub passes: Passes,
    /// By functions of Python, since the last time this was asked.
    pub python: Spent,
    pub ran_ns: Option<i64>,
}

/// How the load ended: users and hits in flight are those at its end, before the drain.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// A stop was asked for.
    pub stopped: bool,
    pub state: State,
    /// Of each step: attempts, and how often its conditions said no.
    pub steps: Vec<(u64, u64)>,
    /// Hits that the network conditioner was asked to treat.
    pub conditioned: u64,
}

/// Ends a load early, or changes its pace, from any thread.
pub struct Stop {
    asked: AtomicBool,
    over: AtomicBool,
    changed: AtomicBool,
    change: Mutex<Option<(i64, Receiver<Vec<i64>>)>>,
    pub waker: Arc<Waker>,
}

impl Stop {
    pub fn new() -> std::io::Result<Self> {
        let (asked, over, changed) = Default::default();
        Ok(Stop { asked, over, changed, change: Mutex::new(None), waker: Arc::new(Waker::new()?) })
    }

    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// The load's time is over now, as if it had been planned so.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Passes that are due after `from_ns` are due at the times of `source` instead.
    pub fn change(&self, from_ns: i64, source: Receiver<Vec<i64>>) {
        if let Ok(mut change) = self.change.lock() {
            *change = Some((from_ns, source));
        }
        self.changed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// The change that was asked for since the last question.
    pub fn take_change(&self) -> Option<(i64, Receiver<Vec<i64>>)> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.change.lock().ok()?.take()
    }
}
