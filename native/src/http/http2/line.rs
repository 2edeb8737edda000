//! A connection that speaks HTTP/2: between its socket and its session.

use super::Session;
use crate::os::wire::{Trouble, Wire};

pub struct Open {
    pub session: Session,
    pub wire: Wire,
    /// The peer will send no more.
    pub ended: bool,
    /// Why a write failed: the server may have sent the reason before.
    pub deaf: Option<Trouble>,
    /// Requests that were asked and may not have left yet.
    pub leaving: Vec<usize>,
}

impl Open {
    pub fn new(session: Session, wire: Wire) -> Self {
        Open { session, wire, ended: false, deaf: None, leaving: Vec::new() }
    }

    /// Writes what the session has ready. True: there is more of it.
    pub fn flush(&mut self) -> bool {
        if self.deaf.is_some() {
            return false;
        }
        let Open { session, wire, .. } = self;
        let done = session.unsent(|bytes| {
            let mut sent = 0;
            let done = wire.write(bytes, &mut sent);
            bytes.drain(..sent);
            done
        });
        match done {
            Ok(()) => session.has_more(),
            Err(Trouble::Later) => false,
            Err(trouble) => {
                self.deaf = Some(trouble);
                false
            }
        }
    }

    /// Whether a short read means that nothing more is there now: then no read is needed to find that out.
    pub fn short_read_is_all(&self) -> bool {
        self.wire.tls.is_none() && !self.ended
    }
}
