//! Steps that a user sends at once: he makes the first, and helps of his the others. Each runs as it would by itself.
//!
//! The values of the user are copied to each help, and what its step extracts is copied back when all have ended.

use std::mem::take;

use crate::load::engine::Loop;
use crate::load::user::{Next, User};
use crate::os::random::Rng;

/// A user's part in a batch that is under way; that of one whose own batch it is has what is known of the parts of others too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// There is one: it is his own, or he makes it for another.
    pub is_on: bool,
    /// It was not left out by its conditions.
    pub has_run: bool,
    /// The user was stopped while it waited to send something.
    is_cut_off: bool,
    /// A failure of it ends the pass.
    ends: bool,
    out_of_rows: bool,
    /// Its request was sent, so nothing is due with the pass any more.
    is_due_no_more: bool,
}

impl Part {
    fn add(&mut self, other: Part) {
        self.has_run |= other.has_run;
        self.is_cut_off |= other.is_cut_off;
        self.ends |= other.ends;
        self.out_of_rows |= other.out_of_rows;
        self.is_due_no_more |= other.is_due_no_more;
    }
}

impl Loop<'_> {
    /// The user is at the first step of a batch: what all of its steps share is taken, and they are given away.
    pub fn begin_batch(&mut self, user: &mut User) {
        let Some(batch) = &self.plan.steps[user.step].batch else { return };
        for source in &batch.sources {
            self.data.take(&mut user.scope, *source);
        }
        user.part = Part { is_on: true, ..Part::default() };
        user.call.waits = batch.count as u32;
        user.next = Next::Batch;
        self.batches.push(user.id);
    }

    /// Gives the steps of the user's batch to those who make them.
    pub fn share_steps(&mut self, users: &mut Vec<User>, id: u32) {
        users[id as usize].next = Next::Step;
        self.ready.push_back(id);
        for at in 1..users[id as usize].call.waits as usize {
            if users[id as usize].call.helps.len() < at {
                self.add_help(users, id);
            }
            let user = &users[id as usize];
            let help_id = user.call.helps[at - 1];
            let (step, phase, begun, ended) = (user.step + at, user.phase, user.has_begun.clone(), user.ended);
            let (stopping, due_ns) = (user.stopping, user.hit.due_ns);
            let (variables, session, rows) = (user.scope.variables.clone(), user.scope.session.clone(), user.scope.rows.clone());
            let help = &mut users[help_id as usize];
            help.end_connections(ended);
            (help.step, help.phase, help.has_begun) = (step, phase, begun);
            (help.stopping, help.has_sent, help.ends, help.hit.due_ns) = (stopping, false, false, due_ns);
            (help.scope.variables, help.scope.session, help.scope.rows) = (variables, session, rows);
            help.scope.out_of_rows = false;
            help.part = Part { is_on: true, ..Part::default() };
            help.call.of = id;
            help.next = Next::Step;
            self.ready.push_back(help_id);
        }
    }

    /// A step of a batch has ended.
    pub fn end_part(&mut self, user: &mut User) {
        user.part.ends |= user.ends;
        user.part.out_of_rows |= user.scope.out_of_rows;
        user.part.is_due_no_more |= user.hit.due_ns.is_none();
        user.next = if user.call.is_help { Next::Rest } else { Next::Batch };
        self.parts.push(user.id);
    }

    /// The user is stopped where his step waits to send something.
    pub fn cut_off_part(&mut self, user: &mut User) {
        user.part.is_cut_off = true;
        self.end_part(user);
    }

    /// Tells users of their parts that have ended; those who wait for no more go on.
    pub fn end_parts(&mut self, users: &mut [User]) {
        for id in take(&mut self.parts) {
            let made_by = &mut users[id as usize];
            let has_sent = made_by.has_sent;
            let (of, part) = if made_by.call.is_help { (made_by.call.of, take(&mut made_by.part)) } else { (id, made_by.part) };
            let user = &mut users[of as usize];
            user.part.add(part);
            user.has_sent |= has_sent;
            user.call.waits -= 1;
            if user.call.waits == 0 {
                self.end_batch(users, of);
            }
        }
    }

    fn end_batch(&mut self, users: &mut [User], id: u32) {
        let plan = self.plan;
        let first = users[id as usize].step;
        let Some(batch) = &plan.steps[first].batch else { return };
        for at in 1..batch.count {
            let help_id = users[id as usize].call.helps[at - 1] as usize;
            for extract in &plan.steps[first + at].extracts {
                let scope = &mut users[help_id].scope;
                let value = scope.kept_at(extract.session, extract.place).clone();
                *users[id as usize].scope.kept_at(extract.session, extract.place) = value;
            }
        }
        let user = &mut users[id as usize];
        let part = take(&mut user.part);
        (user.step, user.ends, user.scope.out_of_rows) = (first + batch.count - 1, part.ends, part.out_of_rows);
        if part.is_due_no_more {
            user.hit.due_ns = None;
        }
        self.ready.push_back(id);
        if part.is_cut_off {
            return self.leave(user);
        }
        user.hit.think_s = if part.has_run { batch.think_s } else { (0.0, 0.0) };
        user.next = Next::EndStep;
    }

    /// The steps that others make for a user who is stopped.
    pub fn stop_helps(&mut self, users: &mut [User], at: usize) {
        for place in 0..users[at].call.helps.len() {
            let help = &mut users[users[at].call.helps[place] as usize];
            if help.part.is_on {
                help.stopping = true;
                if self.may_leave(help) {
                    help.is_paused = false;
                    self.cut_off_part(help);
                }
            }
        }
    }

    pub fn add_help(&mut self, users: &mut Vec<User>, id: u32) {
        let user = &users[id as usize];
        let mut help = self.help_of(user, user.call.helps.len());
        help.id = users.len() as u32;
        self.helps += 1;
        users[id as usize].call.helps.push(help.id);
        users.push(help);
    }

    /// One who makes requests for a user, his number `at` from 0.
    pub fn help_of(&self, user: &User, at: usize) -> User {
        let mut help = self.new_user(user.number);
        help.jar = user.jar.clone();
        help.next = Next::Rest;
        help.call.is_help = true;
        help.scope.rng = Rng::new(self.plan.user_seed.as_ref().map(|seed| format!("{seed} {} {}", user.number, at + 1)));
        help
    }
}
