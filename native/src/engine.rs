//! The event loop of one core: users, timers, sockets, the log. Nothing in it is shared with another core.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use rustls::ClientConfig;

use crate::conn::Phase;
use crate::cookies::Jar;
use crate::data::Data;
use crate::dns::Resolver;
use crate::hitlog::HitLog;
use crate::host::{Fatal, Host, Kind};
use crate::limits::Throttle;
use crate::node::Scope;
use crate::outcome::{Failure, Outcome};
use crate::picks::Picks;
use crate::plan::{Place, Plan, RequestPlan, Tls};
use crate::random::Rng;
use crate::request::{Outgoing, Scratch};
use crate::socket::{ENDED, Poller, READABLE, Ready, Waker, monotonic_ns};
use crate::stages::Ramp;
use crate::timers::{Due, Timers};
use crate::user::{Hit, Next, User};

const BLOCK_BYTES: usize = 65_536;
const EVENTS: usize = 1024;
const WAKER: u64 = u64::MAX;
/// Of an early end; the supervisor kills a second later.
const STOP_DRAIN_S: f64 = 2.0;

/// What is told while the load runs. All hits that ended before the time are among the rows in the file.
#[derive(Debug, PartialEq)]
pub enum Event {
    Tick { second: i64, rows: u64, users: u32, in_flight: u32, lag_ns: i64 },
    Flush { until_ns: i64, rows: u64 },
}

#[derive(Debug, PartialEq)]
pub struct Done {
    pub rows: u64,
    pub ran_ns: i64,
    /// A stop was asked for.
    pub stopped: bool,
    pub users: u32,
    pub in_flight: u32,
    pub lag_ns: i64,
}

/// Ends a load early, from any thread.
pub struct Stop {
    asked: AtomicBool,
    waker: Arc<Waker>,
}

impl Stop {
    pub fn new() -> std::io::Result<Self> {
        Ok(Stop { asked: AtomicBool::new(false), waker: Arc::new(Waker::new()?) })
    }

    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

pub struct Loop<'p> {
    pub plan: &'p Plan,
    pub host: &'p mut dyn Host,
    pub log: &'p mut HitLog,
    pub origin_ns: i64,
    pub timers: Timers,
    pub poller: Poller,
    pub resolver: Resolver,
    pub data: Data<'p>,
    pub picks: Option<Picks>,
    pub throttles: Vec<Throttle>,
    /// Read when the first connection needs one: most loads need none.
    pub tls: Vec<(Tls, Option<Arc<ClientConfig>>)>,
    pub origins: Vec<Place>,
    pub origin_ids: HashMap<Place, usize>,
    /// Of hosts that were asked for: why they may not be loaded, or None.
    pub refused: HashMap<String, Option<String>>,
    /// The requests of steps that are the same for every hit.
    pub fixed: Vec<Option<Outgoing>>,
    /// Places of steps whose requests always go to one.
    pub step_origins: Vec<Option<usize>>,
    pub step_series: Vec<Option<u32>>,
    pub series: HashMap<String, u32>,
    pub kinds: HashMap<(u32, u8, String), Kind>,
    pub block: Box<[u8]>,
    pub scratch: Scratch,
    /// Users who go on in this round: after a failure, others come first.
    pub ready: VecDeque<u32>,
    pub in_flight: u32,
    pub draining: bool,
    pub finished: u32,
    pub fatal: Option<Fatal>,
    pub lag_ns: i64,
    started: u32,
    alive: u32,
}

/// Runs the whole load; every hit is in the log when it returns.
pub fn run(plan: &Plan, host: &mut dyn Host, log: &mut HitLog, origin_ns: i64, stop: &Stop, events: &Sender<Event>) -> Result<Done, Fatal> {
    let mut core = Loop::new(plan, host, log, origin_ns, stop)?;
    let mut users: Vec<User> = Vec::new();
    let done = core.load(&mut users, stop, events);
    core.log.flush()?;
    done
}

impl<'p> Loop<'p> {
    fn new(plan: &'p Plan, host: &'p mut dyn Host, log: &'p mut HitLog, origin_ns: i64, stop: &Stop) -> Result<Self, Fatal> {
        let poller = Poller::new()?;
        poller.add(stop.waker.fd(), WAKER)?;
        let rng = Rng::new(Some(plan.pick_seed.clone()));
        let mut core = Loop {
            plan,
            host,
            log,
            origin_ns,
            timers: Timers::default(),
            poller,
            resolver: Resolver::new(stop.waker.clone()),
            data: Data::new(&plan.sources, &plan.pools, plan.shard, plan.shards),
            picks: plan.weights.as_ref().and_then(|weights| Picks::new(weights, rng)),
            throttles: plan.throttles.iter().map(Throttle::new).collect(),
            tls: plan.tls.iter().map(|plan| (plan.clone(), None)).collect(),
            origins: Vec::new(),
            origin_ids: HashMap::new(),
            refused: HashMap::new(),
            fixed: Vec::new(),
            step_origins: Vec::new(),
            step_series: vec![None; plan.steps.len()],
            series: HashMap::new(),
            kinds: HashMap::new(),
            block: vec![0; BLOCK_BYTES].into(),
            scratch: Scratch::default(),
            ready: VecDeque::new(),
            in_flight: 0,
            draining: false,
            finished: 0,
            fatal: None,
            lag_ns: 0,
            started: 0,
            alive: 0,
        };
        for step in &plan.steps {
            let (fixed, origin) = match &step.request {
                RequestPlan::Fixed(made) => {
                    let mut out = Outgoing::default();
                    out.take(made, &made.cookies);
                    out.origin = core.origin(&made.place);
                    let origin = out.origin;
                    (Some(out), Some(origin))
                }
                RequestPlan::Parts(parts) => (None, parts.place.as_ref().map(|place| core.origin(place))),
                RequestPlan::Python(_) => (None, None),
            };
            core.fixed.push(fixed);
            core.step_origins.push(origin);
        }
        Ok(core)
    }

    pub fn now_ns(&self) -> i64 {
        monotonic_ns() - self.origin_ns
    }

    pub fn origin(&mut self, place: &Place) -> usize {
        if let Some(id) = self.origin_ids.get(place) {
            return *id;
        }
        let id = self.origins.len();
        self.origins.push(place.clone());
        self.origin_ids.insert(place.clone(), id);
        id
    }

    /// A TLS session to a place, its handshake not begun.
    pub fn tls_session(&mut self, origin: usize) -> Result<Box<rustls::ClientConnection>, String> {
        let place = &self.origins[origin];
        let (plan, known) = &mut self.tls[place.tls];
        let config = match known {
            Some(config) => config,
            none => none.insert(crate::tls::config_of(plan)?),
        };
        crate::tls::connection(config, &place.host)
    }

    fn load(&mut self, users: &mut Vec<User>, stop: &Stop, events: &Sender<Event>) -> Result<Done, Fatal> {
        let mut ramp = Ramp::new(&self.plan.stages);
        let end_ns = self.plan.duration_s.map(|seconds| (seconds * 1e9) as i64);
        let flush_ns = self.plan.flush_s.map(|seconds| (seconds * 1e9) as i64);
        let (mut next_tick, mut next_flush, mut next_ramp) = (1_000_000_000, flush_ns, Some(0));
        let mut done: Option<Done> = None;
        let mut drained_ns = None;
        let mut ready = vec![Ready { events: 0, u64: 0 }; EVENTS];
        loop {
            let now_ns = self.now_ns();
            if now_ns >= next_tick {
                self.lag_ns = self.lag_ns.max(now_ns - next_tick);
                self.log.flush()?;
                let second = now_ns / 1_000_000_000;
                next_tick = (second + 1) * 1_000_000_000;
                let lag_ns = std::mem::take(&mut self.lag_ns);
                let tick = Event::Tick { second, rows: self.log.rows, users: self.alive, in_flight: self.in_flight, lag_ns };
                let _ = events.send(tick); // nobody listens any more: the stop is on its way
            }
            if let Some((at, every)) = next_flush.zip(flush_ns).filter(|(at, _)| *at <= now_ns) {
                self.log.flush()?;
                let _ = events.send(Event::Flush { until_ns: now_ns, rows: self.log.rows });
                next_flush = Some(at.max(now_ns - every) + every);
            }
            if done.is_none() {
                if next_ramp.is_some_and(|at| at <= now_ns) {
                    let (wanted, next) = ramp.wanted(now_ns);
                    self.set_users(users, wanted);
                    next_ramp = next;
                }
                let all_done = self.plan.iterations.is_some() && self.finished >= self.plan.most_users();
                if end_ns.is_some_and(|end| end <= now_ns) || stop.is_asked() || all_done || self.fatal.is_some() {
                    let stopped = stop.is_asked() && !all_done;
                    let (users_now, in_flight) = (self.alive, self.in_flight);
                    done = Some(Done { rows: 0, ran_ns: now_ns, stopped, users: users_now, in_flight, lag_ns: 0 });
                    let drain_s = if stopped { self.plan.drain_s.min(STOP_DRAIN_S) } else { self.plan.drain_s };
                    drained_ns = Some(now_ns + (drain_s * 1e9) as i64);
                    self.draining = true;
                    self.set_users(users, 0);
                }
            }
            if let Some(mut done) =
                done.take_if(|_| self.in_flight == 0 || self.fatal.is_some() || drained_ns.is_some_and(|at| at <= now_ns))
            {
                self.give_up(users);
                self.log.flush()?;
                done.rows = self.log.rows;
                done.lag_ns = self.lag_ns;
                return self.fatal.take().map_or(Ok(done), Err);
            }
            let times =
                [Some(next_tick), next_flush, drained_ns.or(end_ns), if done.is_none() { next_ramp } else { None }, self.timers.next_ns()];
            let next_ns = times.into_iter().flatten().min().unwrap_or(i64::MAX);
            let wait_ns = if self.ready.is_empty() { (next_ns - self.now_ns()).max(0) as u64 } else { 0 };
            let count = self.poller.wait(&mut ready, Some(wait_ns))?;
            let woken_ns = self.now_ns();
            while let Some((due_ns, due)) = self.timers.pop_due(woken_ns) {
                self.lag_ns = self.lag_ns.max(woken_ns - due_ns);
                self.fire(users, due, woken_ns);
            }
            for _ in 0..self.ready.len() {
                if let Some(id) = self.ready.pop_front() {
                    self.drive(&mut users[id as usize], id);
                }
            }
            for event in &ready[..count] {
                self.event(users, *event, stop);
            }
        }
    }

    fn event(&mut self, users: &mut [User], event: Ready, stop: &Stop) {
        let (token, bits) = (event.u64, event.events);
        if token == WAKER {
            stop.waker.clear();
            for id in self.resolver.take(self.now_ns()) {
                let user = &mut users[id as usize];
                if user.hit.in_flight && user.next == Next::Answer && user.hit.connect_deadline_ns.is_some() {
                    self.go_on(user, id);
                    self.drive(user, id);
                }
            }
            return;
        }
        let (id, serial) = ((token >> 32) as u32, token as u32);
        let user = &mut users[id as usize];
        let Some(at) = user.conns.iter().position(|conn| conn.serial == serial) else { return };
        let conn = &mut user.conns[at];
        conn.ended |= bits & ENDED != 0;
        if conn.phase == Phase::Idle {
            // closed while nothing was asked, or says something unasked: found out before the next request is written
            if bits & (READABLE | ENDED) != 0 {
                user.close(serial);
            }
            return;
        }
        self.progress(user, id, at, bits & (READABLE | ENDED) != 0);
        self.drive(user, id);
    }

    fn fire(&mut self, users: &mut [User], due: Due, now_ns: i64) {
        match due {
            Due::Pause { user: id, number } => {
                let user = &mut users[id as usize];
                if user.is_paused && user.pauses == number {
                    user.is_paused = false;
                    self.drive(user, id);
                }
            }
            Due::Timeout { user: id } => {
                let user = &mut users[id as usize];
                user.watched_ns = None;
                if !user.hit.in_flight || user.next != Next::Answer {
                    return;
                }
                if now_ns >= user.when_late_ns() {
                    self.time_out(user, id, now_ns);
                    self.drive(user, id);
                } else {
                    self.watch(user, id);
                }
            }
        }
    }

    /// Sees to it that a timer looks at the user's hit when it may be late; one that fires earlier sets the next.
    pub fn watch(&mut self, user: &mut User, id: u32) {
        let late_ns = user.when_late_ns();
        if user.watched_ns.is_none_or(|at| at > late_ns) {
            user.watched_ns = Some(late_ns);
            self.timers.add(late_ns, Due::Timeout { user: id });
        }
    }

    /// Holds the user up; `is_free`: a stop may end the pause, and with it the user.
    pub fn pause(&mut self, user: &mut User, id: u32, wait_ns: i64, is_free: bool) {
        if is_free && user.stopping {
            user.next = Next::Gone;
            return;
        }
        user.pauses = user.pauses.wrapping_add(1);
        user.is_paused = true;
        user.is_free = is_free;
        self.timers.add(self.now_ns() + wait_ns, Due::Pause { user: id, number: user.pauses });
    }

    fn set_users(&mut self, users: &mut Vec<User>, wanted: u32) {
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
            if (user.is_paused && user.is_free) || user.next == Next::Finished {
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
            stopping: false,
            hit: Hit::default(),
            own: Outgoing::default(),
            uses_own: false,
            watched_ns: None,
            network_rng: None,
        };
        // the place of one who is gone, if there is one; timers and events of his must not reach the new one
        let free = users
            .iter()
            .rposition(|old| old.next == Next::Gone && old.watched_ns.is_none())
            .filter(|_| self.started as usize > users.len() + 1);
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
    fn give_up(&mut self, users: &mut [User]) {
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
