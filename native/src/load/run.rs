//! The run of a load: users start and stop, seconds are reported, the end and the drain.

use std::sync::mpsc::Sender;

use crate::load::engine::Loop;
use crate::load::functions::Spent;
use crate::load::stages::Ramp;
use crate::load::stop::{Done, Event, State, Stop};
use crate::load::user::User;
use crate::load::watch::At;
use crate::os::socket::Ready;
use crate::plan::host::Fatal;

const EVENTS: usize = 1024;
const SECOND_NS: i64 = 1_000_000_000;
/// Rows wait no longer than that for the file: a process that is killed loses no more.
pub const ROWS_NS: i64 = 100_000_000;
/// How often a timer is set only to see how late it fires: a thread that is kept from waking up notices nothing else.
const PROBE_NS: i64 = 50_000_000;

/// What is due when, apart from what users wait for.
struct Agenda<'p> {
    ramp: Ramp<'p>,
    ramp_ns: Option<i64>,
    pass_ns: Option<i64>,
    tick_ns: i64,
    rows_ns: i64,
    probe_ns: i64,
    flush_ns: Option<i64>,
    end_ns: Option<i64>,
    drained_ns: Option<i64>,
}

impl Agenda<'_> {
    fn next_ns(&self) -> i64 {
        let end_ns = self.drained_ns.or(self.end_ns);
        let always_ns = self.tick_ns.min(self.rows_ns).min(self.probe_ns);
        let times = [Some(always_ns), self.flush_ns, end_ns, self.ramp_ns, self.pass_ns];
        times.into_iter().flatten().min().unwrap_or(i64::MAX)
    }
}

impl Loop<'_> {
    pub fn load(&mut self, users: &mut Vec<User>, stop: &Stop, events: &Sender<Event>) -> Result<Done, Fatal> {
        let plan = self.plan;
        let in_ns = |seconds: f64| (seconds * 1e9) as i64;
        let paced = self.arrivals.is_some();
        let mut agenda = Agenda {
            ramp: Ramp::new(&plan.stages),
            ramp_ns: Some(0).filter(|_| !paced),
            pass_ns: Some(0).filter(|_| paced),
            tick_ns: SECOND_NS,
            rows_ns: ROWS_NS,
            probe_ns: PROBE_NS,
            flush_ns: plan.flush_s.map(in_ns),
            end_ns: plan.duration_s.map(in_ns),
            drained_ns: None,
        };
        if paced {
            self.set_users(users, plan.most_users()); // before the first pass is due they all wait for one
            self.drive_ready(users);
        }
        let mut done: Option<Done> = None;
        let mut ready = vec![Ready { events: 0, u64: 0 }; EVENTS];
        let mut woken_ns = self.now_ns();
        loop {
            let now_ns = self.now_ns();
            self.lag_ns = self.lag_ns.max(now_ns - woken_ns); // so long an answer may have lain unread
            self.tell(&mut agenda, now_ns, done.as_ref(), events)?;
            if done.is_none() {
                done = self.go_through(&mut agenda, users, now_ns, stop);
            }
            if let Some(mut done) = done.take_if(|_| self.is_drained(&agenda, now_ns)) {
                self.give_up(users);
                self.log.flush()?;
                done.state = State { rows: self.log.rows, lag_ns: self.lag_ns, passes: self.state().passes, ..done.state };
                (done.steps, done.conditioned) = (std::mem::take(&mut self.steps), self.conditioned);
                return self.fatal.take().map_or(Ok(done), Err);
            }
            self.share_batches(users);
            self.run_lines(users);
            self.run_channels(users);
            let next_ns = self.timers.next_ns().map_or(agenda.next_ns(), |at| at.min(agenda.next_ns()));
            let none_left = self.ready.is_empty() && self.unread.is_empty() && self.departed.is_empty();
            let wait_ns =
                if none_left && !self.lines.is_busy() && !self.channels.is_busy() { (next_ns - self.now_ns()).max(0) as u64 } else { 0 };
            self.doing.at(At::Waiting);
            self.rest();
            let count = self.poller.wait(&mut ready, Some(wait_ns))?;
            woken_ns = self.now_ns();
            self.doing.alive(woken_ns);
            while let Some((due_ns, due)) = self.timers.pop_due(woken_ns) {
                self.lag_ns = self.lag_ns.max(woken_ns - due_ns);
                self.fire(users, due, due_ns, woken_ns);
            }
            self.drive_ready(users);
            for event in &ready[..count] {
                self.event(users, *event, stop);
            }
            self.read_on(users);
            self.run_lines(users);
            self.run_channels(users);
            self.share_batches(users);
            self.close_some(users);
        }
    }

    /// Users, and the passes of a pace; at the end of the load, how that stands.
    fn go_through(&mut self, agenda: &mut Agenda, users: &mut Vec<User>, now_ns: i64, stop: &Stop) -> Option<Done> {
        if agenda.ramp_ns.is_some_and(|at| at <= now_ns) {
            let (wanted, next_ns) = agenda.ramp.wanted(now_ns);
            self.set_users(users, wanted);
            agenda.ramp_ns = next_ns;
        }
        if let Some(arrivals) = &mut self.arrivals {
            if let Some((from_ns, source)) = stop.take_change() {
                arrivals.change(from_ns, source);
            }
            agenda.pass_ns = self.serve(users, false);
        }
        let all_done = self.plan.ends_with_users && self.finished >= self.plan.most_users();
        let over = agenda.end_ns.is_some_and(|end| end <= now_ns) || stop.is_over();
        if !(over || all_done || stop.is_asked() || self.fatal.is_some()) {
            return None;
        }
        let stopped = stop.is_asked() && !all_done;
        if over && !stopped && self.fatal.is_none() {
            self.serve(users, true); // what was due at the very end is given away now, or dropped
        }
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.end(now_ns);
        }
        let done = Done { stopped, state: State { ran_ns: Some(now_ns), ..self.state() }, steps: Vec::new(), conditioned: 0 };
        let drain_s = if stopped { self.plan.stop_drain_s } else { self.plan.drain_s };
        agenda.drained_ns = Some(now_ns + (drain_s * 1e9) as i64);
        (agenda.ramp_ns, agenda.pass_ns) = (None, None);
        self.draining = true;
        self.set_users(users, 0);
        Some(done)
    }

    fn is_drained(&self, agenda: &Agenda, now_ns: i64) -> bool {
        let none_shared = self.batches.is_empty() && self.helped.is_empty() && self.parts.is_empty();
        let idle = self.in_flight == 0 && self.leaving == 0 && self.ready.is_empty() && self.departed.is_empty() && none_shared;
        idle || self.fatal.is_some() || agenda.drained_ns.is_some_and(|at| at <= now_ns)
    }

    fn tell(&mut self, agenda: &mut Agenda, now_ns: i64, done: Option<&Done>, events: &Sender<Event>) -> Result<(), Fatal> {
        if now_ns >= agenda.probe_ns {
            self.lag_ns = self.lag_ns.max(now_ns - agenda.probe_ns);
            agenda.probe_ns = now_ns + PROBE_NS;
        }
        if now_ns >= agenda.tick_ns {
            self.lag_ns = self.lag_ns.max(now_ns - agenda.tick_ns);
            self.log.flush()?;
            let second = now_ns / SECOND_NS;
            agenda.tick_ns = (second + 1) * SECOND_NS;
            let state = State { ran_ns: done.and_then(|done| done.state.ran_ns), ..self.state() };
            self.lag_ns = 0;
            self.users_peak = self.alive;
            self.python = Spent::default();
            let _ = events.send(Event::Tick { second, state }); // the receiver is gone: the stop is on its way
        }
        if now_ns >= agenda.rows_ns {
            self.log.flush()?;
            agenda.rows_ns = now_ns + ROWS_NS;
        }
        if let Some((at, every)) = agenda.flush_ns.zip(self.plan.flush_s).filter(|(at, _)| *at <= now_ns) {
            self.log.flush()?;
            let _ = events.send(Event::Flush { until_ns: now_ns, rows: self.log.rows });
            let every_ns = (every * 1e9) as i64;
            agenda.flush_ns = Some(at.max(now_ns - every_ns) + every_ns);
        }
        Ok(())
    }

    fn state(&self) -> State {
        let mut passes = self.passes;
        if let Some(arrivals) = &self.arrivals {
            passes.due = arrivals.due;
            passes.dropped += arrivals.dropped;
        }
        State {
            rows: self.log.rows,
            users: self.alive,
            users_peak: self.users_peak,
            in_flight: self.in_flight,
            lag_ns: self.lag_ns,
            passes,
            python: self.python,
            ran_ns: None,
        }
    }

    fn drive_ready(&mut self, users: &mut [User]) {
        for _ in 0..self.ready.len() {
            if let Some(id) = self.ready.pop_front() {
                self.drive(&mut users[id as usize], id);
            }
        }
    }
}
