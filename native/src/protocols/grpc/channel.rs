//! A connection of `grpc_user` and the calls on it, each a stream of HTTP/2.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::http::http2::driven::{Driven, State};
use crate::http::http2::moves::{Moves, Own};
use crate::http::http2::{LEFT_BEHIND_BYTES, MOST_BESIDE_BYTES, Word};
use crate::plan::Place;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::Link;
use crate::protocols::grpc::call::{Call, Polled, Stop};
use crate::protocols::grpc::status::Status;
use crate::protocols::orders::{Observed, Orders};

pub struct Channel {
    pub link: Link,
    pub place: Place,
    /// None: it is not connected yet, and has until then. Its crate is polled where something moved: bytes came, or it was told something.
    driven: Option<Driven>,
    pub connect_due_ns: i64,
    calls: Vec<Slot>,
    free: Vec<usize>,
    /// Those for which there is no stream yet, in their order.
    waiting: VecDeque<usize>,
    /// How many streams are open.
    under_way: usize,
    moves: Arc<Moves>,
    /// Its last word, once it was asked for.
    over: Option<Word>,
    /// Since an answer was whole: bytes, those of bodies, and how many others may be.
    received: u64,
    body_bytes: u64,
    may_be_beside: u64,
    /// Calls in a row that were late.
    pub unanswered: u32,
    /// It takes no more calls.
    pub is_leaving: bool,
}

/// A place for one call after the other.
#[derive(Default)]
struct Slot {
    call: Option<Box<Call>>,
    is_asked: bool,
    waker: Option<(Arc<Own>, Waker)>,
}

/// What happened to a call.
pub enum Event {
    First(Observed),
    Over(Box<Call>, Stop),
}

impl Channel {
    pub fn new(link: Link, place: Place, connect_due_ns: i64) -> Self {
        Channel {
            link,
            place,
            driven: None,
            connect_due_ns,
            calls: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            under_way: 0,
            moves: Arc::default(),
            over: None,
            received: 0,
            body_bytes: 0,
            may_be_beside: MOST_BESIDE_BYTES,
            unanswered: 0,
            is_leaving: false,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.driven.is_some()
    }

    /// gRPC's library, too, waits for the server's settings before it makes a second call.
    pub fn connected(&mut self) {
        self.driven.insert(Driven::uncounted(1)).moved.set();
    }

    pub fn begin(&mut self, call: Box<Call>) {
        if self.has_no_calls() {
            self.forgive();
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Slot::default());
            self.calls.len() - 1
        });
        let slot = &mut self.calls[at];
        (slot.call, slot.is_asked) = (Some(call), false);
        self.waiting.push_back(at);
    }

    pub fn has_no_calls(&self) -> bool {
        self.free.len() == self.calls.len()
    }

    /// The call of a user, which ends here; where its stream is open, it is reset.
    pub fn take_call_of(&mut self, user: u32) -> Option<Box<Call>> {
        let is_his = |slot: &Slot| slot.call.as_ref().is_some_and(|call| call.caller.user == user);
        let at = self.calls.iter().position(is_his)?;
        self.take_call(at, false)
    }

    /// All calls, which end here.
    pub fn take_calls(&mut self) -> impl Iterator<Item = Box<Call>> + '_ {
        (0..self.calls.len()).filter_map(|at| self.take_call(at, false))
    }

    fn take_call(&mut self, at: usize, is_whole: bool) -> Option<Box<Call>> {
        let slot = &mut self.calls[at];
        let mut call = slot.call.take()?;
        let moved = self.driven.as_ref().map(|driven| &driven.moved);
        let was_quiet = moved.is_some_and(|moved| !moved.is_set());
        call.reset();
        let has_no_more = moved.is_some_and(|moved| !moved.is_set());
        call.hang_up();
        // the crate wants to clear the stream away: where nothing else is under way, that has time until the next one
        if let Some(moved) = moved.filter(|_| was_quiet && has_no_more && self.under_way == 1) {
            moved.take();
        }
        self.free.push(at);
        if !take(&mut slot.is_asked) {
            self.waiting.retain(|one| *one != at);
            return Some(call);
        }
        self.under_way -= 1;
        if is_whole {
            self.forgive();
        } else {
            self.may_be_beside += LEFT_BEHIND_BYTES;
        }
        Some(call)
    }

    /// What came beside answers is no flood; what may still come of calls that were given up is not either.
    fn forgive(&mut self) {
        let beside = self.received.saturating_sub(16 * self.body_bytes);
        self.may_be_beside = self.may_be_beside.saturating_sub(beside).max(MOST_BESIDE_BYTES);
        (self.received, self.body_bytes) = (0, 0);
    }

    fn is_flooded(&self) -> bool {
        self.received > self.may_be_beside + 16 * self.body_bytes
    }

    pub fn feed(&mut self, block: &[u8]) {
        self.received += block.len() as u64;
        if let Some(driven) = &mut self.driven {
            driven.feed(block);
            driven.moved.set();
        }
    }

    /// The peer will send no more.
    pub fn ended(&mut self) {
        if let Some(driven) = &mut self.driven {
            driven.ended();
            driven.moved.set();
        }
    }

    /// Sends what is due.
    pub fn flush(&mut self, orders: &mut Orders) {
        let Some(driven) = &mut self.driven else { return };
        let mut has_more = driven.moved.take();
        loop {
            if has_more {
                driven.poll();
            }
            driven.unsent(|bytes| {
                if !bytes.is_empty() {
                    orders.send(self.link, bytes);
                    bytes.clear();
                }
            });
            has_more = driven.has_more();
            if !has_more {
                return;
            }
        }
    }

    /// Goes on as far as it goes with what is there; what happened is added to the events. False: it can't be used any more, but by the
    /// calls that are left.
    pub fn advance(&mut self, now_ns: i64, events: &mut Vec<Event>) -> bool {
        let Some(driven) = &self.driven else { return true };
        let mut moved = driven.moved.take();
        loop {
            if moved && let Some(driven) = &mut self.driven {
                driven.poll();
            }
            while let Some(at) = self.moves.next() {
                if let Some((own, _)) = &self.calls[at].waker {
                    own.unlist();
                }
                if self.calls[at].is_asked {
                    self.poll_call(at, now_ns, events);
                }
            }
            while self.has_room()
                && let Some(at) = self.waiting.pop_front()
            {
                if !self.poll_call(at, now_ns, events) {
                    self.waiting.push_front(at);
                    break;
                }
            }
            if self.is_flooded() {
                for call in self.take_calls() {
                    let text = "frames without end, and no whole answer among them";
                    events.push(Event::Over(call, Stop::Failure(Failure::new(Outcome::Protocol, text))));
                }
                return false;
            }
            moved = self.driven.as_ref().is_some_and(|driven| driven.moved.take());
            if !moved && self.moves.is_empty() {
                return self.is_usable();
            }
        }
    }

    /// Whether another stream may be opened, or the reason is to be told why there can be none.
    fn has_room(&self) -> bool {
        match self.driven.as_ref().map(|driven| &driven.state) {
            Some(State::Open(sender, _)) => self.under_way < sender.current_max_send_streams(),
            Some(State::Over) => true,
            _ => false,
        }
    }

    fn is_usable(&mut self) -> bool {
        let Some(driven) = &mut self.driven else { return true };
        match &mut driven.state {
            State::Opening(_) => true,
            State::Over => false,
            State::Open(sender, _) => match sender.poll_ready(&mut Context::from_waker(&driven.waker)) {
                Poll::Ready(ready) => ready.is_ok(),
                Poll::Pending => true, // no room for another stream now
            },
        }
    }

    /// False: it has no stream, and there is no room for one.
    fn poll_call(&mut self, at: usize, now_ns: i64, events: &mut Vec<Event>) -> bool {
        let Channel { calls, driven: Some(driven), over, under_way, body_bytes, moves, .. } = self else { return false };
        let slot = &mut calls[at];
        let Some(call) = &mut slot.call else { return true };
        let (_, waker) = slot.waker.get_or_insert_with(|| Own::new(at, moves));
        let polled = call.poll(driven, over, now_ns, body_bytes, &mut Context::from_waker(waker));
        if !slot.is_asked && call.has_stream() {
            slot.is_asked = true;
            *under_way += 1;
        }
        if let Some(observed) = call.take_first() {
            events.push(Event::First(observed));
        }
        match polled {
            Polled::NoRoom => return false,
            Polled::More => {}
            Polled::Over(stop) => {
                let is_whole = matches!(&stop, Stop::Status(status) if status.is_of_server());
                if let Some(call) = self.take_call(at, is_whole) {
                    events.push(Event::Over(call, stop));
                }
            }
        }
        true
    }

    /// Why a call is over whose connection is.
    pub fn disconnected(&self, failure: Option<&Failure>) -> Status {
        let has_heard = self.driven.as_ref().is_some_and(Driven::has_heard);
        match failure {
            Some(failure) if !has_heard => Status::unconnected(failure),
            None if !has_heard => Status::unconnected(&Failure::new(Outcome::Closed, "Socket closed")),
            failure => Status::disconnected(failure),
        }
    }
}
