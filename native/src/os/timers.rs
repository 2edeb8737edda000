//! What is due when: a heap of (time, whom, which of his waits).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A user's pause is over. The number is that of the pause: the timer of a pause that was given up is ignored.
    Pause { user: u32, number: u32 },
    /// Look whether a user's hit has taken too long.
    Timeout { user: u32 },
    /// A user's client wanted to be asked.
    Alarm { user: u32 },
    /// Look whether a connection that many users share wants to do something by itself.
    Line { line: u32, serial: u32 },
}

#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(i64, Due)>>,
}

impl Timers {
    pub fn add(&mut self, due_ns: i64, what: Due) {
        self.heap.push(Reverse((due_ns, what)));
    }

    pub fn next_ns(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((due_ns, _))| *due_ns)
    }

    pub fn pop_due(&mut self, now_ns: i64) -> Option<(i64, Due)> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
