//! A connection that speaks HTTP/2: between its socket and its session.

use super::head::head_of;
use super::{Lost, Session};
use crate::http::carrier::{Carrier, Heads, Heard, Ridden, Rooms};
use crate::http::reading::{Progress, Reader};
use crate::os::wire::{Trouble, Wire};
use crate::plan::Place;
use crate::plan::outcome::{Failure, broken};

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
}

impl Carrier for Open {
    type Head = http::Request<()>;

    fn heads(all: &mut Heads) -> &mut Vec<Option<Self::Head>> {
        &mut all.http2
    }

    fn head_of(lines: &[u8], place: &Place) -> Result<Self::Head, Failure> {
        head_of(lines, place)
    }

    fn poll(&mut self) {
        self.session.poll();
    }

    fn next_moved(&mut self) -> Option<usize> {
        self.session.next_moved()
    }

    fn has_moved(&self) -> bool {
        self.session.has_moved()
    }

    fn flood(&self) -> Option<Failure> {
        self.session.is_flooded().then(Session::flood)
    }

    fn is_usable(&mut self) -> bool {
        self.session.is_usable()
    }

    fn most(&self) -> Option<usize> {
        self.session.most()
    }

    fn has_answered(&self) -> bool {
        self.session.has_answered()
    }

    fn ask(
        &mut self,
        user: u32,
        head: impl FnOnce() -> Result<Self::Head, Failure>,
        body: &[u8],
        _: bool,
        begin: impl FnOnce(&mut Reader),
    ) -> Result<Option<usize>, Lost> {
        self.session.ask(user, head, body, begin)
    }

    fn go_on(&mut self, at: usize, body: &[u8]) -> Result<Progress, Lost> {
        self.session.go_on(at, body)
    }

    fn request(&mut self, at: usize) -> Ridden<'_> {
        let stream = &mut self.session.streams[at];
        Ridden { user: stream.user, reader: &mut stream.reader, has_left: &mut stream.has_left }
    }

    fn end(&mut self, at: usize) -> (u64, u64) {
        self.session.end(at)
    }

    fn all(&self) -> Vec<usize> {
        self.session.all().collect()
    }

    fn is_under_way(&self, at: usize) -> bool {
        self.session.is_under_way(at)
    }

    fn has_heard_since(&self, at: usize) -> bool {
        self.session.has_heard_since(at)
    }

    fn flush(&mut self) -> bool {
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

    fn is_flushed(&self) -> bool {
        self.session.is_flushed()
    }

    fn is_asked(&self, at: usize, body: &[u8]) -> bool {
        self.session.streams[at].is_asked(body)
    }

    fn leaving(&mut self) -> &mut Vec<usize> {
        &mut self.leaving
    }

    fn take_deaf(&mut self) -> Option<Failure> {
        self.deaf.take().map(broken)
    }

    fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    fn short_read_is_all(&self) -> bool {
        self.wire.tls.is_none() && !self.ended
    }

    fn read(&mut self, rooms: Rooms) -> Heard {
        match self.wire.read(rooms.block) {
            Ok(0) => {
                self.ended = true;
                Heard::End { is_new: self.session.ended() }
            }
            Ok(count) => {
                self.session.feed(&rooms.block[..count]);
                Heard::Some { more: count == rooms.block.len() }
            }
            Err(Trouble::Later) => Heard::Nothing,
            Err(Trouble::Busy) => Heard::Busy,
            Err(trouble) => Heard::Failed(broken(trouble)),
        }
    }
}
