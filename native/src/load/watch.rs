//! Watches a loop from a thread of its own: if the loop stands still, its rows go to the file, and its current work is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::load::hitlog::Shared;
use crate::load::stop::Event;
use crate::os::socket::monotonic_ns;

/// A loop that did not come back to its clock for so long stands.
const STANDS_NS: i64 = 1_000_000_000;
const LOOK: Duration = Duration::from_millis(250);

/// What a loop is at. Each but the first two may take long, and a target decides how long.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
pub enum At {
    /// In the kernel, until something happens.
    Waiting = 0,
    Running = 1,
    Reading = 2,
    Cookies = 3,
    Judging = 4,
    Recording = 5,
    Python = 6,
}

const WORDS: [&str; 7] = [
    "waiting",
    "sending requests",
    "reading an answer",
    "taking the cookies of an answer",
    "decoding an answer for assertions and extracts",
    "writing down a failure",
    "running a function of the scenario",
];

/// Written by the loop, read by its watch.
#[derive(Default)]
pub struct Doing {
    at: AtomicU8,
    step: AtomicU32,
    /// When it last came back to its clock.
    alive_ns: AtomicI64,
    over: AtomicBool,
}

impl Doing {
    pub fn alive(&self, now_ns: i64) {
        self.alive_ns.store(now_ns, Relaxed);
        self.at.store(At::Running as u8, Relaxed);
    }

    pub fn at(&self, at: At) {
        self.at.store(at as u8, Relaxed);
    }

    pub fn step(&self, step: usize) {
        self.step.store(step as u32, Relaxed);
    }

    fn words(&self) -> &'static str {
        WORDS.get(usize::from(self.at.load(Relaxed))).copied().unwrap_or_default()
    }
}

/// Ends with the load; a `Stood` is sent once for each time that the loop stands.
pub struct Watch {
    doing: Arc<Doing>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(doing: Arc<Doing>, log: Shared, origin_ns: i64, events: Sender<Event>) -> std::io::Result<Self> {
        doing.alive(monotonic_ns() - origin_ns);
        let seen = doing.clone();
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || watch(&seen, &log, origin_ns, &events))?;
        Ok(Watch { doing, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.doing.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(doing: &Doing, log: &Shared, origin_ns: i64, events: &Sender<Event>) {
    let mut told_ns = None;
    while !doing.over.load(Relaxed) {
        std::thread::park_timeout(LOOK);
        let alive_ns = doing.alive_ns.load(Relaxed);
        let stood_ns = monotonic_ns() - origin_ns - alive_ns;
        let waits = doing.at.load(Relaxed) == At::Waiting as u8;
        if waits || stood_ns < STANDS_NS || told_ns == Some(alive_ns) || doing.over.load(Relaxed) {
            continue;
        }
        told_ns = Some(alive_ns);
        let _ = log.flush(); // the loop's own flush will say what is wrong
        let step = doing.step.load(Relaxed) as usize;
        let _ = events.send(Event::Stood { since_ns: alive_ns, stood_ns, step, doing: doing.words() });
    }
}
