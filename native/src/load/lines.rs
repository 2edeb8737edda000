//! Connections of HTTP/2 and HTTP/3, on which the requests of many users go, or all that one user asks at once.
//!
//! A user whose request is due takes a connection that has room for it; where there is none he makes one, as he would any other, and those
//! who come meanwhile wait for it. Requests go out together when a connection has had its turn.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::http::carrier::Carrier;
use crate::http::conn::{Conn, Phase};
use crate::http::http2::Session;
use crate::http::{http2, http3};
use crate::load::engine::Loop;
use crate::load::user::User;
use crate::os::wire::words;
use crate::plan::Kept;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome};

/// Marks the events of these connections among those of users.
pub const LINE: u32 = 1 << 31;
/// Whose connections are all users'.
pub const ALL: u32 = u32::MAX;
/// The serial of none.
const NOBODY: u32 = u32::MAX;

/// A user's place on a connection. `at`: that of his request among those under way; None: it waits.
#[derive(Clone, Copy, Debug)]
pub struct Ride {
    pub line: usize,
    pub at: Option<usize>,
}

/// One that is there; of HTTP/3 also one that is being made.
pub enum Open {
    Http2(Box<http2::line::Open>),
    Http3(Box<http3::line::Open>),
}

impl Open {
    fn end(&mut self, place: usize) -> (u64, u64) {
        match self {
            Open::Http2(open) => open.end(place),
            Open::Http3(open) => open.end(place),
        }
    }

    fn has_heard_since(&self, place: usize) -> bool {
        match self {
            Open::Http2(open) => open.has_heard_since(place),
            Open::Http3(open) => open.has_heard_since(place),
        }
    }
}

#[derive(Default)]
pub struct Line {
    pub serial: u32,
    pub origin: usize,
    pub owner: u32,
    /// Who makes the connection, how far he is, and by whom it is to go.
    pub opener: Option<u32>,
    pub making: Option<Phase>,
    proxy: Option<Rc<Proxy>>,
    pub open: Option<Open>,
    /// Requests on it, those included that wait.
    pub riders: usize,
    pub waiting: VecDeque<u32>,
    /// So many may be on it, and what the server said last of that.
    pub most: usize,
    pub told: Option<usize>,
    /// Others may find it.
    is_listed: bool,
    /// It takes no more requests, and ends with those that it has.
    pub closes: bool,
    /// It is to have a turn; it has one.
    pub is_busy: bool,
    pub is_at_work: bool,
}

impl Line {
    /// Of its events.
    pub fn token(&self, at: usize) -> u64 {
        u64::from(LINE | at as u32) << 32 | u64::from(self.serial)
    }
}

/// All of a loop's.
#[derive(Default)]
pub struct Lines {
    pub all: Vec<Line>,
    free: Vec<usize>,
    /// Those with room, by whose they are.
    listed: HashMap<u32, Vec<usize>>,
    pub busy: Vec<usize>,
    next_serial: u32,
    /// How many requests at once servers take, by origin, as far as they said it.
    pub most: HashMap<usize, usize>,
}

impl Lines {
    pub fn is_busy(&self) -> bool {
        self.busy.iter().any(|at| self.all[*at].is_busy)
    }

    pub fn clear(&mut self) {
        *self = Lines { next_serial: self.next_serial, ..Lines::default() };
    }

    pub fn call(&mut self, at: usize) {
        if !std::mem::replace(&mut self.all[at].is_busy, true) {
            self.busy.push(at);
        }
    }

    /// Lists it where it has room, and takes it off the list where it has none.
    pub fn list(&mut self, at: usize) {
        let line = &mut self.all[at];
        let has_room = !line.closes && line.riders < line.most;
        if line.is_listed == has_room {
            return;
        }
        line.is_listed = has_room;
        let listed = self.listed.entry(line.owner).or_default();
        if has_room {
            listed.push(at);
        } else if let Some(place) = listed.iter().rposition(|one| *one == at) {
            listed.remove(place);
        }
    }

    /// No more requests for it.
    pub fn close(&mut self, at: usize) {
        self.all[at].closes = true;
        self.list(at);
    }

    /// Ends it, if that is its time.
    pub fn settle(&mut self, at: usize) {
        let line = &mut self.all[at];
        if line.closes && line.riders == 0 && !line.is_at_work && line.serial != NOBODY {
            line.open = None;
            line.serial = NOBODY;
            line.is_busy = false;
            self.free.push(at);
        }
    }

    /// A new one, with its maker on it.
    fn add(&mut self, origin: usize, owner: u32, opener: u32, most: usize, closes: bool) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.all.push(Line::default());
            self.all.len() - 1
        });
        self.next_serial = (self.next_serial + 1) % NOBODY;
        let serial = self.next_serial;
        let most = most.min(self.most.get(&origin).map_or(usize::MAX, |most| if owner == ALL { *most } else { usize::MAX }));
        self.all[at] = Line { serial, origin, owner, opener: Some(opener), riders: 1, most, closes, ..Line::default() };
        self.list(at);
        at
    }

    /// One that is the owner's, leads there and has room.
    fn find(&self, owner: u32, origin: usize) -> Option<usize> {
        self.listed.get(&owner)?.iter().rev().copied().find(|at| self.all[*at].origin == origin)
    }
}

impl Loop<'_> {
    fn owner_of(&self, user: &User) -> u32 {
        match self.plan.streams {
            Some(_) => ALL,
            None if user.call.is_help => user.call.of,
            None => user.id,
        }
    }

    /// Finds the user a connection. False: he has to make one.
    pub fn board(&mut self, user: &mut User, id: u32, origin: usize) -> bool {
        self.watch(user, id);
        if let Some(ride) = user.ride {
            return self.lines.all[ride.line].opener != Some(id);
        }
        let owner = self.owner_of(user);
        let Some(line) = self.lines.find(owner, origin) else {
            let most = self.plan.streams.unwrap_or(usize::MAX);
            let line = self.lines.add(origin, owner, id, most, self.plan.kept == Kept::PerRequest);
            user.ride = Some(Ride { line, at: None });
            return false;
        };
        user.ride = Some(Ride { line, at: None });
        let found = &mut self.lines.all[line];
        found.riders += 1;
        found.waiting.push_back(id);
        let is_open = found.opener.is_none();
        self.lines.list(line);
        if is_open {
            user.hit.connect_deadline_ns = None;
            self.lines.call(line);
        } else if user.hit.connect_deadline_ns.is_none() {
            let limit_ns = (self.request_of(user).limits.connect_s * 1e9) as i64;
            user.hit.connect_deadline_ns = Some(self.now_ns() + limit_ns);
            self.watch(user, id);
        }
        true
    }

    /// How far the user is with the connection that he makes.
    pub fn note_making(&mut self, user: &User, at: usize) {
        let Some(ride) = user.ride else { return };
        let line = &mut self.lines.all[ride.line];
        (line.making, line.proxy) = (Some(user.conns[at].phase), user.hit.proxy.clone());
    }

    /// The same of the one that the user waits for.
    pub fn made_for(&self, user: &User) -> (Option<Phase>, Option<Rc<Proxy>>) {
        let line = user.ride.map(|ride| &self.lines.all[ride.line]).filter(|line| line.opener.is_some());
        line.map_or((None, None), |line| (line.making, line.proxy.clone()))
    }

    /// The connection that a user made is there.
    pub fn open_line(&mut self, user: &mut User, id: u32, conn: Conn) {
        let Some(ride) = user.ride else { return };
        let line = &mut self.lines.all[ride.line];
        let Conn { wire, early, .. } = conn;
        let mut session = Session::new(self.lines.most.get(&line.origin).copied());
        session.feed(&early);
        let token = line.token(ride.line);
        user.hit.connect_deadline_ns = None;
        if let Err(error) = self.poller.change(wire.fd(), token) {
            return self.fail(user, id, Failure::new(Outcome::Connect, words(&error)));
        }
        line.opener = None;
        line.open = Some(Open::Http2(Box::new(http2::line::Open::new(session, wire))));
        line.waiting.push_front(id);
        self.lines.call(ride.line);
    }

    /// The user's hit is over, or looks for another connection.
    pub fn get_off(&mut self, user: &mut User, id: u32) {
        let Some(Ride { line: at, at: place }) = user.ride.take() else { return };
        let line = &mut self.lines.all[at];
        line.riders -= 1;
        match (place, &mut line.open) {
            (Some(place), Some(open)) => {
                let (sent, received) = open.end(place);
                user.hit.sent += sent;
                user.hit.received += received;
            }
            _ => line.waiting.retain(|one| *one != id),
        }
        if line.opener == Some(id) {
            line.opener = None;
            line.closes = true;
        }
        self.lines.list(at);
        self.lines.call(at);
        self.lines.settle(at);
    }

    /// Where the peer has said nothing since the user's request went out, nobody else is to wait for it.
    pub fn doubt(&mut self, user: &User) {
        let Some(Ride { line: at, at: Some(place) }) = user.ride else { return };
        if self.lines.all[at].open.as_ref().is_some_and(|open| !open.has_heard_since(place)) {
            self.lines.close(at);
        }
    }

    /// Ends the user's own connections.
    pub fn drop_conns(&mut self, user: &mut User) {
        user.conns.clear();
        if self.plan.streams.is_some() || user.call.is_help {
            return;
        }
        for at in self.lines.listed.remove(&user.id).unwrap_or_default() {
            let line = &mut self.lines.all[at];
            (line.is_listed, line.closes) = (false, true);
            self.lines.settle(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_while_it_has_room_and_its_place_is_given_away_once() {
        let mut lines = Lines::default();
        let at = lines.add(0, ALL, 7, 2, false);
        assert_eq!((lines.find(ALL, 0), lines.find(ALL, 1), lines.find(3, 0)), (Some(at), None, None));
        lines.all[at].riders = 2;
        lines.list(at);
        assert_eq!(lines.find(ALL, 0), None);
        lines.all[at].riders = 1;
        lines.list(at);
        assert_eq!(lines.find(ALL, 0), Some(at));
        lines.close(at);
        lines.settle(at);
        assert_eq!((lines.find(ALL, 0), lines.free.len()), (None, 0), "one is still on it");
        lines.all[at].riders = 0;
        lines.settle(at);
        lines.settle(at);
        let places = [lines.add(0, ALL, 8, 2, false), lines.add(0, ALL, 9, 2, true)];
        assert_eq!(places, [at, at + 1]);
        assert_eq!(lines.find(ALL, 0), Some(at), "the other is for its maker alone");
    }

    #[test]
    fn what_a_server_takes_at_once_holds_for_later_connections_that_users_share() {
        let mut lines = Lines::default();
        lines.most.insert(5, 3);
        let places = [lines.add(5, ALL, 1, 10, false), lines.add(5, ALL, 1, 2, false), lines.add(4, ALL, 1, 10, false)];
        assert_eq!(places.map(|at| lines.all[at].most), [3, 2, 10]);
        let own = lines.add(5, 1, 1, usize::MAX, false);
        assert_eq!(lines.all[own].most, usize::MAX, "requests of one user wait");
    }
}
