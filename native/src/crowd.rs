//! Users come and go.

use crate::cookies::Jar;
use crate::engine::Loop;
use crate::node::Scope;
use crate::outcome::{Failure, Outcome};
use crate::random::Rng;
use crate::request::Outgoing;
use crate::user::{Hit, Next, User};

impl Loop<'_> {
    pub fn set_users(&mut self, users: &mut Vec<User>, wanted: u32) {
        while self.alive < wanted && !self.draining {
            self.start_user(users);
        }
        let mut at = users.len();
        while self.alive > wanted && at > 0 {
            at -= 1;
            let user = &mut users[at];
            if user.stopping || user.next == Next::Gone {
                continue;
            }
            user.stopping = true;
            self.alive -= 1;
            if (user.is_paused && user.is_free) || matches!(user.next, Next::Finished | Next::Turn) {
                user.is_paused = false;
                user.next = Next::Gone;
                user.conns.clear();
            }
        }
    }

    fn start_user(&mut self, users: &mut Vec<User>) {
        let number = self.started * self.plan.shards as u32 + self.plan.shard as u32;
        self.started += 1;
        self.alive += 1;
        let seed = self.plan.user_seed.as_ref().map(|seed| format!("{seed} {number}"));
        let scope = Scope {
            variables: self.plan.variables.iter().map(|value| value.first().cloned()).collect(),
            session: vec![None; self.plan.session_places],
            rows: vec![None; self.data.source_count()],
            out_of_rows: false,
            rng: Rng::new(seed),
        };
        let mut user = User {
            number,
            scope,
            jar: Jar::default(),
            conns: Vec::new(),
            next_serial: 0,
            next: Next::Pass,
            pauses: 0,
            is_paused: false,
            is_free: true,
            step: 0,
            passes: 0,
            has_sent: false,
            has_pass: false,
            stopping: false,
            hit: Hit::default(),
            own: Outgoing::default(),
            uses_own: false,
            watched_ns: None,
            network_rng: None,
        };
        // the place of one who is gone, if there is one; timers and events of his must not reach the new one
        let some_are_gone = users.len() >= self.alive as usize;
        let free = some_are_gone.then(|| users.iter().rposition(|old| old.next == Next::Gone && old.watched_ns.is_none())).flatten();
        let id = match free {
            Some(at) => {
                (user.pauses, user.next_serial) = (users[at].pauses, users[at].next_serial);
                users[at] = user;
                at
            }
            None => {
                users.push(user);
                users.len() - 1
            }
        };
        self.ready.push_back(id as u32);
    }

    /// At the end of the drain: what is in flight stays unfinished.
    pub fn give_up(&mut self, users: &mut [User]) {
        let now_ns = self.now_ns();
        for (id, user) in users.iter_mut().enumerate() {
            if user.hit.in_flight {
                user.hit.flags &= !crate::outcome::SUPERSEDED;
                let failure = Failure::new(Outcome::Unfinished, "not answered before the end of the load");
                self.end_hit(user, id as u32, Err(failure), None, now_ns);
            }
            user.conns.clear();
        }
    }
}
