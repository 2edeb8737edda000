//! One user's way through the steps: conditions, throttle, request, conditioner, pauses. What the network does is in `exchange`.

use crate::http::request::{assemble, values_json};
use crate::load::arrivals::Turn;
use crate::load::engine::Loop;
use crate::load::hitlog::Timings;
use crate::load::user::{Next, Phase, User, Waiting};
use crate::os::random::Rng;
use crate::plan::host::DigestAsked;
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::{Assembled, Conditioned, Kept, Network, OnFailure, RequestPlan, Step};
use crate::values::node::{Missing, Node};
use crate::values::value::{number_of, shown};

/// A pass in which nothing was sent (every condition said no, every template lacked a value) must not spin.
const IDLE_PASS_NS: i64 = 10_000_000;
/// Until it is looked for the first time again whether a token has come, and the longest that a user waits then: `oauth2.POLL_S`.
const TOKEN_NS: (i64, i64) = (2_000_000, 50_000_000);
/// Passes that are given away without a look at answers, when many are due: starting one that needs a connection takes some 30 µs.
const PASSES_AT_ONCE: usize = 32;

impl<'p> Loop<'p> {
    /// Lets a user do what he does next, until he has to wait for something.
    pub fn drive(&mut self, user: &mut User, id: u32) {
        while !user.is_paused && self.fatal.is_none() {
            match user.next {
                Next::Pass => self.begin_pass(user, id),
                Next::Step => self.begin_step(user),
                Next::Throttle => {
                    let throttles = &self.plan.steps[user.step].throttles;
                    let Some(throttle) = throttles.get(user.hit.throttled) else {
                        user.hit.throttled = 0;
                        user.next = Next::Attempt;
                        continue;
                    };
                    user.hit.throttled += 1;
                    let now_ns = self.now_ns();
                    let wait_ns = self.throttles[*throttle].reserve(now_ns);
                    if wait_ns > 0 {
                        user.hit.due_ns = user.hit.due_ns.map(|due_ns| due_ns.max(now_ns + wait_ns));
                        self.pause(user, id, wait_ns, true);
                    }
                }
                Next::Attempt => {
                    self.attempt(user, id);
                    if user.next == Next::EndStep || user.next == Next::Throttle {
                        return self.ready.push_back(id); // nothing was sent: let others run
                    }
                }
                Next::Again => {
                    user.next = Next::Answer;
                    self.go_on(user, id);
                    if user.next != Next::Answer {
                        return self.ready.push_back(id);
                    }
                }
                Next::Send => {
                    user.next = Next::Answer;
                    let now_ns = self.now_ns();
                    if let Some(asked) = &user.asked {
                        user.hit.deadline_ns = now_ns + (asked.timeout_s() * 1e9) as i64;
                        self.watch(user, id);
                        self.begin_talk(user);
                        if user.next != Next::Answer {
                            return self.ready.push_back(id); // as below
                        }
                        continue;
                    }
                    let limits = if user.uses_own { user.own.limits } else { self.fixed_limits(user.step) };
                    user.hit.deadline_ns = now_ns + (limits.total_s * 1e9) as i64;
                    user.hit.connect_deadline_ns = None;
                    user.hit.resent = 0;
                    self.go_on(user, id);
                    if user.next != Next::Answer {
                        return self.ready.push_back(id); // a refused connection fails at once: let others run
                    }
                }
                Next::Call | Next::Resume => {
                    self.go_on_in_python(user);
                    if user.next == Next::EndStep && user.ends {
                        return self.ready.push_back(id); // as above
                    }
                }
                Next::EndStep => self.end_step(user, id),
                Next::Answer | Next::Finished | Next::Turn | Next::Batch | Next::Rest => return,
                Next::Gone => {
                    self.drop_conns(user);
                    self.hang_up(user);
                    return;
                }
            }
        }
    }

    fn begin_pass(&mut self, user: &mut User, id: u32) {
        if user.stopping {
            return self.leave(user);
        }
        if !user.is_set_up && self.plan.on_start > 0 {
            (user.step, user.end) = (0, self.plan.on_start);
            user.has_begun.set(true); // its attempts are of no pass
            user.next = Next::Step;
            return;
        }
        (user.is_set_up, user.phase) = (true, Phase::Load);
        if let Some(arrivals) = &mut self.arrivals {
            user.next = Next::Turn;
            arrivals.wait(id);
            return;
        }
        if self.plan.iterations.is_some_and(|most| user.passes >= most) {
            return self.finish(user);
        }
        user.has_sent = false;
        self.book(user);
        let unit = self.picks.as_mut().map_or(0, |picks| picks.draw());
        (user.step, user.end) = self.plan.units[unit];
        user.next = Next::Step;
    }

    /// Nothing is left for the user to do, but for his `on_stop`.
    fn finish(&mut self, user: &mut User) {
        self.leave(user);
        if user.next == Next::Gone {
            user.next = if user.stopping { Next::Gone } else { Next::Finished };
            self.drop_conns(user);
            self.finished += 1;
        }
    }

    /// The user goes, now or after his `on_stop`; a pass that he has under way is cut off.
    pub fn leave(&mut self, user: &mut User) {
        if user.part.is_on {
            return self.cut_off_part(user);
        }
        self.cut_off(user);
        self.settle(user, false);
        self.left(user);
        user.next = Next::Gone;
        if std::mem::take(&mut user.is_set_up) && self.plan.on_stop < self.plan.steps.len() {
            self.leaving += 1;
            user.phase = Phase::OnStop;
            (user.step, user.end) = (self.plan.on_stop, self.plan.steps.len());
            user.has_begun.set(true);
            user.hit.due_ns = None;
            user.next = Next::Step;
        }
    }

    /// The last step of `on_start` or `on_stop` is done, or one of them ended it.
    fn end_phase(&mut self, user: &mut User, went_well: bool) {
        if user.phase == Phase::OnStop {
            self.leaving -= 1;
            if user.stopping {
                user.next = Next::Gone;
                return;
            }
            return self.finish(user);
        }
        if !went_well {
            return self.finish(user); // a user that could not be set up does not go on
        }
        (user.is_set_up, user.phase) = (true, Phase::Load);
        self.pass_ends(user);
        user.next = Next::Pass;
    }

    /// Connections may live as long as a pass.
    fn pass_ends(&mut self, user: &mut User) {
        if self.plan.kept == Kept::PerPass {
            self.drop_conns(user);
            user.ended += 1;
        }
    }

    fn begin_step(&mut self, user: &mut User) {
        let plan = self.plan;
        let step = &plan.steps[user.step];
        if !user.part.is_on {
            // a pass that was given to this user is made, also when the load ends in that moment: it was counted as started
            if user.stopping && user.hit.due_ns.is_none() && user.phase != Phase::OnStop {
                return self.leave(user);
            }
            self.data.begin_step(&mut user.scope);
            if step.batch.is_some() {
                return self.begin_batch(user);
            }
        }
        user.hit.think_s = (0.0, 0.0);
        user.ends = false;
        user.waiting = None;
        user.next = Next::EndStep;
        let is_skipped = step.run_if.as_ref().is_some_and(|condition| !condition.holds(&mut user.scope, &mut self.data))
            || step.skip_if.as_ref().is_some_and(|condition| condition.holds(&mut user.scope, &mut self.data));
        user.scope.out_of_rows = false; // a condition without a value is false, and no failure
        if is_skipped {
            self.steps[user.step].1 += 1;
            return;
        }
        user.part.has_run |= user.part.is_on;
        user.hit.flags = 0;
        user.hit.used = [0; 3];
        if matches!(step.request, RequestPlan::Call(_)) {
            user.next = Next::Call;
            return;
        }
        if let Some(think) = &step.think {
            match self.think_s(user, &think.low, think.high.as_ref()) {
                Ok(bounds) => user.hit.think_s = bounds,
                Err(text) => {
                    let now_ns = self.now_ns();
                    self.count_attempt(user);
                    (user.hit.start_ns, user.hit.asked, user.hit.timings) = (now_ns, false, Timings::default());
                    let due_ns = user.hit.due_ns.take();
                    let failure = Failure::new(Outcome::Template, format!("think_time: {text}"));
                    self.record(user, step, now_ns, Some(failure), None);
                    user.hit.due_ns = due_ns;
                    user.ends = step.on_failure != OnFailure::Continue;
                    return;
                }
            }
        }
        user.next = Next::Throttle;
    }

    /// The least and the most.
    fn think_s(&mut self, user: &mut User, low: &Node, high: Option<&Node>) -> Result<(f64, f64), String> {
        let mut seconds = |node: &Node| {
            let value = node.value(&mut user.scope, &mut self.data).map_err(|Missing(text)| text)?;
            let usable = number_of(&value).filter(|number| number.is_finite() && *number >= 0.0);
            usable.ok_or_else(|| format!("{} is not a number of seconds", shown(&value)))
        };
        let least = seconds(low)?;
        let Some(high) = high else { return Ok((least, least)) };
        Ok((least, seconds(high)?))
    }

    /// Makes the request and hands it to the network; or records why there is none.
    fn attempt(&mut self, user: &mut User, id: u32) {
        let step = &self.plan.steps[user.step];
        (user.hit.sent, user.hit.received, user.hit.redirects) = (0, 0, 0);
        user.hit.timings = Timings::default();
        (user.hit.events, user.hit.lacks_last) = (0, false);
        (user.hit.asked, user.hit.is_lost) = (false, false);
        (user.hit.trace, user.hit.is_answering) = (None, false);
        let made = self.make_request(user, step).and_then(|()| self.answer_digest(user, None).map(drop));
        if let Some(waiting) = &user.waiting {
            return self.pause(user, id, waiting.next_ns, true);
        }
        self.count_attempt(user);
        user.hit.start_ns = self.now_ns();
        let lost = match made {
            Ok(()) => {
                user.hit.asked = true;
                if self.sampler.is_some() && user.asked.is_none() {
                    self.trace(user);
                }
                match (&self.plan.network, step.conditioned) {
                    (None, _) | (_, Conditioned::No) => Ok(0),
                    (Some(network), conditioned) => self.condition(user, step, network, conditioned == Conditioned::Ask),
                }
            }
            Err(failure) => Err(failure),
        };
        user.hit.in_flight = true;
        self.in_flight += 1;
        match lost {
            Err(failure) => {
                let start_ns = user.hit.start_ns;
                self.end_hit(user, id, Err(failure), None, start_ns);
            }
            Ok(wait_ns) => {
                user.next = Next::Send;
                if wait_ns > 0 {
                    self.pause(user, id, wait_ns, false);
                }
            }
        }
    }

    fn make_request(&mut self, user: &mut User, step: &Step) -> Result<(), Failure> {
        (user.asked, user.own.stream) = (None, None);
        match &step.request {
            RequestPlan::Fixed(made) => {
                user.uses_own = made.digest.is_some() || !user.jar.borrow().is_empty();
                if user.uses_own {
                    user.own.take(made, "");
                    user.own.origin = self.step_origins[user.step].unwrap_or(0);
                    self.add_cookies(user, &made.body);
                }
                Ok(())
            }
            RequestPlan::Parts(parts) => {
                user.uses_own = true;
                let mut scratch = std::mem::take(&mut self.scratch);
                let made = assemble(&step.method, parts, &mut user.own, &mut scratch, &mut user.scope, &mut self.data, self.host);
                let result = made.map(|made| {
                    user.own.origin = match &made.place {
                        Some(place) => self.origin(place),
                        None => self.step_origins[user.step].unwrap_or(0),
                    };
                    user.own.head_end = user.own.bytes.len();
                    self.add_cookies(user, made.body);
                });
                self.scratch = scratch;
                result
            }
            RequestPlan::Python(values) => {
                user.uses_own = true;
                let template = |text: String| Failure::new(Outcome::Template, text);
                let waiting = user.waiting.take();
                let (values, waited_ns) = match waiting {
                    Some(Waiting { values, next_ns }) => (values, next_ns),
                    None => (values_json(values, &mut user.scope, &mut self.data).map_err(|Missing(text)| template(text))?, 0),
                };
                let Some(made) = self.host.assemble(user.step, user.number, &values).map_err(template)? else {
                    user.waiting = Some(Waiting { values, next_ns: next_look_ns(waited_ns) });
                    return Ok(());
                };
                let made: Assembled = serde_json::from_str(&made).map_err(|error| template(error.to_string()))?;
                if let Some(tls) = made.tls.clone() {
                    self.trust(&made.place, tls);
                }
                user.own.take(&made, "");
                user.own.origin = self.origin(&made.place);
                self.add_cookies(user, &made.body);
                Ok(())
            }
            RequestPlan::Call(call) => self.lay_out(user, call),
            RequestPlan::Message(spoken) => {
                user.speech = spoken.speech;
                user.asked = Some(self.message_of(user, &spoken.made)?);
                Ok(())
            }
        }
    }

    /// Ends the head of the user's own request with the cookies that go with it.
    pub fn add_cookies(&mut self, user: &mut User, body: &[u8]) {
        let User { own, jar, .. } = user;
        let jar = jar.borrow();
        own.bytes.truncate(own.head_end);
        if jar.is_empty() {
            let cookies = std::mem::take(&mut own.cookies);
            own.finish(&cookies, body);
            own.cookies = cookies;
            return;
        }
        let path = own.target().split('?').next().unwrap_or("/").to_owned();
        let cookies = jar.header_for(&self.origins[own.origin], &path, &own.cookies, unix_s());
        own.finish(&cookies, body);
    }

    /// Gives the user's own request the answer to a challenge of Digest: to the one in these fields of an answer, or to an earlier one.
    /// Whether there is one to answer.
    pub fn answer_digest(&mut self, user: &mut User, challenges: Option<&[Vec<u8>]>) -> Result<bool, Failure> {
        if !user.uses_own || user.asked.is_some() || user.waiting.is_some() {
            return Ok(false);
        }
        let Some(keys) = user.own.digest.clone() else { return Ok(false) };
        let (method, target) = (user.own.method().to_owned(), user.own.target().to_owned());
        let place = &self.origins[user.own.origin];
        let body = user.own.body().to_vec();
        let asked = DigestAsked { user: (user.id, user.number), place, keys: &keys, method: &method, target: &target, body: &body };
        let answer = self.host.digest(&asked, challenges).map_err(|text| Failure::new(Outcome::Protocol, text))?;
        if let Some(answer) = &answer {
            user.own.set_field(b"Authorization", answer.as_bytes());
        }
        Ok(answer.is_some())
    }

    /// How long the attempt is under way to the target by the network conditioner; Err: it is lost.
    fn condition(&mut self, user: &mut User, step: &Step, network: &Network, ask: bool) -> Result<i64, Failure> {
        if ask && network.name_filter.as_ref().is_some_and(|part| !self.name_of(user, step).contains(part.as_str())) {
            return Ok(0);
        }
        self.conditioned += 1;
        let seed = network.seed.as_ref().map(|seed| format!("{seed} {}", user.number));
        let rng = user.network_rng.get_or_insert_with(|| Rng::new(seed));
        if network.loss_rate > 0.0 && rng.unit() < network.loss_rate {
            return Err(Failure::new(Outcome::Dropped, "dropped by the network conditioner; nothing was sent"));
        }
        let jitter_ms = if network.jitter_ms > 0.0 { rng.uniform(-network.jitter_ms, network.jitter_ms) } else { 0.0 };
        Ok(((network.latency_ms + jitter_ms).max(0.0) * 1e6).round() as i64)
    }

    /// Gives a pass of the pace back, if the user has one.
    fn left(&mut self, user: &mut User) {
        if let Some(arrivals) = self.arrivals.as_mut().filter(|_| std::mem::take(&mut user.has_pass)) {
            arrivals.passed();
        }
    }

    /// Gives the passes that are due to users who are free; when there is something to do again, or None when all were given.
    /// `to_the_end`: all that are due, waiting for times that are not there yet; else only some before answers are read again.
    pub fn serve(&mut self, users: &mut [User], to_the_end: bool) -> Option<i64> {
        let most = if to_the_end { usize::MAX } else { PASSES_AT_ONCE };
        for _ in 0..most {
            if to_the_end {
                self.rest(); // who tells the times runs in Python
            }
            let now_ns = self.now_ns();
            match self.arrivals.as_mut()?.turn(now_ns, to_the_end) {
                Turn::Later(at_ns) => return Some(at_ns),
                Turn::End => return None,
                Turn::Of(id, due_ns, pick) => {
                    let user = &mut users[id as usize];
                    (user.hit.due_ns, user.has_pass, user.has_sent) = (Some(due_ns), true, false);
                    (user.step, user.end) = self.plan.units[pick.unwrap_or(0)];
                    user.next = Next::Step;
                    self.book(user);
                    self.drive(user, id);
                }
            }
        }
        Some(self.now_ns())
    }

    fn fixed_limits(&self, step: usize) -> crate::plan::Limits {
        self.fixed[step].as_ref().map(|fixed| fixed.limits).unwrap_or_default()
    }

    fn end_step(&mut self, user: &mut User, id: u32) {
        if user.part.is_on {
            return self.end_part(user);
        }
        let is_last = user.ends || user.step + 1 == user.end;
        if is_last && user.phase == Phase::Load {
            self.settle(user, true); // one that a failure ended has made all that there was to do
        }
        let (least, most) = std::mem::take(&mut user.hit.think_s);
        if !user.ends {
            let think_s = if most > least { user.scope.rng.uniform(least, most) } else { least };
            if think_s > 0.0 {
                return self.pause(user, id, (think_s * 1e9) as i64, true); // and comes back here
            }
        }
        if user.phase != Phase::Load && (is_last || user.scope.out_of_rows) {
            let went_well = !user.ends && !user.scope.out_of_rows;
            return self.end_phase(user, went_well);
        }
        if user.scope.out_of_rows {
            return self.finish(user);
        }
        if !is_last {
            user.step += 1;
            user.next = Next::Step;
            return;
        }
        user.passes += 1;
        self.pass_ends(user);
        user.next = Next::Pass;
        if self.arrivals.is_some() {
            return self.left(user);
        }
        let (low, high) = self.plan.wait_s;
        if high > 0.0 {
            let wait_s = if high > low { user.scope.rng.uniform(low, high) } else { low };
            self.pause(user, id, (wait_s * 1e9) as i64, true);
        } else if !user.has_sent {
            self.pause(user, id, IDLE_PASS_NS, true);
        }
    }
}

/// How long a user waits who waited so long before he looked for a token.
pub fn next_look_ns(waited_ns: i64) -> i64 {
    (waited_ns * 2).clamp(TOKEN_NS.0, TOKEN_NS.1)
}

pub fn unix_s() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
