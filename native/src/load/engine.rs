//! The event loop of one core: users, timers, sockets, the log. Nothing in it is shared with another core.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use rustls::ClientConfig;

use crate::http::carrier::Heads;
use crate::http::conn::Agreed;
use crate::http::conn::Phase;
use crate::http::request::{Outgoing, Scratch};
use crate::http::tls::{HTTP_2, HTTP_3, for_one_user};
use crate::load::arrivals::{Arrivals, Passes};
use crate::load::channels::{Channels, SHARED};
use crate::load::functions::{Functions, Spent};
use crate::load::hitlog::HitLog;
use crate::load::limits::Throttle;
use crate::load::lines::{LINE, Lines as SharedLines};
use crate::load::picks::Picks;
use crate::load::record::KindKey;
use crate::load::revisions::Revisions;
use crate::load::steps::unix_s;
use crate::load::stop::{Done, Event, Stop};
use crate::load::traces::Sampler;
use crate::load::user::{self, Next, OwnTls, User};
use crate::load::watch::{Doing, Watch};
use crate::os::dns::Resolver;
use crate::os::packets::Room;
use crate::os::random::Rng;
use crate::os::slice;
use crate::os::socket::{ENDED, Poller, READABLE, Ready, monotonic_ns};
use crate::os::timers::{Due, Timers};
use crate::plan::host::{Fatal, Host, Kind, Route};
use crate::plan::{Place, Plan, RequestPlan, Tls, TlsTerms};
use crate::protocols::orders::Orders;
use crate::values::data::Data;

const BLOCK_BYTES: usize = 65_536;
const WAKER: u64 = u64::MAX;

pub struct Loop<'p> {
    pub plan: &'p Plan,
    pub host: &'p mut dyn Host,
    pub functions: Option<&'p mut dyn Functions>,
    pub log: &'p mut HitLog,
    pub origin_ns: i64,
    pub timers: Timers,
    pub poller: Poller,
    pub resolver: Resolver,
    pub data: Data<'p>,
    pub picks: Option<Picks>,
    pub arrivals: Option<Arrivals>,
    pub sampler: Option<Sampler<'p>>,
    pub revisions: Option<Revisions<'p>>,
    /// The connections of HTTP/2 and HTTP/3, and what is kept of TLS where users share them.
    pub lines: SharedLines,
    pub channels: Channels,
    pub shared_tls: OwnTls,
    /// The heads of `fixed` as these have them, once they were sent.
    pub heads: Heads,
    /// What TLS agreed on, as far as it was told.
    pub agreed: Vec<Agreed>,
    pub throttles: Vec<Throttle>,
    /// Read when the first connection needs one: most loads need none.
    pub tls: Vec<(Tls, Option<Arc<ClientConfig>>)>,
    /// The same for all that is not HTTP, which offers what it usually does, whatever HTTP is to offer.
    message_tls: HashMap<usize, Arc<ClientConfig>>,
    pub origins: Vec<Place>,
    /// Of the same places, whom to connect to, as far as that was asked for; none are where each is connected to as it is written.
    pub routes: Vec<Option<Rc<Route>>>,
    /// The next of the plan's local addresses.
    pub next_local: usize,
    pub origin_ids: HashMap<Place, usize>,
    /// Of hosts that were asked for: why they may not be loaded, or None.
    /// By host and its addresses.
    pub refused: HashMap<(String, Vec<String>), Option<String>>,
    /// The requests of steps that are the same for every hit.
    pub fixed: Vec<Option<Outgoing>>,
    /// Places of steps whose requests always go to one.
    pub step_origins: Vec<Option<usize>>,
    pub step_series: Vec<Option<u32>>,
    pub series: HashMap<String, u32>,
    pub kinds: HashMap<KindKey, Kind>,
    pub block: Box<[u8]>,
    /// The same for datagrams; until there are some, it is no memory that is used.
    pub packets: Room,
    pub scratch: Scratch,
    /// Users who go on in this round: after a failure, others come first.
    pub ready: VecDeque<u32>,
    /// Connections whose peers had more than is read in one go, by user and serial.
    pub unread: VecDeque<(u32, u32)>,
    pub doing: Arc<Doing>,
    pub in_flight: u32,
    pub draining: bool,
    pub finished: u32,
    /// Users who are at `on_stop`.
    pub leaving: u32,
    /// Those who are gone, and whose connections are still to be closed.
    pub departed: VecDeque<u32>,
    pub fatal: Option<Fatal>,
    pub lag_ns: i64,
    /// Users that were ever started, and those that are at work.
    pub started: u32,
    pub alive: u32,
    pub users_peak: u32,
    pub passes: Passes,
    pub steps: Vec<(u64, u64)>,
    pub conditioned: u64,
    /// What functions took, and the ids of names that their hits have by step, method and number.
    pub python: Spent,
    pub call_series: HashMap<(usize, Cow<'static, str>, u32), u32>,
    /// Reused from request to request of a function, and from word to word with a client.
    pub body: Vec<u8>,
    pub orders: Orders,
    /// Users whose functions want several answers at once, those for whom others have one, and how many those others are.
    pub batches: Vec<u32>,
    pub helped: Vec<u32>,
    pub helps: usize,
    /// Those whose steps of a batch have ended.
    pub parts: Vec<u32>,
}

/// What the parent gives and is given while the load runs.
pub struct Lines<'a> {
    pub stop: &'a Stop,
    pub events: &'a Sender<Event>,
    /// When passes are due, in ascending order; closed after the last.
    pub due: Receiver<Vec<i64>>,
    /// Those of the plan's steps that are functions of Python.
    pub functions: Option<&'a mut dyn Functions>,
}

/// Runs the whole load; every hit is in the log when it returns.
pub fn run(plan: &Plan, host: &mut dyn Host, log: &mut HitLog, origin_ns: i64, lines: Lines) -> Result<Done, Fatal> {
    let Lines { stop, events, due, functions } = lines;
    let functions = functions.map(|functions| functions as &mut dyn Functions);
    let mut core = Loop::new(plan, host, log, origin_ns, stop, due, functions)?;
    let watch = Watch::start(core.doing.clone(), core.log.shared(), origin_ns, events.clone())?;
    let mut users: Vec<User> = Vec::new();
    slice::ask_for_short_turns();
    let done = core.load(&mut users, stop, events);
    drop(watch);
    core.log.flush()?;
    if let Some(over_cap) = core.sampler.as_ref().map(|sampler| sampler.over_cap).filter(|count| *count > 0) {
        core.host.over_cap(over_cap)?;
    }
    done
}

impl<'p> Loop<'p> {
    fn new(
        plan: &'p Plan,
        host: &'p mut dyn Host,
        log: &'p mut HitLog,
        origin_ns: i64,
        stop: &Stop,
        due: Receiver<Vec<i64>>,
        functions: Option<&'p mut dyn Functions>,
    ) -> Result<Self, Fatal> {
        let poller = Poller::new()?;
        poller.add(stop.waker.fd(), WAKER)?;
        let rng = Rng::new(Some(plan.pick_seed.clone()));
        let mut picks = plan.weights.as_ref().and_then(|weights| Picks::new(weights, rng));
        let arrivals = plan.pace.as_ref().map(|pace| Arrivals::new(pace, due, picks.take(), plan.shard, plan.shards));
        let mut core = Loop {
            plan,
            host,
            functions,
            log,
            origin_ns,
            timers: Timers::default(),
            poller,
            resolver: Resolver::new(stop.waker.clone()),
            data: Data::new(&plan.sources, &plan.pools, plan.shard, plan.shards),
            picks,
            arrivals,
            sampler: plan.traces.as_ref().map(Sampler::new),
            revisions: plan.revision_header.as_deref().map(Revisions::new),
            lines: SharedLines::default(),
            channels: Channels::default(),
            shared_tls: OwnTls::new(),
            heads: Heads::default(),
            agreed: Vec::new(),
            throttles: plan.throttles.iter().map(Throttle::new).collect(),
            tls: plan.tls.iter().map(|plan| (plan.clone(), None)).collect(),
            message_tls: HashMap::new(),
            origins: Vec::new(),
            routes: Vec::new(),
            next_local: plan.shard,
            origin_ids: HashMap::new(),
            refused: HashMap::new(),
            fixed: Vec::new(),
            step_origins: Vec::new(),
            step_series: vec![None; plan.steps.len()],
            series: HashMap::new(),
            kinds: HashMap::new(),
            block: vec![0; BLOCK_BYTES].into(),
            packets: Room::default(),
            scratch: Scratch::default(),
            ready: VecDeque::new(),
            unread: VecDeque::new(),
            doing: Arc::default(),
            in_flight: 0,
            draining: false,
            finished: 0,
            leaving: 0,
            departed: VecDeque::new(),
            fatal: None,
            lag_ns: 0,
            started: 0,
            alive: 0,
            users_peak: 0,
            passes: Passes::default(),
            steps: vec![(0, 0); plan.steps.len()],
            conditioned: 0,
            python: Spent::default(),
            call_series: HashMap::new(),
            body: Vec::new(),
            orders: Orders::of_run(unix_s() - (monotonic_ns() - origin_ns) / 1_000_000_000),
            batches: Vec::new(),
            helped: Vec::new(),
            helps: 0,
            parts: Vec::new(),
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
                RequestPlan::Python(_) | RequestPlan::Message(_) => (None, None),
                RequestPlan::Call(call) => (None, call.base.as_ref().map(|base| core.origin(&base.place))),
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
        self.routes.push(None);
        self.origin_ids.insert(place.clone(), id);
        id
    }

    /// What Python said of a place that it named: whom TLS trusts there, where that was not known before.
    pub fn trust(&mut self, place: &Place, tls: Tls) {
        if place.tls == self.tls.len() {
            self.tls.push((tls, None));
        }
    }

    /// A TLS session to a place for another protocol than HTTP, its handshake not begun.
    pub fn message_tls_session(&mut self, origin: usize) -> Result<Box<rustls::ClientConnection>, String> {
        let place = &self.origins[origin];
        let config = match self.message_tls.entry(place.tls) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(none) => {
                let plan = &self.tls[place.tls].0;
                none.insert(crate::http::tls::config_of(plan, &TlsTerms::default(), plan.http2.then_some(HTTP_2))?)
            }
        };
        crate::http::tls::connection(config, place.sni.as_deref().unwrap_or(&place.host))
    }

    /// A TLS session to a place, its handshake not begun.
    /// `own`: what is kept of a user's, where sessions may be resumed.
    pub fn tls_session(&mut self, own: &mut OwnTls, origin: usize) -> Result<Box<rustls::ClientConnection>, String> {
        let config = self.tls_config(own, origin)?;
        let place = &self.origins[origin];
        crate::http::tls::connection(&config, place.sni.as_deref().unwrap_or(&place.host))
    }

    /// How TLS is set up there.
    pub fn tls_config(&mut self, own: &mut OwnTls, origin: usize) -> Result<Arc<ClientConfig>, String> {
        let offers = if self.plan.http3 { Some(HTTP_3) } else { self.plan.http2.then_some(HTTP_2) };
        let terms = &self.plan.tls_terms;
        let place = &self.origins[origin];
        let (plan, known) = &mut self.tls[place.tls];
        let config = match known {
            Some(config) => config,
            none => none.insert(crate::http::tls::config_of(plan, terms, offers)?),
        };
        let config = if terms.resumes { own.entry(place.tls).or_insert_with(|| for_one_user(config)) } else { config };
        Ok(config.clone())
    }

    /// Whether a place has TLS that is of no use without HTTP/2.
    pub fn tls_asks_for_http2(&self, origin: usize) -> bool {
        let place = &self.origins[origin];
        place.https && self.tls[place.tls].0.http2
    }

    /// Whom to connect to for a place that the plan's rules are about.
    pub fn route(&mut self, origin: usize) -> Result<Rc<Route>, String> {
        if let Some(known) = &self.routes[origin] {
            return Ok(known.clone());
        }
        let route = Rc::new(self.host.route(&self.origins[origin])?);
        self.routes[origin] = Some(route.clone());
        Ok(route)
    }

    pub fn event(&mut self, users: &mut [User], event: Ready, stop: &Stop) {
        let (token, bits) = (event.u64, event.events);
        if token == WAKER {
            stop.waker.clear();
            for id in self.resolver.take(self.now_ns()) {
                if id & SHARED != 0 {
                    self.channel_named(users, id);
                    continue;
                }
                let user = &mut users[id as usize];
                self.names_known(user);
                // he may have given up meanwhile, and be at work on another request
                let waits = user.hit.in_flight && user.next == Next::Answer && user.hit.connect_deadline_ns.is_some();
                if waits && user.conns.iter().all(|conn| conn.phase == Phase::Idle) {
                    self.go_on(user, id);
                }
                self.drive(user, id);
            }
            return;
        }
        let (id, serial) = ((token >> 32) as u32, token as u32);
        if id & LINE != 0 {
            return self.line_stirred(users, id, serial, bits & (READABLE | ENDED) != 0, bits & ENDED != 0);
        }
        if id & SHARED != 0 {
            return self.channel_stirred(users, id, serial, bits);
        }
        self.stirred(users, id, serial, bits);
    }

    /// Connections that were left with more to read.
    pub fn read_on(&mut self, users: &mut [User]) {
        for _ in 0..self.unread.len() {
            let Some((id, serial)) = self.unread.pop_front() else { return };
            if id & LINE != 0 {
                self.line_stirred(users, id, serial, true, false);
                continue;
            }
            if id & SHARED != 0 {
                self.channel_stirred(users, id, serial, 0);
                continue;
            }
            let user = &mut users[id as usize];
            if let Some(at) = user.talk_with(serial) {
                self.link_stirred(user, at, serial, 0);
                self.drive(user, id);
                continue;
            }
            // meanwhile its answer may have come to its end
            if users[id as usize].conns.iter().any(|conn| conn.serial == serial && conn.phase != Phase::Idle) {
                self.stirred(users, id, serial, READABLE);
            }
        }
    }

    /// Something happened on a connection.
    fn stirred(&mut self, users: &mut [User], id: u32, serial: u32, bits: u32) {
        let user = &mut users[id as usize];
        if let Some(at) = user.talk_with(serial) {
            self.link_stirred(user, at, serial, bits);
            return self.drive(user, id);
        }
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

    pub fn fire(&mut self, users: &mut [User], due: Due, due_ns: i64, now_ns: i64) {
        match due {
            Due::Pause { user: id, number } => {
                let user = &mut users[id as usize];
                if user.is_paused && user.pauses == number {
                    user.is_paused = false;
                    self.drive(user, id);
                }
            }
            Due::Alarm { user: id } if id & SHARED != 0 => self.channel_due(users, id, due_ns),
            Due::Alarm { user: id } => {
                let user = &mut users[id as usize];
                self.alarm(user, due_ns);
                self.drive(user, id);
            }
            Due::Line { line, serial } => self.line_due(users, line as usize, serial, now_ns),
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
        if is_free && user.stopping && user.phase != user::Phase::OnStop {
            return self.leave(user);
        }
        user.pauses = user.pauses.wrapping_add(1);
        user.is_paused = true;
        user.is_free = is_free;
        self.timers.add(self.now_ns() + wait_ns, Due::Pause { user: id, number: user.pauses });
    }
}
