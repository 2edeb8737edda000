//! Connections of HTTP/2, on which the requests of many users go, or all that one user asks at once.
//!
//! A user whose request is due takes a connection that has room for it; where there is none he makes one, as he would any other, and those
//! who come meanwhile wait for it. Requests go out together when a connection has had its turn.

use std::collections::{HashMap, VecDeque};
use std::mem::take;
use std::rc::Rc;

use crate::http::conn::{Conn, Got, Phase};
use crate::http::http2::head::head_of;
use crate::http::http2::line::Open;
use crate::http::http2::{Lost, Session};
use crate::http::reading::Progress;
use crate::load::engine::Loop;
use crate::load::user::{Next, User};
use crate::load::watch::At;
use crate::os::turn::Turn;
use crate::os::wire::Trouble;
use crate::plan::Kept;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome, broken};

/// Marks the events of these connections among those of users.
pub const LINE: u32 = 1 << 31;
/// Whose connections are all users'.
const ALL: u32 = u32::MAX;
/// The serial of none.
const NOBODY: u32 = u32::MAX;
/// How often a hit is sent again that a server did not look at because it ended the connection: one that ends connections after so many
/// requests may do so with several at once (curl, too, tries five times).
const MOST_UNSEEN: u8 = 5;
/// The same where it refused this very request: it may have taken fewer at once from now on.
const MOST_REFUSED: u8 = 1;

/// A user's place on a connection. `at`: that of his request among those under way; None: it waits.
#[derive(Clone, Copy, Debug)]
pub struct Ride {
    pub line: usize,
    pub at: Option<usize>,
}

#[derive(Default)]
pub struct Line {
    serial: u32,
    origin: usize,
    owner: u32,
    /// Who makes the connection, how far he is, and by whom it is to go.
    opener: Option<u32>,
    making: Option<Phase>,
    proxy: Option<Rc<Proxy>>,
    open: Option<Box<Open>>,
    /// Requests on it, those included that wait.
    riders: usize,
    waiting: VecDeque<u32>,
    /// So many may be on it, and what the server said last of that.
    most: usize,
    told: Option<usize>,
    /// Others may find it.
    is_listed: bool,
    /// It takes no more requests, and ends with those that it has.
    closes: bool,
    /// It is to have a turn; it has one.
    is_busy: bool,
    is_at_work: bool,
}

/// All of a loop's.
#[derive(Default)]
pub struct Lines {
    all: Vec<Line>,
    free: Vec<usize>,
    /// Those with room, by whose they are.
    listed: HashMap<u32, Vec<usize>>,
    busy: Vec<usize>,
    next_serial: u32,
    /// How many requests at once servers take, by origin, as far as they said it.
    most: HashMap<usize, usize>,
}

impl Lines {
    pub fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Lines { next_serial: self.next_serial, ..Lines::default() };
    }

    fn call(&mut self, at: usize) {
        if !std::mem::replace(&mut self.all[at].is_busy, true) {
            self.busy.push(at);
        }
    }

    /// Lists it where it has room, and takes it off the list where it has none.
    fn list(&mut self, at: usize) {
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
    fn close(&mut self, at: usize) {
        self.all[at].closes = true;
        self.list(at);
    }

    /// Ends it, if that is its time.
    fn settle(&mut self, at: usize) {
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
        let line = user.ride.map(|ride| &self.lines.all[ride.line]).filter(|line| line.open.is_none());
        line.map_or((None, None), |line| (line.making, line.proxy.clone()))
    }

    /// The connection that a user made is there.
    pub fn open_line(&mut self, user: &mut User, id: u32, conn: Conn) {
        let Some(ride) = user.ride else { return };
        let line = &mut self.lines.all[ride.line];
        let Conn { wire, early, .. } = conn;
        let mut session = Session::new(self.lines.most.get(&line.origin).copied());
        session.feed(&early);
        let token = u64::from(LINE | ride.line as u32) << 32 | u64::from(line.serial);
        user.hit.connect_deadline_ns = None;
        if let Err(error) = self.poller.change(wire.fd(), token) {
            return self.fail(user, id, Failure::new(Outcome::Connect, crate::os::wire::words(&error)));
        }
        line.opener = None;
        line.open = Some(Box::new(Open::new(session, wire)));
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
                let (sent, received) = open.session.end(place);
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
        if self.lines.all[at].open.as_ref().is_some_and(|open| !open.session.has_heard_since(place)) {
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

    /// Something happened on a connection.
    pub fn line_stirred(&mut self, users: &mut [User], id: u32, serial: u32, readable: bool, ended: bool) {
        let at = (id & !LINE) as usize;
        let Some(line) = self.lines.all.get_mut(at).filter(|line| line.serial == serial) else { return };
        if let Some(open) = &mut line.open {
            open.ended |= ended;
        }
        self.run_line(users, at, readable);
    }

    /// Gives a turn to those on which something is to be done.
    pub fn run_lines(&mut self, users: &mut [User]) {
        for at in take(&mut self.lines.busy) {
            if self.lines.all[at].is_busy {
                self.run_line(users, at, false);
            }
        }
    }

    fn run_line(&mut self, users: &mut [User], at: usize, readable: bool) {
        let line = &mut self.lines.all[at];
        line.is_busy = false;
        let Some(mut open) = line.open.take() else {
            if line.opener.is_none() {
                self.scatter(users, at, 0); // whoever made it could not
                self.lines.settle(at);
            }
            return;
        };
        line.is_at_work = true;
        let failure = self.work(users, at, &mut open, readable);
        if let Some(failure) = failure {
            self.lines.close(at);
            self.fail_all(users, at, &mut open, &failure);
        }
        self.doing.at(At::Running);
        let line = &mut self.lines.all[at];
        (line.open, line.is_at_work) = (Some(open), false);
        self.lines.settle(at);
    }

    /// Asks, writes, reads and answers as far as it goes now. Some: why the connection is over.
    fn work(&mut self, users: &mut [User], at: usize, open: &mut Open, mut readable: bool) -> Option<Failure> {
        let mut turn = Turn::default();
        loop {
            open.session.poll();
            self.look_at(at, open);
            while let Some(place) = open.session.next_moved() {
                self.go_on_with(users, at, open, place);
            }
            self.ask_waiting(users, at, open);
            if open.session.has_moved() {
                continue;
            }
            if open.session.is_flooded() {
                return Some(Session::flood());
            }
            if open.flush() {
                continue;
            }
            self.note_left(users, open);
            if !readable && open.deaf.is_none() && open.short_read_is_all() {
                return None;
            }
            if turn.is_over() {
                self.unread.push_back((LINE | at as u32, self.lines.all[at].serial));
                return open.deaf.take().map(broken);
            }
            let mut block = take(&mut self.block);
            let count = open.wire.read(&mut block);
            if let Ok(count) = count {
                open.session.feed(&block[..count]);
                readable = count == block.len();
            }
            self.block = block;
            match count {
                Ok(0) => {
                    open.ended = true;
                    if !open.session.ended() {
                        return Some(Failure::new(Outcome::Closed, "the connection was closed before an answer"));
                    }
                }
                Ok(_) => {}
                Err(Trouble::Busy) => {
                    self.unread.push_back((LINE | at as u32, self.lines.all[at].serial));
                    return None;
                }
                Err(Trouble::Later) => return open.deaf.take().map(broken),
                Err(trouble) => return Some(broken(trouble)),
            }
        }
    }

    /// What the server says of itself.
    fn look_at(&mut self, at: usize, open: &mut Open) {
        if !open.session.is_usable() {
            self.lines.close(at);
            return;
        }
        let Some(most) = open.session.most() else { return };
        let line = &mut self.lines.all[at];
        if line.told.replace(most) == Some(most) {
            return;
        }
        if line.owner == ALL {
            line.most = most.clamp(1, self.plan.streams.unwrap_or(1));
        }
        let origin = line.origin;
        self.lines.most.insert(origin, most.max(1));
        self.lines.list(at);
    }

    /// Requests for which there is room now; others look for another connection, if they may.
    fn ask_waiting(&mut self, users: &mut [User], at: usize, open: &mut Open) {
        if self.lines.all[at].waiting.is_empty() {
            return;
        }
        let may_stay = if !self.lines.all[at].closes {
            self.lines.all[at].most
        } else if open.session.is_usable() && self.plan.kept != Kept::PerRequest {
            0
        } else {
            usize::MAX // to be told why
        };
        self.scatter(users, at, may_stay);
        while let Some(id) = self.lines.all[at].waiting.pop_front() {
            let user = &mut users[id as usize];
            user.hit.connect_deadline_ns = None;
            self.doing.step(user.step);
            let most = self.plan.max_body_bytes;
            let step = &self.plan.steps[user.step];
            let kept = if step.reads_body() { most as usize } else { crate::load::exchange::SAMPLE_BYTES };
            let request = self.request_of(user);
            let place = &self.origins[request.origin];
            let asked = open.session.ask(
                id,
                || head_of(request.whole_head(), place),
                request.body(),
                |reader| {
                    reader.begin(request.is_head, kept, most);
                    reader.streams = step.stream.as_ref().map(|stream| stream.format);
                },
            );
            match asked {
                Ok(Some(place)) => {
                    user.ride = Some(Ride { line: at, at: Some(place) });
                    open.leaving.push(place);
                }
                Ok(None) => {
                    self.lines.all[at].waiting.push_front(id);
                    break;
                }
                Err(lost) => {
                    user.ride = None;
                    self.lines.all[at].riders -= 1;
                    self.lose(user, id, lost);
                }
            }
        }
        self.lines.list(at);
        for id in &self.lines.all[at].waiting {
            users[*id as usize].hit.connect_deadline_ns = None; // there is one, it is only full
        }
    }

    /// Those who came last look for another connection, until there are no more than `most`.
    fn scatter(&mut self, users: &mut [User], at: usize, most: usize) {
        while self.lines.all[at].riders > most
            && let Some(id) = self.lines.all[at].waiting.pop_back()
        {
            self.lines.all[at].riders -= 1;
            self.board_again(&mut users[id as usize], id);
        }
    }

    fn board_again(&mut self, user: &mut User, id: u32) {
        user.ride = None;
        user.next = Next::Again;
        self.ready.push_back(id);
    }

    /// A request has moved: perhaps its answer is there.
    fn go_on_with(&mut self, users: &mut [User], at: usize, open: &mut Open, place: usize) {
        let id = open.session.streams[place].user;
        let user = &mut users[id as usize];
        self.doing.step(user.step);
        self.doing.at(At::Reading);
        let done = open.session.go_on(place, self.request_of(user).body());
        let stream = &mut open.session.streams[place];
        let answers = stream.reader.status != 0;
        if answers && !stream.has_left {
            stream.has_left = true;
            user.hit.timings.send_ns += user.hit.lap(self.now_ns());
        }
        if answers && user.hit.timings.first_byte_ns == 0 && done != Ok(Progress::Whole) {
            user.hit.timings.first_byte_ns = self.now_ns();
        }
        let mut lost = None;
        let mut got = match done {
            Ok(Progress::More) => Got::Nothing,
            Ok(Progress::Whole) => Got::Answer,
            Err(Lost::TooLarge) => Got::TooLarge,
            Err(why) => {
                lost = Some(why);
                Got::Nothing
            }
        };
        if stream.reader.events.is_some() {
            got = self.note_events(user, &mut stream.reader, got);
        }
        let is_answered = matches!(got, Got::Answer | Got::TooLarge);
        if !is_answered && lost.is_none() {
            return;
        }
        let (sent, received) = open.session.end(place);
        user.hit.sent += sent;
        user.hit.received += received;
        user.ride = None;
        self.lines.all[at].riders -= 1;
        self.lines.list(at);
        if is_answered {
            let reader = take(&mut open.session.streams[place].reader);
            self.answered(user, id, &reader, &[], None, matches!(got, Got::TooLarge));
            open.session.streams[place].reader = reader;
            self.drive(user, id);
        } else if let Some(lost) = lost {
            if matches!(lost, Lost::Failed(_)) {
                self.lines.close(at);
            }
            self.lose(user, id, lost);
        }
    }

    /// A request has no answer.
    fn lose(&mut self, user: &mut User, id: u32, lost: Lost) {
        let again = match &lost {
            Lost::Unseen(_) => user.hit.resent < MOST_UNSEEN,
            Lost::Refused(_) => user.hit.resent < MOST_REFUSED,
            _ => false,
        };
        if again {
            user.hit.resent += 1;
            return self.board_again(user, id);
        }
        match lost {
            Lost::Failed(failure) | Lost::Stream(failure) | Lost::Unseen(failure) | Lost::Refused(failure) => self.fail(user, id, failure),
            Lost::TooLarge => {}
        }
        self.ready.push_back(id);
    }

    /// The connection is over, in a way that the crate does not know of.
    fn fail_all(&mut self, users: &mut [User], at: usize, open: &mut Open, failure: &Failure) {
        let has_answered = open.session.has_answered();
        for place in open.session.all().collect::<Vec<_>>() {
            let id = open.session.streams[place].user;
            let user = &mut users[id as usize];
            let (sent, received) = open.session.end(place);
            user.hit.sent += sent;
            user.hit.received += received;
            user.ride = None;
            self.lines.all[at].riders -= 1;
            self.lose(user, id, Lost::Failed(failure.clone()));
        }
        for id in take(&mut self.lines.all[at].waiting) {
            let user = &mut users[id as usize];
            user.ride = None;
            self.lines.all[at].riders -= 1;
            self.lose(user, id, if has_answered { Lost::Unseen(failure.clone()) } else { Lost::Failed(failure.clone()) });
        }
    }

    /// Notes when requests have left.
    fn note_left(&mut self, users: &mut [User], open: &mut Open) {
        if open.leaving.is_empty() || !open.session.is_flushed() {
            return;
        }
        let now_ns = self.now_ns();
        let mut leaving = take(&mut open.leaving);
        leaving.retain(|place| {
            let stream = &mut open.session.streams[*place];
            if stream.has_left || !stream.is_under_way() {
                return false;
            }
            let user = &mut users[stream.user as usize];
            if !stream.is_asked(self.request_of(user).body()) {
                return true;
            }
            stream.has_left = true;
            user.hit.timings.send_ns += user.hit.lap(now_ns);
            false
        });
        open.leaving = leaving;
    }
}
