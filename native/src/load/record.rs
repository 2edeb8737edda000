//! The end of a hit: its row, and what is reported to Python for a new kind of failure.

use crate::http::answer::Answer;
use crate::http::checks::find;
use crate::http::place::url_of;
use crate::load::engine::Loop;
use crate::load::hitlog::Row;
use crate::load::limits::failure_class;
use crate::load::user::{Next, Phase, User};
use crate::load::watch::At;
use crate::plan::host::{Ended, Fatal, GotReply, Kind, Report, SentRequest};
use crate::plan::message::Asked;
use crate::plan::outcome::{DRAINED, EVENT, Failure, LAST, LATE, Outcome, RETRY, SETUP, SUPERSEDED};
use crate::plan::{OnFailure, RequestPlan, Step};
use crate::values::node::Missing;

/// Names and kinds of failures that are remembered here; Python knows all that are in the files.
pub const KNOWN: usize = 4096;

/// Series, outcome, text.
pub type KindKey = (u32, u8, String);

impl<'p> Loop<'p> {
    /// Records the attempt and says what comes next: a retry after its delay, or the step's end.
    pub fn end_hit(&mut self, user: &mut User, id: u32, judged: Result<(), Failure>, answer: Option<&mut Answer>, end_ns: i64) {
        let plan = self.plan;
        let step = &plan.steps[user.step];
        self.in_flight -= 1;
        if user.ride.is_some() {
            self.get_off(user, id);
        }
        user.hit.in_flight = false;
        user.hit.connect_deadline_ns = None;
        if matches!(step.request, RequestPlan::Call(_)) {
            return self.end_asked(user, judged, answer, end_ns);
        }
        user.next = Next::EndStep;
        let mut delay_ns = None;
        let failure = judged.err();
        let retry = step.retry.as_ref().filter(|_| !user.scope.out_of_rows);
        if let Some((failure, retry)) = failure.as_ref().zip(retry) {
            let status = answer.as_ref().map_or(0, |answer| answer.status());
            let class = failure_class(failure, status, &plan.transient_status);
            if failure.outcome != Outcome::Unfinished
                && !(self.draining || user.stopping) // nothing follows any more, so this attempt is the last
                && let Some(delay_s) = retry.delay_s(&user.hit.used, class, || user.scope.rng.unit())
            {
                user.hit.used[class] += 1;
                user.hit.flags |= SUPERSEDED;
                delay_ns = Some((delay_s * 1e9) as i64);
            }
        }
        let sent = failure.as_ref().is_none_or(|failure| failure.outcome.sent());
        let stops = match step.on_failure {
            OnFailure::Continue => false,
            OnFailure::Stop => failure.is_some(),
            OnFailure::StopIfLacking => failure.as_ref().is_some_and(|failure| !failure.has_all),
        };
        user.ends = stops && delay_ns.is_none();
        self.record(user, step, end_ns, failure, answer);
        user.has_sent |= sent;
        if sent || delay_ns.is_some() {
            user.hit.due_ns = None; // the first request of a pass is due with it, the others when the one before is done
        }
        if let Some(delay_ns) = delay_ns {
            user.next = Next::Throttle;
            user.hit.flags = RETRY;
            self.pause(user, id, delay_ns, true);
        }
    }

    pub fn record(&mut self, user: &mut User, step: &Step, end_ns: i64, failure: Option<Failure>, answer: Option<&mut Answer>) {
        self.doing.at(At::Recording);
        let result = self.try_record(user, step, end_ns, failure, answer);
        if let Err(fatal) = result {
            self.fatal.get_or_insert(fatal);
        }
    }

    fn try_record(
        &mut self,
        user: &mut User,
        step: &Step,
        end_ns: i64,
        failure: Option<Failure>,
        mut answer: Option<&mut Answer>,
    ) -> Result<(), Fatal> {
        let series = match self.step_series[user.step] {
            Some(series) => series,
            None => self.series_of(user, step)?,
        };
        let status = answer.as_ref().map_or(0, |answer| answer.status());
        let mut row = self.row_of(user, series, end_ns, status);
        if let Some(answer) = answer.as_deref() {
            self.note_revision(answer)?;
        }
        if let Some(trace) = user.hit.trace.take() {
            let secrets = self.secrets(user, step, answer.as_deref_mut());
            let (due_ns, start_ns, failure) = (row.due_ns, row.start_ns, failure.as_ref());
            let ended = Ended { due_ns, start_ns, end_ns, status: row.status, flags: row.flags, failure, secrets };
            self.tell_span(user, step, &trace, ended)?;
        }
        if let Some(failure) = failure {
            row.outcome = failure.outcome as u8;
            row.error = self.error_of(user, step, series, end_ns, failure, answer, None)?;
        }
        Ok(self.log.append(&row)?)
    }

    /// The row of a hit that went well.
    pub fn row_of(&self, user: &User, series: u32, end_ns: i64, status: u16) -> Row {
        let start_ns = user.hit.start_ns;
        let due_ns = user.hit.due_ns.unwrap_or(start_ns);
        let late = user.phase == Phase::Load && self.arrivals.as_ref().is_some_and(|arrivals| arrivals.is_late(due_ns, start_ns));
        Row {
            due_ns,
            start_ns,
            end_ns,
            series,
            user: user.number,
            flags: user.hit.flags
                | if self.draining { DRAINED } else { 0 }
                | if late { LATE } else { 0 }
                | if user.phase == Phase::Load { 0 } else { SETUP }
                | if user.scope.out_of_rows { LAST } else { 0 },
            sent: user.hit.sent,
            received: user.hit.received,
            status,
            timings: user.hit.timings,
            ..Row::default()
        }
    }

    /// An event of the answer under way.
    pub fn record_event(&mut self, user: &mut User, step: &Step, now_ns: i64, tokens: u32, bytes: usize) -> Result<(), Fatal> {
        let series = match (&step.request, self.step_series[user.step]) {
            (RequestPlan::Call(call), _) => self.series_of_call(user, call)?,
            (_, Some(series)) => series,
            (_, None) => self.series_of(user, step)?,
        };
        let before_ns = if user.hit.events == 0 { user.hit.start_ns } else { user.hit.event_ns };
        user.hit.events += 1;
        user.hit.event_ns = now_ns;
        let setup = if user.phase == Phase::Load { 0 } else { SETUP };
        Ok(self.log.append(&Row {
            due_ns: before_ns,
            start_ns: before_ns,
            end_ns: now_ns,
            series,
            user: user.number,
            sent: u64::from(tokens),
            received: bytes as u64,
            status: u16::try_from(user.hit.events).unwrap_or(u16::MAX),
            flags: EVENT | setup | if self.draining { DRAINED } else { 0 },
            ..Row::default()
        })?)
    }

    fn series_of(&mut self, user: &mut User, step: &Step) -> Result<u32, Fatal> {
        if let Some(name) = &step.name {
            let series = self.host.series(&step.method, name)?;
            self.step_series[user.step] = Some(series);
            return Ok(series);
        }
        let name = self.name_of(user, step);
        self.series_named(&step.method, &name)
    }

    pub fn series_named(&mut self, method: &str, name: &str) -> Result<u32, Fatal> {
        let key = format!("{method} {name}");
        if let Some(series) = self.series.get(&key) {
            return Ok(*series);
        }
        let series = self.host.series(method, name)?;
        if self.series.len() < KNOWN {
            self.series.insert(key, series);
        }
        Ok(series)
    }

    /// What the step's hits are called for this user now.
    pub fn name_of(&mut self, user: &mut User, step: &Step) -> String {
        if let RequestPlan::Call(call) = &step.request {
            return self.name_of_call(user, call);
        }
        match (&step.name, &step.name_node) {
            (Some(name), _) => name.clone(),
            (None, Some(node)) => {
                let mut name = String::new();
                match node.push_text(&mut name, &mut user.scope, &mut self.data) {
                    Ok(()) => name,
                    Err(Missing(text)) => format!("(name: {text})"),
                }
            }
            (None, None) => String::new(),
        }
    }

    /// The id of a failure's text. `kept`: the answer, where `answer` has it no more.
    #[allow(clippy::too_many_arguments)]
    pub fn error_of(
        &mut self,
        user: &mut User,
        step: &Step,
        series: u32,
        end_ns: i64,
        failure: Failure,
        mut answer: Option<&mut Answer>,
        kept: Option<GotReply>,
    ) -> Result<u32, Fatal> {
        let key = (series, failure.outcome as u8, failure.text);
        if let Some(error) = self.known(&key) {
            return Ok(error);
        }
        let secrets = self.secrets(user, step, answer.as_deref_mut());
        let message = user.asked.as_ref().map(Asked::shown);
        let request = match &message {
            Some(shown) => Some(SentRequest { url: shown.url.clone(), head: shown.head.as_bytes(), body: &shown.body }),
            None => {
                let request = if user.uses_own { Some(&user.own) } else { self.fixed[user.step].as_ref() };
                // without a request there may be no place either
                request.filter(|_| user.hit.asked).map(|request| SentRequest {
                    url: url_of(&self.origins[request.origin], request.target()),
                    head: &request.bytes[..request.body_at.saturating_sub(2)],
                    body: request.body(),
                })
            }
        };
        let reply = answer.as_ref().map(|answer| GotReply {
            status: answer.status(),
            reason: answer.reason(),
            fields: answer.fields().collect(),
            body: answer.raw(),
        });
        let reply = reply.or(kept);
        let report = Report {
            series,
            user: user.number,
            end_ns,
            outcome: failure.outcome,
            text: &key.2,
            secrets,
            request: request.filter(|_| user.hit.asked),
            reply,
            speech: user.asked.as_ref().map(|_| user.speech),
        };
        let kind = self.host.failed(&report)?;
        Ok(self.remember(key, kind))
    }

    /// The id of a failure's text, where no more samples of it are wanted.
    pub fn known(&self, key: &KindKey) -> Option<u32> {
        self.kinds.get(key).filter(|kind| !kind.more).map(|kind| kind.error)
    }

    pub fn remember(&mut self, key: KindKey, kind: Kind) -> u32 {
        if self.kinds.len() < KNOWN || self.kinds.contains_key(&key) {
            self.kinds.insert(key, kind);
        }
        kind.error
    }

    /// This user's secret values, which are masked, each as JSON.
    pub fn secrets(&mut self, user: &mut User, step: &Step, answer: Option<&mut Answer>) -> Vec<String> {
        if matches!(step.request, RequestPlan::Call(_)) {
            return self.secrets_of_call(user);
        }
        let mut held: Vec<String> = Vec::new();
        let kept = step.secrets.variables.iter().filter_map(|place| user.scope.variables[*place].as_ref());
        let session = step.secrets.session.iter().filter_map(|place| user.scope.session[*place].as_ref());
        held.extend(kept.chain(session).map(json_of));
        for (source, column) in &step.secrets.cells {
            if let Some(cell) = self.data.taken(&user.scope, *source, *column) {
                held.push(json_of(&serde_json::Value::from(cell)));
            }
        }
        if let Some(answer) = answer {
            for finder in &step.secrets.finders {
                if let Ok(Ok(value)) = find(finder, answer, self.host) {
                    held.push(json_of(&value));
                }
            }
        }
        held
    }
}

fn json_of(value: &serde_json::Value) -> String {
    let mut out = String::new();
    crate::values::value::push_json(&mut out, value);
    out
}
