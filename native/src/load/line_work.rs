//! A turn of a connection of HTTP/2: what its users wait for is asked and read, and they go on.

use std::mem::take;

use crate::http::conn::Got;
use crate::http::http2::head::head_of;
use crate::http::http2::line::Open;
use crate::http::http2::{Lost, Session};
use crate::http::reading::Progress;
use crate::load::engine::Loop;
use crate::load::exchange::SAMPLE_BYTES;
use crate::load::lines::{ALL, LINE, Ride};
use crate::load::user::{Next, User};
use crate::load::watch::At;
use crate::os::turn::Turn;
use crate::os::wire::Trouble;
use crate::plan::Kept;
use crate::plan::outcome::{Failure, Outcome, broken};

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
        // who came meanwhile was asked for, or waits for the peer
        (line.open, line.is_at_work, line.is_busy) = (Some(open), false, false);
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
            let kept = if step.reads_body() { most as usize } else { SAMPLE_BYTES };
            let streams = self.stream_of(user).map(|stream| stream.format);
            let request = self.request_of(user);
            let place = &self.origins[request.origin];
            let known = self.heads.get(user.step).filter(|_| !user.uses_own).and_then(Option::as_ref);
            let is_to_be_known = known.is_none() && !user.uses_own;
            let mut head = None;
            let asked = open.session.ask(
                id,
                || {
                    let made = known.map_or_else(|| head_of(request.whole_head(), place), |known| Ok(known.clone()))?;
                    head = is_to_be_known.then(|| made.clone());
                    Ok(made)
                },
                request.body(),
                |reader| {
                    reader.begin(request.is_head, kept, most);
                    reader.streams = streams;
                },
            );
            if let Some(head) = head {
                self.heads.resize(self.plan.steps.len(), None);
                self.heads[user.step] = Some(head);
            }
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
            self.answered(user, id, &open.session.streams[place].reader, &[], None, matches!(got, Got::TooLarge));
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
            let is_under_way = open.session.is_under_way(*place);
            let stream = &mut open.session.streams[*place];
            if stream.has_left || !is_under_way {
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
