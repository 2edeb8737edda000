//! A turn of a connection of HTTP/2 or HTTP/3: what its users wait for is asked and read, and they go on.

use std::mem::take;

use crate::http::carrier::{Carrier, Heard, Rooms};
use crate::http::conn::Got;
use crate::http::http2::Lost;
use crate::http::reading::Progress;
use crate::load::engine::Loop;
use crate::load::exchange::SAMPLE_BYTES;
use crate::load::lines::{ALL, LINE, Open, Ride};
use crate::load::user::{Next, User};
use crate::load::watch::At;
use crate::os::turn::Turn;
use crate::plan::Kept;
use crate::plan::outcome::{Failure, Outcome};

/// How often a hit is sent again that a server did not look at because it ended the connection: one that ends connections after so many
/// requests may do so with several at once (curl, too, tries five times).
const MOST_UNSEEN: u8 = 5;
/// The same where it refused this very request: it may have taken fewer at once from now on.
const MOST_REFUSED: u8 = 1;

impl Loop<'_> {
    /// Something happened on a connection.
    pub fn line_stirred(&mut self, users: &mut [User], id: u32, serial: u32, readable: bool, ended: bool) {
        let at = (id & !LINE) as usize;
        let Some(line) = self.lines.all.get_mut(at).filter(|line| line.serial == serial) else { return };
        if let Some(Open::Http2(open)) = &mut line.open {
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

    pub fn run_line(&mut self, users: &mut [User], at: usize, readable: bool) {
        let line = &mut self.lines.all[at];
        line.is_busy = false;
        match line.open.take() {
            None => {
                if line.opener.is_none() {
                    self.scatter(users, at, 0); // whoever made it could not
                    self.lines.settle(at);
                }
            }
            Some(Open::Http2(mut open)) => {
                self.give_turn(users, at, &mut *open, readable);
                self.put_back(at, Open::Http2(open));
            }
            Some(Open::Http3(mut open)) => {
                if !self.make_by_quic(users, at, &mut open, readable) {
                    return;
                }
                if self.lines.all[at].opener.is_none() {
                    self.give_turn(users, at, &mut *open, readable);
                }
                self.set_line_timer(at, &mut open);
                self.put_back(at, Open::Http3(open));
            }
        }
    }

    fn give_turn<C: Carrier>(&mut self, users: &mut [User], at: usize, open: &mut C, readable: bool) {
        self.lines.all[at].is_at_work = true;
        let failure = self.work(users, at, open, readable);
        if let Some(failure) = failure {
            self.lines.close(at);
            self.fail_all(users, at, open, &failure);
        }
        self.doing.at(At::Running);
    }

    fn put_back(&mut self, at: usize, open: Open) {
        let line = &mut self.lines.all[at];
        // who came meanwhile was asked for, or waits for the peer
        (line.open, line.is_at_work, line.is_busy) = (Some(open), false, false);
        self.lines.settle(at);
    }

    /// Asks, writes, reads and answers as far as it goes now. Some: why the connection is over.
    fn work<C: Carrier>(&mut self, users: &mut [User], at: usize, open: &mut C, mut readable: bool) -> Option<Failure> {
        let mut turn = Turn::default();
        loop {
            open.poll();
            self.look_at(at, open);
            while let Some(place) = open.next_moved() {
                self.go_on_with(users, at, open, place);
            }
            self.ask_waiting(users, at, open);
            if open.has_moved() {
                continue;
            }
            if let Some(flood) = open.flood() {
                return Some(flood);
            }
            if open.flush() {
                continue;
            }
            self.note_left(users, open);
            if !readable && !open.is_deaf() && open.short_read_is_all() {
                return None;
            }
            if turn.is_over() {
                self.unread.push_back((LINE | at as u32, self.lines.all[at].serial));
                return open.take_deaf();
            }
            match open.read(Rooms { block: &mut self.block, packets: &mut self.packets }) {
                Heard::Some { more } => readable = more,
                Heard::End { is_new } => {
                    if !is_new {
                        return Some(Failure::new(Outcome::Closed, "the connection was closed before an answer"));
                    }
                }
                Heard::Busy => {
                    self.unread.push_back((LINE | at as u32, self.lines.all[at].serial));
                    return None;
                }
                Heard::Nothing => return open.take_deaf(),
                Heard::Failed(failure) => return Some(failure),
            }
        }
    }

    /// What the server says of itself.
    fn look_at<C: Carrier>(&mut self, at: usize, open: &mut C) {
        if !open.is_usable() {
            self.lines.close(at);
            return;
        }
        let Some(most) = open.most() else { return };
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
    fn ask_waiting<C: Carrier>(&mut self, users: &mut [User], at: usize, open: &mut C) {
        if self.lines.all[at].waiting.is_empty() {
            return;
        }
        let may_stay = if !self.lines.all[at].closes {
            self.lines.all[at].most
        } else if open.is_usable() && self.plan.kept != Kept::PerRequest {
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
            let kept = if step.reads_body() { most as usize } else { SAMPLE_BYTES };
            let streams = self.stream_of(user).map(|stream| stream.format);
            let mut heads = take(&mut self.heads);
            let request = self.request_of(user);
            let place = &self.origins[request.origin];
            let known = C::heads(&mut heads).get(user.step).filter(|_| !user.uses_own).and_then(Option::as_ref);
            let is_to_be_known = known.is_none() && !user.uses_own;
            let mut head = None;
            let asked = open.ask(
                id,
                || {
                    let made = known.map_or_else(|| C::head_of(request.whole_head(), place), |known| Ok(known.clone()))?;
                    head = is_to_be_known.then(|| made.clone());
                    Ok(made)
                },
                request.body(),
                request.is_head,
                |reader| {
                    reader.begin(request.is_head, kept, most);
                    reader.streams = streams;
                },
            );
            if let Some(head) = head {
                let known = C::heads(&mut heads);
                known.resize(self.plan.steps.len(), None);
                known[user.step] = Some(head);
            }
            self.heads = heads;
            match asked {
                Ok(Some(place)) => {
                    user.ride = Some(Ride { line: at, at: Some(place) });
                    open.leaving().push(place);
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
    pub fn scatter(&mut self, users: &mut [User], at: usize, most: usize) {
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
    fn go_on_with<C: Carrier>(&mut self, users: &mut [User], at: usize, open: &mut C, place: usize) {
        let id = open.request(place).user;
        let user = &mut users[id as usize];
        self.doing.step(user.step);
        self.doing.at(At::Reading);
        let done = open.go_on(place, self.request_of(user).body());
        let ridden = open.request(place);
        let answers = ridden.reader.status != 0;
        if answers && !std::mem::replace(ridden.has_left, true) {
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
        if ridden.reader.events.is_some() {
            got = self.note_events(user, ridden.reader, got);
        }
        let is_answered = matches!(got, Got::Answer | Got::TooLarge);
        if !is_answered && lost.is_none() {
            return;
        }
        let (sent, received) = open.end(place);
        user.hit.sent += sent;
        user.hit.received += received;
        user.ride = None;
        self.lines.all[at].riders -= 1;
        self.lines.list(at);
        if is_answered {
            self.answered(user, id, open.request(place).reader, &[], None, matches!(got, Got::TooLarge));
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
    fn fail_all<C: Carrier>(&mut self, users: &mut [User], at: usize, open: &mut C, failure: &Failure) {
        let has_answered = open.has_answered();
        for place in open.all() {
            let id = open.request(place).user;
            let user = &mut users[id as usize];
            let (sent, received) = open.end(place);
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
    fn note_left<C: Carrier>(&mut self, users: &mut [User], open: &mut C) {
        if open.leaving().is_empty() || !open.is_flushed() {
            return;
        }
        let now_ns = self.now_ns();
        let mut leaving = take(open.leaving());
        leaving.retain(|place| {
            let is_under_way = open.is_under_way(*place);
            let ridden = open.request(*place);
            if *ridden.has_left || !is_under_way {
                return false;
            }
            let id = ridden.user as usize;
            if !open.is_asked(*place, self.request_of(&users[id]).body()) {
                return true;
            }
            *open.request(*place).has_left = true;
            let hit = &mut users[id].hit;
            hit.timings.send_ns += hit.lap(now_ns);
            false
        });
        *open.leaving() = leaving;
    }
}
