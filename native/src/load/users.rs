//! Users come and go.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::http::cookies::Jar;
use crate::http::request::Outgoing;
use crate::load::batch::Part;
use crate::load::engine::Loop;
use crate::load::functions::Call;
use crate::load::user::{Hit, Next, Phase, User};
use crate::os::random::Rng;
use crate::plan::outcome::{Failure, Outcome};
use crate::values::node::Scope;

const CLOSED_AT_ONCE: usize = 8;

impl Loop<'_> {
    pub fn set_users(&mut self, users: &mut Vec<User>, wanted: u32) {
        while self.alive < wanted && !self.draining {
            self.start_user(users);
        }
        let mut at = users.len();
        while self.alive > wanted && at > 0 {
            at -= 1;
            let user = &mut users[at];
            if user.stopping || user.next == Next::Gone || user.call.is_help {
                continue;
            }
            user.stopping = true;
            self.alive -= 1;
            self.stop_helps(users, at);
            let user = &mut users[at];
            if self.may_leave(user) || matches!(user.next, Next::Finished | Next::Turn) {
                user.is_paused = false;
                self.leave(user);
                if user.next == Next::Gone {
                    self.departed.push_back(at as u32);
                } else {
                    self.ready.push_back(at as u32);
                }
            }
        }
    }

    /// Closes connections of users who are gone: a few at a time, because closing a thousand in one go takes a tenth of a second, in which
    /// the answers to others would lie unread and count as slow.
    pub fn close_some(&mut self, users: &mut [User]) {
        for _ in 0..CLOSED_AT_ONCE {
            let Some(id) = self.departed.pop_front() else { return };
            let user = &mut users[id as usize];
            self.drop_conns(user);
            self.hang_up(user);
        }
    }

    /// Whether he waits for nothing but a time.
    pub fn may_leave(&self, user: &User) -> bool {
        user.is_paused && user.is_free && user.phase != Phase::OnStop
    }

    fn start_user(&mut self, users: &mut Vec<User>) {
        let number = self.started * self.plan.shards as u32 + self.plan.shard as u32;
        self.started += 1;
        self.alive += 1;
        self.users_peak = self.users_peak.max(self.alive);
        let mut user = self.new_user(number);
        // the place of one who is gone, if there is one; timers and events of his must not reach the new one
        let some_are_gone = users.len() - self.helps >= self.alive as usize;
        let free = some_are_gone
            .then(|| {
                let is_free = |old: &User| old.next == Next::Gone && old.watched_ns.is_none() && old.talks.is_empty();
                users.iter().rposition(|old| is_free(old) && !self.departed.contains(&old.id))
            })
            .flatten();
        match free {
            Some(at) => {
                (user.id, user.pauses, user.next_serial) = (at as u32, users[at].pauses, users[at].next_serial);
                user.call.helps = std::mem::take(&mut users[at].call.helps);
                for (place, id) in user.call.helps.iter().enumerate() {
                    let mut help = self.help_of(&user, place);
                    let old = &users[*id as usize];
                    (help.id, help.pauses, help.next_serial, help.watched_ns) = (old.id, old.pauses, old.next_serial, old.watched_ns);
                    users[*id as usize] = help;
                }
                self.ready.push_back(user.id);
                users[at] = user;
            }
            None => {
                user.id = users.len() as u32;
                self.ready.push_back(user.id);
                users.push(user);
            }
        }
    }

    pub fn new_user(&self, number: u32) -> User {
        let seed = self.plan.user_seed.as_ref().map(|seed| format!("{seed} {number}"));
        let scope = Scope {
            variables: self.plan.variables.iter().map(|value| value.first().cloned()).collect(),
            session: vec![None; self.plan.session_places],
            rows: vec![None; self.data.source_count()],
            out_of_rows: false,
            rng: Rng::new(seed),
        };
        User {
            id: 0,
            number,
            phase: Phase::OnStart,
            is_set_up: false,
            end: 0,
            ends: false,
            scope,
            jar: Rc::new(RefCell::new(Jar::default())),
            call: Call::default(),
            part: Part::default(),
            conns: Vec::new(),
            ride: None,
            tls: HashMap::new(),
            ended: 0,
            talks: Vec::new(),
            asked: None,
            speech: 0,
            next_serial: 0,
            next: Next::Pass,
            pauses: 0,
            is_paused: false,
            is_free: true,
            step: 0,
            passes: 0,
            has_sent: false,
            has_pass: false,
            is_booked: false,
            has_begun: Rc::new(Cell::new(false)),
            stopping: false,
            hit: Hit::default(),
            own: Outgoing::default(),
            uses_own: false,
            waiting: None,
            watched_ns: None,
            network_rng: None,
        }
    }

    /// At the end of the drain: what is in flight stays unfinished.
    pub fn give_up(&mut self, users: &mut [User]) {
        let now_ns = self.now_ns();
        for (id, user) in users.iter_mut().enumerate() {
            if user.hit.in_flight {
                user.hit.flags &= !crate::plan::outcome::SUPERSEDED;
                user.count_all();
                let failure = Failure::new(Outcome::Unfinished, "not answered before the end of the load");
                self.end_hit(user, id as u32, Err(failure), None, now_ns);
            }
            self.cut_off(user);
            user.conns.clear();
            self.hang_up_now(user);
            self.settle(user, false);
        }
        self.lines.clear();
        self.channels.clear();
    }

    /// A pass begins for the books; exactly one `settle` ends it.
    pub fn book(&mut self, user: &mut User) {
        user.is_booked = true;
        user.has_begun.set(false);
        if self.arrivals.is_none() {
            self.passes.due += 1;
        }
    }

    /// An attempt of the user's step begins.
    pub fn count_attempt(&mut self, user: &mut User) {
        self.steps[user.step].0 += 1;
        if !user.has_begun.replace(true) {
            self.passes.started += 1;
            user.hit.flags |= crate::plan::outcome::FIRST;
        }
    }

    /// The user's pass, if he has one, has `made` all its steps; or was cut off; or was dropped, if no request had begun.
    pub fn settle(&mut self, user: &mut User, made: bool) {
        if !std::mem::take(&mut user.is_booked) {
            return;
        }
        match (made, user.has_begun.get()) {
            (true, begun) => {
                self.passes.started += u64::from(!begun); // every condition said no: all was done that there was to do
                self.passes.made += 1;
            }
            (false, true) => self.passes.cut_off += 1,
            (false, false) => self.passes.dropped += 1,
        }
    }
}
