//! A hit on the network: connect, send, read, follow redirects, judge.

use rustls::AlertDescription;

use crate::answer::{Answer, with_commas};
use crate::checks::{judge, short};
use crate::conn::{Conn, Phase, Trouble};
use crate::engine::Loop;
use crate::outcome::{Failure, Outcome};
use crate::reading::{Broken, Progress};
use crate::redirect;
use crate::request::Outgoing;
use crate::steps::unix_s;
use crate::user::{Next, User};

/// Of a body that nothing in the step looks at, kept for the samples of failures.
const SAMPLE_BYTES: usize = 64 * 1024;

const NO_HTTP_2: &str = "the server did not choose HTTP/2 (h2 by ALPN); leave http_version out for HTTP/1.1";

/// How far a connection got.
pub enum Got {
    /// It waits for the network.
    Nothing,
    /// The answer is whole; `block` held the last of it.
    Answer,
    Failed(Failure),
    /// As `Failed`, with an answer of which the head is whole.
    TooLarge,
    /// As `Failed`, and the connection lives on.
    Refused(Failure),
    /// As `Failed`, but the server did not look at the request.
    Unseen(Failure),
}

impl<'p> Loop<'p> {
    /// Sends the user's request over his connection to its place, or begins to make one.
    pub fn go_on(&mut self, user: &mut User, id: u32) {
        let origin = self.request_of(user).origin;
        if let Some(at) = user.conns.iter().position(|conn| conn.origin == origin && conn.phase == Phase::Idle) {
            if !user.conns[at].ended {
                user.hit.connect_deadline_ns = None;
                self.send(user, at);
                self.watch(user, id);
                return self.progress(user, id, at, false);
            }
            user.conns.swap_remove(at);
        }
        let now_ns = self.now_ns();
        if user.hit.connect_deadline_ns.is_none() {
            let limit_ns = (self.request_of(user).limits.connect_s * 1e9) as i64;
            user.hit.connect_deadline_ns = Some(now_ns + limit_ns);
            self.watch(user, id);
        }
        if let Some(text) = self.refusal(origin) {
            return self.fail(user, id, Failure::new(Outcome::Forbidden, text));
        }
        let place = &self.origins[origin];
        match self.resolver.look_up(&place.host, place.port, id, now_ns) {
            None => {}
            Some(Ok(addresses)) => {
                user.hit.addresses = addresses;
                user.hit.addresses.reverse(); // taken from the end
                self.connect(user, id, Failure::new(Outcome::Dns, "the name has no address"));
            }
            Some(Err(text)) => self.fail(user, id, Failure::new(Outcome::Dns, format!("gaierror: {text}"))),
        }
    }

    /// Why a place may not be loaded; asked once for each host.
    fn refusal(&mut self, origin: usize) -> Option<String> {
        if !self.plan.fenced {
            return None;
        }
        let name = &self.origins[origin].host;
        if !self.refused.contains_key(name) {
            let answer = self.host.refused(name);
            self.refused.insert(name.clone(), answer);
        }
        self.refused.get(name).cloned().flatten()
    }

    /// Tries the next address; `last` is how the one before it failed.
    fn connect(&mut self, user: &mut User, id: u32, mut last: Failure) {
        let origin = self.request_of(user).origin;
        while let Some(address) = user.hit.addresses.pop() {
            let tls = match self.origins[origin].https.then(|| self.tls_session(origin)).transpose() {
                Ok(tls) => tls,
                Err(text) => return self.fail(user, id, Failure::new(Outcome::Tls, text)),
            };
            user.next_serial = user.next_serial.wrapping_add(1);
            let serial = user.next_serial;
            let opened = Conn::open(address, origin, serial, tls, self.plan.http2).and_then(|conn| {
                self.poller.add(conn.fd(), u64::from(id) << 32 | u64::from(serial))?;
                Ok(conn)
            });
            match opened {
                Ok(conn) => {
                    user.conns.push(Box::new(conn));
                    let at = user.conns.len() - 1;
                    let bytes = SAMPLE_BYTES;
                    self.prepare(user, at, bytes);
                    return;
                }
                Err(error) => last = Failure::new(Outcome::Connect, words(&error)),
            }
        }
        self.fail(user, id, last);
    }

    /// A kept connection gets its next request.
    fn send(&mut self, user: &mut User, at: usize) {
        self.prepare(user, at, SAMPLE_BYTES);
        user.conns[at].phase = Phase::Sending;
    }

    fn prepare(&mut self, user: &mut User, at: usize, sample_bytes: usize) {
        let most = self.plan.max_body_bytes;
        let kept = if self.plan.steps[user.step].reads_body() { most as usize } else { sample_bytes };
        let is_head = self.request_of(user).is_head;
        let conn = &mut user.conns[at];
        (conn.sent, conn.received) = (0, 0);
        conn.reader.begin(is_head, kept, most);
        if let Some(session) = &mut conn.session {
            session.begin();
        }
    }

    pub fn request_of<'a>(&'a self, user: &'a User) -> &'a Outgoing {
        if user.uses_own { &user.own } else { self.fixed[user.step].as_ref().unwrap_or(&user.own) }
    }

    /// Moves the user's active connection on as far as it goes now. `readable`: the network has something to say.
    pub fn progress(&mut self, user: &mut User, id: u32, at: usize, readable: bool) {
        let mut block = std::mem::take(&mut self.block);
        let serial = user.conns[at].serial;
        let got = self.advance(user, at, readable, &mut block);
        match got {
            Got::Nothing => {}
            Got::Failed(failure) if failure.outcome == Outcome::Connect && user.hit.connect_deadline_ns.is_some() => {
                user.close(serial);
                self.connect(user, id, failure);
            }
            Got::Failed(failure) => {
                user.close(serial);
                self.fail(user, id, failure);
            }
            Got::Refused(failure) => self.fail(user, id, failure),
            Got::Unseen(failure) if user.hit.resent => {
                user.close(serial);
                self.fail(user, id, failure);
            }
            Got::Unseen(_) => {
                user.close(serial);
                user.hit.resent = true;
                self.block = block;
                return self.go_on(user, id);
            }
            Got::Answer | Got::TooLarge => {
                let conn = user.conns.swap_remove(at);
                self.answered(user, id, conn, &block, matches!(got, Got::TooLarge));
            }
        }
        self.block = block;
    }

    fn advance(&mut self, user: &mut User, at: usize, readable: bool, block: &mut [u8]) -> Got {
        let failed = |failure: Failure| Got::Failed(failure);
        let User { conns, own, .. } = user;
        let request = if user.uses_own { &*own } else { self.fixed[user.step].as_ref().unwrap_or(own) };
        let conn = &mut conns[at];
        if conn.phase == Phase::Connecting
            && let Err(error) = conn.connected()
        {
            return failed(Failure::new(Outcome::Connect, words(&error)));
        }
        if conn.phase == Phase::Handshake {
            match conn.shake_hands() {
                Ok(()) if conn.session.is_some() && !conn.chose_http2() => return failed(Failure::new(Outcome::Tls, NO_HTTP_2)),
                Ok(()) => {}
                Err(Trouble::Later) => return Got::Nothing,
                Err(Trouble::Io(error)) => return failed(Failure::new(Outcome::Tls, words(&error))),
                Err(Trouble::Tls(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))) => {
                    return failed(Failure::new(Outcome::Tls, NO_HTTP_2));
                }
                Err(Trouble::Tls(error)) => return failed(Failure::new(Outcome::Tls, error.to_string())),
            }
        }
        if conn.session.is_some() {
            user.hit.connect_deadline_ns = None;
            return conn.converse(request, &self.origins[request.origin], readable, block);
        }
        if conn.phase == Phase::Sending {
            user.hit.connect_deadline_ns = None;
            match conn.write(&request.bytes) {
                Ok(()) => {}
                Err(Trouble::Later) => return Got::Nothing,
                // the server may have answered early and closed: its answer says more than our broken pipe
                Err(Trouble::Io(error)) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {}
                Err(trouble) => return failed(broken(trouble)),
            }
            conn.phase = Phase::Receiving;
            if !readable && conn.short_read_is_all() {
                return Got::Nothing;
            }
        }
        if conn.phase != Phase::Receiving {
            return Got::Nothing;
        }
        loop {
            let count = match conn.read(block) {
                Ok(count) => count,
                Err(Trouble::Later) => return Got::Nothing,
                Err(trouble) => return failed(broken(trouble)),
            };
            conn.received += count as u64;
            let progress = if count == 0 { conn.reader.ended() } else { conn.reader.feed(&block[..count]) };
            match progress {
                Ok(Progress::Whole) => {
                    conn.ended |= count == 0;
                    return Got::Answer;
                }
                Ok(Progress::More) if count < block.len() && conn.short_read_is_all() => return Got::Nothing,
                Ok(Progress::More) => {}
                Err(Broken::Protocol(text)) => return failed(Failure::new(Outcome::Protocol, text)),
                Err(Broken::Closed(what)) => {
                    return failed(Failure::new(Outcome::Closed, format!("the connection was closed before {what}")));
                }
                Err(Broken::TooLarge) => return Got::TooLarge,
            }
        }
    }

    /// A whole answer: cookies, then where it leads, or what is held of it.
    fn answered(&mut self, user: &mut User, id: u32, mut conn: Box<Conn>, block: &[u8], too_large: bool) {
        let end_ns = self.now_ns();
        let max_body_bytes = self.plan.max_body_bytes;
        let keep = conn.reader.keep && !conn.ended && !too_large;
        conn.phase = Phase::Idle;
        let (sent, follow) = {
            let request = self.request_of(user);
            (conn.session.as_ref().map_or(request.bytes.len() as u64, |session| session.sent), request.limits.follow)
        };
        user.hit.sent += sent;
        user.hit.received += conn.received;
        let mut answer = Answer::new(&conn.reader, block, max_body_bytes);
        for (name, value) in answer.fields() {
            if name.len() == 10 && name.eq_ignore_ascii_case(b"set-cookie") {
                self.keep_cookie(user, value);
            }
        }
        if too_large {
            let text = format!("the body is over max_body_bytes ({})", with_commas(max_body_bytes));
            return self.end_hit(user, id, Err(Failure::new(Outcome::TooLarge, text)), Some(&mut answer), end_ns);
        }
        if follow && redirect::is_redirect(answer.status()) {
            let location = answer.header("location").unwrap_or_default().into_owned();
            if !location.is_empty() {
                match self.redirected(user, answer.status(), &location) {
                    Ok(()) => {
                        if keep {
                            user.conns.push(conn);
                        }
                        user.next = Next::Again;
                        return;
                    }
                    Err(failure) => {
                        self.end_hit(user, id, Err(failure), Some(&mut answer), end_ns);
                        if keep {
                            user.conns.push(conn);
                        }
                        return;
                    }
                }
            }
        }
        let time_ms = (end_ns - user.hit.start_ns) as f64 / 1e6;
        let step = &self.plan.steps[user.step];
        let judged = judge(step, &mut answer, &mut user.scope, &mut self.data, self.host, time_ms);
        self.end_hit(user, id, judged, Some(&mut answer), end_ns);
        if keep {
            user.conns.push(conn);
        }
    }

    fn keep_cookie(&mut self, user: &mut User, field: &[u8]) {
        let request = self.request_of(user);
        let origin = request.origin;
        let path = request.target().split('?').next().unwrap_or("/").to_owned();
        user.jar.store(field, &self.origins[origin], &path, unix_s());
    }

    /// Makes the request that a redirect asks for the user's own.
    fn redirected(&mut self, user: &mut User, status: u16, location: &[u8]) -> Result<(), Failure> {
        if user.hit.redirects == redirect::MOST {
            return Err(Failure::new(Outcome::Redirect, format!("more than {} redirects", redirect::MOST)));
        }
        user.hit.redirects += 1;
        let request = self.request_of(user).clone();
        let from = self.origins[request.origin].clone();
        let (to, target) = redirect::resolve(&from, &request, location, self.host)?;
        let made = redirect::follow(&request, &from, status, &to, &target);
        user.own.take(&made, "");
        user.own.origin = self.origin(&made.place);
        user.uses_own = true;
        self.add_cookies(user, &made.body);
        Ok(())
    }

    pub fn fail(&mut self, user: &mut User, id: u32, failure: Failure) {
        let end_ns = self.now_ns();
        self.end_hit(user, id, Err(failure), None, end_ns);
    }

    pub fn time_out(&mut self, user: &mut User, id: u32, now_ns: i64) {
        let limits = self.request_of(user).limits;
        let handshake = user.conns.iter().any(|conn| conn.phase == Phase::Handshake);
        let text = match user.hit.connect_deadline_ns {
            Some(_) if now_ns >= user.hit.deadline_ns => format!("no whole answer within {} s", short(limits.total_s)),
            Some(_) if handshake => format!("no TLS session within {} s", short(limits.connect_s)),
            Some(_) => format!("not connected within {} s", short(limits.connect_s)),
            None => format!("no whole answer within {} s", short(limits.total_s)),
        };
        user.conns.retain(|conn| conn.phase == Phase::Idle);
        debug_assert_eq!(user.next, Next::Answer);
        self.fail(user, id, Failure::new(Outcome::Timeout, text));
    }
}

pub fn broken(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Tls(error) => Failure::new(Outcome::Tls, error.to_string()),
        Trouble::Later => Failure::new(Outcome::Engine, "a wait was taken for a failure"),
        Trouble::Io(error) => {
            let outcome = match error.raw_os_error() {
                Some(libc::ECONNREFUSED) => Outcome::Connect,
                Some(libc::ETIMEDOUT) => Outcome::Timeout,
                Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) | None => Outcome::Closed,
                Some(_) => Outcome::Connect,
            };
            Failure::new(outcome, words(&error))
        }
    }
}

/// As the other HTTP users write an error of the system.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let kind = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "ConnectionRefusedError",
        Some(libc::ECONNRESET) => "ConnectionResetError",
        Some(libc::EPIPE) => "BrokenPipeError",
        Some(libc::ETIMEDOUT) => "TimeoutError",
        _ => "OSError",
    };
    format!("{kind}: {text}")
}
