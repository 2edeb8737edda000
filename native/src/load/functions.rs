//! Steps that a function of Python makes: it is resumed, says what it wants, and waits until that is there.
//!
//! A hit of it is written when its next one begins, or the function has ended: until then what the function raises makes it a failure.

use std::borrow::Cow;
use std::mem::take;

use crate::http::answer::Answer;
use crate::http::request::Outgoing;
use crate::load::engine::Loop;
use crate::load::hitlog::{Row, Timings};
use crate::load::steps::next_look_ns;
use crate::load::user::{Next, Phase, User, Waiting};
use crate::load::watch::At;
use crate::os::socket::monotonic_ns;
use crate::plan::host::{Fatal, Trace};
use crate::plan::message::MadeMessage;
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::{CallPlan, Place, RequestPlan, Step, Tls};

/// A function that keeps the loop for longer blocks it.
const SLOW_NS: i64 = 10_000_000;
const NOTHING_SENT: &str = "made no request";
/// What a hit is called that was no request.
const NO_REQUEST: &str = "PYTHON";
/// Of one batch.
const MOST_AT_ONCE: u32 = 1_000;

/// What a function wants before it goes on.
#[derive(Debug)]
pub enum Wants {
    /// Answers to a number of requests, which are sent at once.
    Answers(u32),
    /// A pause in seconds.
    Pause(f64),
    /// Nothing more.
    Nothing(End),
}

/// How a function came to its end.
#[derive(Debug, Default)]
pub struct End {
    /// It raised.
    pub failed: bool,
    /// What it raised, where its last hit does not say it already.
    pub failure: Option<Failure>,
    /// That is no fault of its last hit, but of a request that could not be begun.
    pub apart: bool,
    pub out_of_rows: bool,
}

/// A request as it goes out.
pub struct Laid {
    pub method: Cow<'static, str>,
    /// As the function calls it.
    pub name: Option<String>,
    pub made: Result<Made, Failure>,
}

/// What it is.
pub enum Made {
    /// It is laid out, but for the jar's cookies, and goes to the plan's own place.
    Plain,
    /// The same, and goes elsewhere.
    To(Place, Tls),
    /// It is of another protocol, which of the plan's speeches.
    Message(usize, MadeMessage),
    /// It waits for a token, and is to be laid out again.
    Later,
}

/// An answer, for the sample of a failure.
pub struct KeptReply {
    pub status: u16,
    pub reason: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// The functions of the load's users. `place`: that of a user in the loop.
pub trait Functions {
    /// Calls the function of a step for a user.
    fn begin(&mut self, place: u32, user: u32, step: usize) -> Result<Wants, Fatal>;

    /// Lets it go on; what it wanted is there.
    fn resume(&mut self, place: u32) -> Result<Wants, Fatal>;

    /// Lays out one of the requests that it wants: its head in `out`, without the empty line, and its body beside it.
    fn lay_out(&mut self, place: u32, at: u32, step: usize, call: &CallPlan, out: &mut Outgoing, body: &mut Vec<u8>) -> Laid;

    /// `is_good`: it did not fail by what its protocol says.
    fn answered(&mut self, place: u32, at: u32, answer: &Answer, took_ns: i64, is_good: bool) -> Result<(), Fatal>;

    /// No whole answer came.
    fn failed(&mut self, place: u32, at: u32, text: &str) -> Result<(), Fatal>;

    /// The answer to one of its requests, or to the last one before those that it wants now.
    fn reply(&mut self, place: u32, at: Option<u32>) -> Option<KeptReply>;

    /// The secrets of the user, which are masked, each as JSON.
    fn secrets(&mut self, place: u32) -> Vec<String>;

    /// Ends it where it waits.
    fn cut_off(&mut self, place: u32);

    /// The loop is about to wait: other threads may have the interpreter, which is kept from call to call until then.
    fn rest(&mut self);
}

/// The time that functions took since the start, or since it was reported last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    pub ns: i64,
    /// The longest that one kept the loop, and its step.
    pub slowest_ns: i64,
    pub slowest_step: usize,
    /// How often one kept it for more than 10 ms.
    pub slow: u64,
}

impl Spent {
    fn add(&mut self, step: usize, ns: i64) {
        self.ns += ns;
        self.slow += u64::from(ns > SLOW_NS);
        if ns > self.slowest_ns {
            (self.slowest_ns, self.slowest_step) = (ns, step);
        }
    }
}

/// A user's function that is under way, and the request of it that is.
#[derive(Default)]
pub struct Call {
    is_running: bool,
    /// Requests that it has asked for.
    count: u32,
    /// Whose function it is, which of the requests that it wants now this user makes, and the number of that.
    pub of: u32,
    at: u32,
    number: u32,
    method: Cow<'static, str>,
    name: Option<String>,
    /// The last hit, which may still become a failure; few users have one.
    open: Option<Box<OpenHit>>,
    /// Of a batch: requests without an answer so far, or steps that have not ended.
    pub waits: u32,
    /// He makes requests for another, and is none of the load's users.
    pub is_help: bool,
    /// Those who make requests for this one.
    pub helps: Vec<u32>,
}

/// A hit that has ended and is not written yet.
struct OpenHit {
    row: Row,
    failure: Option<Failure>,
    has_request: bool,
    has_answer: bool,
    trace: Option<Box<Trace>>,
}

impl<'p> Loop<'p> {
    /// The user's function is called, or goes on.
    pub fn go_on_in_python(&mut self, user: &mut User) {
        let begins = user.next == Next::Call;
        let Some(functions) = self.functions.as_deref_mut() else {
            self.fatal.get_or_insert(Fatal("there are no functions of Python".into()));
            return;
        };
        self.doing.step(user.step);
        self.doing.at(At::Python);
        let begun_ns = monotonic_ns();
        let wants = if begins {
            let Call { helps, .. } = take(&mut user.call);
            user.call = Call { is_running: true, helps, of: user.id, ..Call::default() };
            functions.begin(user.id, user.number, user.step)
        } else {
            functions.resume(user.id)
        };
        self.python.add(user.step, monotonic_ns() - begun_ns);
        self.doing.at(At::Running);
        match wants {
            Ok(wants) => self.obey(user, wants),
            Err(fatal) => {
                self.fatal.get_or_insert(fatal);
            }
        }
    }

    fn obey(&mut self, user: &mut User, wants: Wants) {
        match wants {
            Wants::Answers(count) => {
                self.close_hit(user, None);
                if user.stopping && user.hit.due_ns.is_none() && user.phase != Phase::OnStop {
                    return self.leave(user);
                }
                user.call.count += count;
                (user.call.at, user.call.number) = (count - 1, user.call.count);
                user.hit.flags = 0;
                if count == 1 {
                    user.next = Next::Throttle;
                } else {
                    user.call.waits = count;
                    user.next = Next::Batch;
                    self.batches.push(user.id);
                }
            }
            Wants::Pause(seconds) => {
                user.next = Next::Resume;
                self.pause(user, user.id, (seconds * 1e9) as i64, true);
            }
            Wants::Nothing(end) => self.end_call(user, end),
        }
    }

    fn end_call(&mut self, user: &mut User, end: End) {
        let End { mut failed, mut failure, apart, out_of_rows } = end;
        user.call.is_running = false;
        user.scope.out_of_rows = out_of_rows;
        if !failed && user.call.count == 0 && user.phase == Phase::Load {
            (failed, failure) = (true, Some(Failure::new(Outcome::Template, NOTHING_SENT)));
        }
        if apart {
            self.close_hit(user, None);
        }
        match (failure, &mut user.call.open) {
            (Some(failure), Some(open)) => drop(open.failure.get_or_insert(failure)),
            (Some(failure), None) => self.open_without_request(user, failure),
            (None, _) => {}
        }
        self.close_hit(user, None);
        user.ends = failed;
        user.next = Next::EndStep;
    }

    /// A function that fails before its first request, or between two, is a hit of its own.
    fn open_without_request(&mut self, user: &mut User, failure: Failure) {
        user.hit.flags = 0;
        self.count_attempt(user);
        user.hit.start_ns = self.now_ns();
        (user.hit.sent, user.hit.received, user.hit.timings) = (0, 0, Timings::default());
        user.call.method = NO_REQUEST.into();
        let title = match &self.plan.steps[user.step].request {
            RequestPlan::Call(call) => call.title.clone(),
            _ => String::new(),
        };
        user.call.name = Some(title);
        let row = self.row_of(user, 0, user.hit.start_ns, 0);
        user.hit.due_ns = None;
        let failure = Some(Failure { outcome: Outcome::Template, ..failure });
        user.call.open = Some(Box::new(OpenHit { row, failure, has_request: false, has_answer: false, trace: None }));
    }

    /// Makes the user's own request of what his function asks for.
    pub fn lay_out(&mut self, user: &mut User, call: &CallPlan) -> Result<(), Failure> {
        user.uses_own = true;
        (user.own.digest, user.own.stream) = (None, None);
        let waited_ns = user.waiting.take().map_or(0, |waiting| waiting.next_ns);
        let mut body = take(&mut self.body);
        body.clear();
        let Some(functions) = self.functions.as_deref_mut() else { return Ok(()) };
        let laid = functions.lay_out(user.call.of, user.call.at, user.step, call, &mut user.own, &mut body);
        (user.call.method, user.call.name) = (laid.method, laid.name);
        let done = laid.made.map(|made| {
            user.own.origin = match made {
                Made::Plain => self.step_origins[user.step].unwrap_or(0),
                Made::To(place, tls) => {
                    self.trust(&place, tls);
                    self.origin(&place)
                }
                Made::Message(speech, made) => {
                    user.speech = speech;
                    user.asked = Some(self.message_made(made));
                    return;
                }
                Made::Later => {
                    user.waiting = Some(Waiting { values: String::new(), next_ns: next_look_ns(waited_ns) });
                    return;
                }
            };
            user.own.head_end = user.own.bytes.len();
            self.add_cookies(user, &body);
        });
        self.body = body;
        done
    }

    /// A request of a function has ended.
    pub fn end_asked(&mut self, user: &mut User, judged: Result<(), Failure>, answer: Option<&mut Answer>, end_ns: i64) {
        let failure = judged.err();
        let status = answer.as_ref().map_or(0, |answer| answer.status());
        let lacking = failure.as_ref().filter(|failure| failure.outcome != Outcome::Status || user.hit.is_lost);
        let (of, at, took_ns) = (user.call.of, user.call.at, end_ns - user.hit.start_ns);
        let mut told = Ok(());
        if let Some(functions) = self.functions.as_deref_mut() {
            if let Some(answer) = &answer {
                told = functions.answered(of, at, answer, took_ns, failure.is_none());
            }
            if let Some(failure) = lacking {
                told = told.and(functions.failed(of, at, &failure.text));
            }
        }
        if let Err(fatal) = told.and(answer.as_deref().map_or(Ok(()), |answer| self.note_revision(answer))) {
            self.fatal.get_or_insert(fatal);
        }
        user.has_sent |= failure.as_ref().is_none_or(|failure| failure.outcome.sent());
        let row = self.row_of(user, 0, end_ns, status);
        user.hit.due_ns = None; // the first request of a pass is due with it, the others when the one before is done
        let (has_request, has_answer, trace) = (user.hit.asked, answer.is_some(), user.hit.trace.take());
        user.call.open = Some(Box::new(OpenHit { row, failure, has_request, has_answer, trace }));
        if user.call.is_help {
            self.close_hit(user, Some(at));
            self.helped.push(of);
            user.next = Next::Rest;
        } else if user.call.waits > 1 {
            user.call.waits -= 1;
            user.next = Next::Batch;
        } else {
            user.call.waits = 0;
            user.next = Next::Resume;
        }
    }

    /// Writes the user's last hit, if it is not yet: nothing can make a failure of it any more.
    fn close_hit(&mut self, user: &mut User, at: Option<u32>) {
        let Some(open) = user.call.open.take() else { return };
        if let Err(fatal) = self.try_close(user, *open, at) {
            self.fatal.get_or_insert(fatal);
        }
    }

    fn try_close(&mut self, user: &mut User, open: OpenHit, at: Option<u32>) -> Result<(), Fatal> {
        let OpenHit { mut row, failure, has_request, has_answer, trace } = open;
        let plan = self.plan;
        let step = &plan.steps[user.step];
        let RequestPlan::Call(call) = &step.request else { return Ok(()) };
        row.series = self.series_of_call(user, call)?;
        if user.scope.out_of_rows {
            row.flags |= crate::plan::outcome::LAST;
        }
        if let Some(trace) = trace {
            let secrets = self.secrets(user, step, None);
            let (due_ns, start_ns, end_ns, failure) = (row.due_ns, row.start_ns, row.end_ns, failure.as_ref());
            let ended = crate::plan::host::Ended { due_ns, start_ns, end_ns, status: row.status, flags: row.flags, failure, secrets };
            self.tell_span(user, step, &trace, ended)?;
        }
        if let Some(failure) = failure {
            row.outcome = failure.outcome as u8;
            let of = user.call.of;
            let reply = self.functions.as_deref_mut().filter(|_| has_answer).and_then(|functions| functions.reply(of, at));
            user.hit.asked = has_request;
            row.error = self.error_of_call(user, step, row.series, row.end_ns, failure, reply)?;
        }
        Ok(self.log.append(&row)?)
    }

    fn error_of_call(
        &mut self,
        user: &mut User,
        step: &Step,
        series: u32,
        end_ns: i64,
        failure: Failure,
        reply: Option<KeptReply>,
    ) -> Result<u32, Fatal> {
        let reply = reply.as_ref().map(|kept| crate::plan::host::GotReply {
            status: kept.status,
            reason: &kept.reason,
            fields: kept.fields.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
            body: &kept.body,
        });
        self.error_of(user, step, series, end_ns, failure, None, reply)
    }

    /// Of most hits it is known by step, method and number.
    pub fn series_of_call(&mut self, user: &User, call: &CallPlan) -> Result<u32, Fatal> {
        let Call { method, name, number, .. } = &user.call;
        if name.is_none()
            && let Some(series) = self.call_series.get(&(user.step, method.clone(), *number))
        {
            return Ok(*series);
        }
        let title = name_in(call, name.as_deref(), *number);
        let series = self.series_named(method, &title)?;
        if name.is_none() && self.call_series.len() < crate::load::record::KNOWN {
            self.call_series.insert((user.step, method.clone(), *number), series);
        }
        Ok(series)
    }

    /// What the hit is called that is under way.
    pub fn name_of_call(&self, user: &User, call: &CallPlan) -> String {
        name_in(call, user.call.name.as_deref(), user.call.number)
    }

    pub fn secrets_of_call(&mut self, user: &User) -> Vec<String> {
        self.functions.as_deref_mut().map_or_else(Vec::new, |functions| functions.secrets(user.call.of))
    }

    /// See `Functions::rest`.
    pub fn rest(&mut self) {
        if let Some(functions) = self.functions.as_deref_mut() {
            functions.rest();
        }
    }

    /// The user's function goes no further.
    pub fn cut_off(&mut self, user: &mut User) {
        if !take(&mut user.call.is_running) {
            return;
        }
        self.close_hit(user, None);
        if let Some(functions) = self.functions.as_deref_mut() {
            self.doing.step(user.step);
            self.doing.at(At::Python);
            functions.cut_off(user.id);
            self.doing.at(At::Running);
        }
    }

    /// Gives the requests of batches to those who make them, and says whose batch is answered.
    pub fn share_batches(&mut self, users: &mut Vec<User>) {
        for of in take(&mut self.helped) {
            let user = &mut users[of as usize];
            user.call.waits = user.call.waits.saturating_sub(1);
            if user.call.waits == 0 && user.next == Next::Batch {
                user.next = Next::Resume;
                self.ready.push_back(of);
            }
        }
        self.end_parts(users);
        for id in take(&mut self.batches) {
            if users[id as usize].part.is_on {
                self.share_steps(users, id);
                continue;
            }
            let wanted = users[id as usize].call.waits - 1;
            while (users[id as usize].call.helps.len() as u32) < wanted {
                self.add_help(users, id);
            }
            for at in 0..wanted {
                let user = &mut users[id as usize];
                let help_id = user.call.helps[at as usize];
                let number = user.call.count - wanted + at;
                let (step, phase, begun, ended) = (user.step, user.phase, user.has_begun.clone(), user.ended);
                let due_ns = user.hit.due_ns.take();
                let help = &mut users[help_id as usize];
                help.end_connections(ended);
                (help.step, help.phase, help.has_begun) = (step, phase, begun);
                (help.hit.due_ns, help.hit.flags, help.hit.used) = (due_ns, 0, [0; 3]);
                (help.call.of, help.call.at, help.call.number) = (id, at, number);
                help.next = Next::Throttle;
                self.ready.push_back(help_id);
            }
            users[id as usize].next = Next::Throttle;
            self.ready.push_back(id);
        }
    }
}

fn name_in(call: &CallPlan, name: Option<&str>, number: u32) -> String {
    let CallPlan { title, phase, numbered, .. } = call;
    match name {
        Some(name) => format!("{phase}{name}"),
        None if number > 1 || *numbered => format!("{phase}{title} {number}"),
        None => format!("{phase}{title}"),
    }
}

/// Whether that many requests may be sent at once.
pub fn too_many(count: usize) -> Option<String> {
    (count > MOST_AT_ONCE as usize).then(|| format!("a batch of {count} requests; there may be {MOST_AT_ONCE}"))
}
