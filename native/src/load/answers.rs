//! How hits end: what came is judged, leads on, or never comes.

use crate::http::answer::{Answer, Told};
use crate::http::checks::{judge, short};
use crate::http::conn::Phase;
use crate::http::proxy;
use crate::http::reading::Reader;
use crate::http::redirect;
use crate::load::engine::Loop;
use crate::load::steps::unix_s;
use crate::load::user::{Next, User};
use crate::load::watch::At;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::told::Seen;
use crate::protocols::orders::{Beside, Lost, Reply, Said};
use crate::values::value::shown_text;
use crate::values::words::with_commas;

/// What most messages say of themselves.
static NOTHING: Said = Said { fields: Vec::new(), about: String::new() };

impl Loop<'_> {
    /// A whole answer: cookies, then where it leads, or what is held of it. `proxy`: it is that one's, if it says so. False: the
    /// connection is of no more use.
    pub fn answered(&mut self, user: &mut User, id: u32, reader: &Reader, block: &[u8], proxy: Option<&Proxy>, too_large: bool) -> bool {
        let end_ns = self.now_ns();
        if user.hit.timings.first_byte_ns == 0 {
            user.hit.timings.first_byte_ns = end_ns; // the first bytes that came were all
        }
        let max_body_bytes = self.plan.max_body_bytes;
        let request = self.request_of(user);
        let follow = request.limits.follow;
        let mut answer = Answer::new(reader, block, max_body_bytes);
        self.doing.at(At::Cookies);
        for (name, value) in answer.fields() {
            if name.len() == 10 && name.eq_ignore_ascii_case(b"set-cookie") {
                self.keep_cookie(user, value);
            }
        }
        if too_large {
            let text = format!("the body is over max_body_bytes ({})", with_commas(max_body_bytes));
            self.end_hit(user, id, Err(Failure::new(Outcome::TooLarge, text)), Some(&mut answer), end_ns);
            return false;
        }
        match self.is_challenged(user, &answer) {
            Ok(false) => {}
            Ok(true) => {
                user.next = Next::Again;
                return true;
            }
            Err(failure) => {
                self.end_hit(user, id, Err(failure), Some(&mut answer), end_ns);
                return true;
            }
        }
        if follow && redirect::is_redirect(answer.status()) {
            let location = answer.header("location").unwrap_or_default().into_owned();
            if !location.is_empty() {
                match self.redirected(user, answer.status(), &location) {
                    Ok(()) => user.next = Next::Again,
                    Err(failure) => self.end_hit(user, id, Err(failure), Some(&mut answer), end_ns),
                }
                return true;
            }
        }
        if let Some(proxy) = proxy.filter(|_| answer.status() == 407) {
            let failure = proxy::no_credentials(proxy, answer.reason());
            self.end_hit(user, id, Err(failure), Some(&mut answer), end_ns);
            return false;
        }
        let time_ms = (end_ns - user.hit.start_ns) as f64 / 1e6;
        let step = &self.plan.steps[user.step];
        self.doing.at(At::Judging);
        let mut judged = judge(step, &mut answer, &mut user.scope, &mut self.data, self.host, time_ms);
        if judged.is_ok()
            && user.hit.lacks_last
            && let Some(until) = self.stream_of(user).and_then(|stream| stream.until.as_ref())
        {
            judged = Err(Failure::new(Outcome::Closed, format!("the stream ended before {}", shown_text(until))));
        }
        self.end_hit(user, id, judged, Some(&mut answer), end_ns);
        true
    }

    fn keep_cookie(&mut self, user: &mut User, field: &[u8]) {
        let request = self.request_of(user);
        let origin = request.origin;
        let path = request.target().split('?').next().unwrap_or("/").to_owned();
        user.jar.borrow_mut().store(field, &self.origins[origin], &path, unix_s());
    }

    /// Makes the request that a redirect asks for the user's own.
    fn redirected(&mut self, user: &mut User, status: u16, location: &[u8]) -> Result<(), Failure> {
        if user.hit.redirects == redirect::MOST {
            return Err(Failure::new(Outcome::Redirect, format!("more than {} redirects", redirect::MOST)));
        }
        user.hit.redirects += 1;
        user.hit.is_answering = false;
        user.hit.timings.first_byte_ns = 0;
        let request = self.request_of(user).clone();
        let from = self.origins[request.origin].clone();
        let (to, target) = redirect::resolve(&from, &request, location, self.host)?;
        let made = redirect::follow(&request, &from, status, &to, &target);
        user.own.take(&made, "");
        user.own.origin = self.origin(&made.place);
        user.uses_own = true;
        self.add_cookies(user, &made.body);
        self.answer_digest(user, None).map(drop)
    }

    /// Whether the request is to be sent again, with the answer to the challenge that came.
    fn is_challenged(&mut self, user: &mut User, answer: &Answer) -> Result<bool, Failure> {
        if answer.status() != 401 || !user.uses_own || user.own.digest.is_none() || user.hit.is_answering {
            return Ok(false);
        }
        let fields = answer.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"www-authenticate"));
        let fields: Vec<Vec<u8>> = fields.map(|(_, value)| value.to_vec()).collect();
        if !self.answer_digest(user, Some(&fields))? {
            return Ok(false);
        }
        let body = user.own.body().to_vec();
        self.add_cookies(user, &body); // those that came with the challenge, too
        user.hit.timings.first_byte_ns = 0;
        user.hit.is_answering = true;
        Ok(true)
    }

    pub fn fail(&mut self, user: &mut User, id: u32, failure: Failure) {
        let end_ns = self.now_ns();
        self.end_hit(user, id, Err(failure), None, end_ns);
    }

    pub fn time_out(&mut self, user: &mut User, id: u32, now_ns: i64) {
        if user.asked.is_some() {
            return self.give_up_talk(user);
        }
        let limits = self.request_of(user).limits;
        let others = self.made_for(user); // he may wait for a connection that another one makes
        let is_at = |phase: Phase| others.0 == Some(phase) || user.conns.iter().any(|conn| conn.phase == phase);
        let proxy = user.hit.proxy.as_ref().or(others.1.as_ref()).map_or("", |proxy| proxy.name.as_str());
        let lacks = match () {
            () if is_at(Phase::Handshake) => "no TLS session".to_owned(),
            () if is_at(Phase::Tunnel) => format!("no tunnel through {proxy}"),
            () if proxy.is_empty() => "not connected".to_owned(),
            () => format!("not connected to {proxy}"),
        };
        let text = match user.hit.connect_deadline_ns {
            Some(_) if now_ns < user.hit.deadline_ns => format!("{lacks} within {} s", short(limits.connect_s)),
            _ => format!("no whole answer within {} s", short(limits.total_s)),
        };
        user.count_all();
        user.conns.retain(|conn| conn.phase == Phase::Idle);
        self.doubt(user);
        debug_assert_eq!(user.next, Next::Answer);
        self.fail(user, id, Failure::new(Outcome::Timeout, text));
    }

    /// The user's hit has ended.
    pub fn end_talk(&mut self, user: &mut User, speech: usize, result: Result<Reply, Lost>) {
        let waits = user.hit.in_flight && user.next == Next::Answer && user.asked.is_some() && user.speech == speech;
        if !waits {
            return; // it was given up in the meantime
        }
        user.hit.is_lost = result.is_err();
        let end_ns = self.now_ns();
        let (reply, failure) = match result {
            Ok(reply) => (Some(reply), None),
            Err(lost) => (lost.reply, Some(lost.failure)),
        };
        if let Some(reply) = &reply {
            (user.hit.sent, user.hit.received) = (reply.sent, reply.received);
        }
        let Some(reply) = reply else {
            return self.end_hit(user, user.id, failure.map_or(Ok(()), Err), None, end_ns);
        };
        if let Some(beside) = &reply.beside {
            return self.end_told(user, reply.status, beside, failure, end_ns);
        }
        let most = self.plan.max_body_bytes;
        let said = reply.said.as_deref().unwrap_or(&NOTHING);
        let mut answer = Answer::of_message(reply.data.as_deref().unwrap_or_default(), reply.status, &said.fields, &said.about, most);
        let judged = match failure {
            Some(failure) => Err(failure),
            None => {
                let time_ms = (end_ns - user.hit.start_ns) as f64 / 1e6;
                let step = &self.plan.steps[user.step];
                self.doing.at(At::Judging);
                judge(step, &mut answer, &mut user.scope, &mut self.data, self.host, time_ms)
            }
        };
        let id = user.id;
        self.end_hit(user, id, judged, Some(&mut answer), end_ns);
    }

    /// As `end_talk`, of messages that are made into text where one looks at them.
    fn end_told(&mut self, user: &mut User, status: u16, beside: &Beside, failure: Option<Failure>, end_ns: i64) {
        let step = &self.plan.steps[user.step];
        let see = |is_wanted: bool| if is_wanted { beside.told.seen(&beside.reason) } else { Ok(Seen::default()) };
        let looks = step.reads_body();
        let (seen, unseen) = match see(looks) {
            Ok(seen) => (seen, None),
            Err(failure) => (Seen::default(), Some(failure)),
        };
        let judged = match failure.or_else(|| if step.own_status { unseen } else { beside.refusal.clone().or(unseen) }) {
            Some(failure) => Err(failure),
            None => {
                let time_ms = (end_ns - user.hit.start_ns) as f64 / 1e6;
                self.doing.at(At::Judging);
                judge(step, &mut told_answer(status, beside, &seen), &mut user.scope, &mut self.data, self.host, time_ms)
            }
        };
        // a sample of the failure shows what came
        let seen = match see(judged.is_err() && !looks) {
            Ok(Seen { text, json: None }) if text.is_empty() => seen,
            Ok(seen) => seen,
            Err(failure) => Seen { text: format!("({})", failure.text).into_bytes(), json: None },
        };
        let id = user.id;
        self.end_hit(user, id, judged, Some(&mut told_answer(status, beside, &seen)), end_ns);
    }
}

fn told_answer<'a>(status: u16, beside: &'a Beside, seen: &'a Seen) -> Answer<'a> {
    let Beside { fields, reason, refusal, .. } = beside;
    let json = seen.json.as_deref();
    let told = Told { fields: &fields.places, head: &fields.bytes, reason, json, refusal: refusal.as_ref() };
    Answer::of_told(&seen.text, status, told)
}
