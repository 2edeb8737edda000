//! Which requests of a connection may go on: noted by the wakers that the crate is given.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Their places, each once, in the order in which they moved.
#[derive(Default)]
pub struct Moves(Mutex<VecDeque<usize>>);

impl Moves {
    fn list(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn next(&self) -> Option<usize> {
        self.list().pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }
}

/// The waker of one place.
pub struct Own {
    at: usize,
    is_listed: AtomicBool,
    moves: Arc<Moves>,
}

impl Own {
    pub fn new(at: usize, moves: &Arc<Moves>) -> (Arc<Own>, Waker) {
        let own = Arc::new(Own { at, is_listed: AtomicBool::new(false), moves: moves.clone() });
        (own.clone(), own.into())
    }

    pub fn list(&self) {
        if !self.is_listed.swap(true, Ordering::Relaxed) {
            self.moves.list().push_back(self.at);
        }
    }

    /// It was taken from the list.
    pub fn unlist(&self) {
        self.is_listed.store(false, Ordering::Relaxed);
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.list();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list();
    }
}
