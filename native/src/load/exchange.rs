//! A hit on the network: connect, send, read. What comes of it is in `answers`.

use std::net::{IpAddr, SocketAddr};

use rustls::AlertDescription;

use crate::http::conn::{Agreed, Conn, Got, Phase, Way};
use crate::http::proxy;
use crate::http::reading::{Broken, Progress, Reader};
use crate::http::request::Outgoing;
use crate::load::engine::Loop;
use crate::load::user::{OwnTls, User};
use crate::load::watch::At;
use crate::os::turn::{Turn, is_endless};
use crate::os::wire::{Trouble, words};
use crate::plan::Kept;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome, broken};
use crate::plan::stream::StreamPlan;

/// Of a body that nothing in the step looks at, kept for the samples of failures.
pub const SAMPLE_BYTES: usize = 64 * 1024;

/// Versions and ciphers of TLS that are told.
const MOST_AGREED: usize = 10;

/// Answers of the allow-list that are remembered.
const MOST_REFUSALS: usize = 4_096;

const NO_HTTP_2: &str = "the server did not choose HTTP/2 (h2 by ALPN); leave http_version out for HTTP/1.1";

const NO_TLS: &str = "HTTP/3 is for https URLs only, and this one is http; leave http_version out for HTTP/1.1";

impl<'p> Loop<'p> {
    /// Sends the user's request over his connection to its place, or begins to make one.
    pub fn go_on(&mut self, user: &mut User, id: u32) {
        let origin = self.request_of(user).origin;
        if user.hit.connect_deadline_ns.is_none() {
            let is_first = user.hit.redirects == 0 && user.hit.resent == 0 && self.plan.network.is_none();
            user.hit.mark_ns = if is_first { user.hit.start_ns } else { self.now_ns() };
        }
        if self.plan.http3 && !self.origins[origin].https {
            return self.fail(user, id, Failure::new(Outcome::Connect, NO_TLS));
        }
        if (self.plan.http2 || self.plan.http3) && self.board(user, id, origin) {
            return;
        }
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
        let route = if self.plan.routed {
            match self.route(origin) {
                Ok(route) => Some(route),
                Err(text) => return self.fail(user, id, Failure::new(Outcome::Connect, text)),
            }
        } else {
            None
        };
        let place = &self.origins[origin];
        let (host, port) = route.as_ref().map_or((&place.host, place.port), |route| (&route.host, route.port));
        user.hit.proxy = route.as_ref().and_then(|route| route.proxy.clone());
        let Some(found) = self.resolver.look_up(host, port, id, now_ns) else { return };
        user.hit.timings.dns_ns += user.hit.lap(self.now_ns());
        // a proxy resolves the name, so the name is all that can be held against the list
        let (host, named) = (host.clone(), user.hit.proxy.is_some().then(|| place.host.clone()));
        // held against the very addresses that are connected to: a name may have others a moment later
        let refusal = named.and_then(|named| self.refusal(named, &[]));
        if let Some(text) = refusal.or_else(|| self.refusal(host, found.as_deref().unwrap_or_default())) {
            return self.fail(user, id, Failure::new(Outcome::Forbidden, text));
        }
        match found {
            Ok(addresses) => {
                user.hit.addresses = addresses;
                user.hit.addresses.reverse(); // taken from the end
                self.connect(user, id, Failure::new(Outcome::Dns, "the name has no address"));
            }
            Err(text) => {
                let text = format!("gaierror: {text}");
                let failure = user.hit.proxy.as_ref().map(|proxy| proxy::trouble(proxy, &text));
                self.fail(user, id, failure.unwrap_or_else(|| Failure::new(Outcome::Dns, text)));
            }
        }
    }

    /// Why a host may not be loaded; asked once for each and what it resolves to.
    pub fn refusal(&mut self, host: String, addresses: &[SocketAddr]) -> Option<String> {
        if !self.plan.fenced {
            return None;
        }
        let key = (host, addresses.iter().map(|address| address.ip().to_string()).collect());
        if let Some(known) = self.refused.get(&key) {
            return known.clone();
        }
        let answer = self.host.refused(&key.0, &key.1);
        if self.refused.len() < MOST_REFUSALS {
            self.refused.insert(key, answer.clone());
        }
        answer
    }

    /// Tries the next address; `last` is how the one before it failed.
    fn connect(&mut self, user: &mut User, id: u32, mut last: Failure) {
        let origin = self.request_of(user).origin;
        if self.plan.http3 {
            return self.connect_by_quic(user, id, origin, last);
        }
        while let Some(address) = user.hit.addresses.pop() {
            let mut kept = self.take_tls(user);
            let tls = self.origins[origin].https.then(|| self.tls_session(&mut kept, origin)).transpose();
            self.keep_tls(user, kept);
            let tls = match tls {
                Ok(tls) => tls,
                Err(text) => return self.fail(user, id, Failure::new(Outcome::Tls, text)),
            };
            user.next_serial = user.next_serial.wrapping_add(1);
            let serial = user.next_serial;
            let from = match self.local_address(address) {
                Ok(from) => from,
                Err(text) => {
                    last = connect_failure(user.hit.proxy.as_deref(), &text);
                    continue;
                }
            };
            let way = Way { to: address, from, tls, proxy: user.hit.proxy.clone() };
            let opened = Conn::open(way, origin, serial).and_then(|conn| {
                self.poller.add(conn.wire.fd(), u64::from(id) << 32 | u64::from(serial))?;
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
                Err(error) => last = connect_failure(user.hit.proxy.as_deref(), &words(&error)),
            }
        }
        self.fail(user, id, last);
    }

    /// What is kept of TLS for the connections that the user makes.
    pub fn take_tls(&mut self, user: &mut User) -> OwnTls {
        std::mem::take(if self.plan.streams.is_some() { &mut self.shared_tls } else { &mut user.tls })
    }

    pub fn keep_tls(&mut self, user: &mut User, kept: OwnTls) {
        *(if self.plan.streams.is_some() { &mut self.shared_tls } else { &mut user.tls }) = kept;
    }

    /// Where the next connection to an address comes from; None: the system chooses.
    pub fn local_address(&mut self, to: SocketAddr) -> Result<Option<IpAddr>, String> {
        let all = &self.plan.local_addresses;
        if all.is_empty() {
            return Ok(None);
        }
        let from = all[self.next_local % all.len()];
        if from.is_ipv4() != to.is_ipv4() {
            return Err(format!("OSError: {} has no address of the kind of {from}", to.ip()));
        }
        self.next_local += 1;
        Ok(Some(from))
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
        let streams = self.stream_of(user).map(|stream| stream.format);
        let conn = &mut user.conns[at];
        (conn.sent, conn.received) = (0, 0);
        conn.reader.begin(is_head, kept, most);
        conn.reader.streams = streams;
        if conn.speaks_to_proxy().is_some() {
            let mut own = std::mem::take(&mut user.conns[at].own);
            if let Some(proxy) = user.conns[at].speaks_to_proxy() {
                proxy::lay_out(self.request_of(user), proxy, &mut own);
            }
            user.conns[at].own = own;
        }
    }

    pub fn request_of<'a>(&'a self, user: &'a User) -> &'a Outgoing {
        if user.uses_own { &user.own } else { self.fixed[user.step].as_ref().unwrap_or(&user.own) }
    }

    /// How the answer to his request is read as events; None: it is not.
    pub fn stream_of<'a>(&'a self, user: &'a User) -> Option<&'a StreamPlan> {
        self.plan.steps[user.step].stream.as_ref().or(user.own.stream.as_deref())
    }

    /// Moves the user's active connection on as far as it goes now. `readable`: the network has something to say.
    pub fn progress(&mut self, user: &mut User, id: u32, at: usize, readable: bool) {
        let mut block = std::mem::take(&mut self.block);
        let serial = user.conns[at].serial;
        self.doing.step(user.step);
        self.doing.at(At::Reading);
        let mut got = self.advance(user, at, readable, &mut block);
        if let Some(agreed) = user.conns[at].agreed.take() {
            self.note_tls(agreed);
        }
        if user.conns[at].reader.events.is_some() {
            let mut reader = std::mem::take(&mut user.conns[at].reader);
            got = self.note_events(user, &mut reader, got);
            user.conns[at].reader = reader;
        }
        self.doing.at(At::Running);
        if user.ride.is_some() {
            self.note_making(user, at);
        }
        match got {
            Got::Nothing => {}
            Got::More => self.unread.push_back((id, serial)),
            Got::Failed(failure) if failure.outcome == Outcome::Connect && user.hit.connect_deadline_ns.is_some() => {
                user.close(serial);
                self.connect(user, id, failure);
            }
            Got::Failed(failure) => {
                user.count(at);
                user.close(serial);
                self.fail(user, id, failure);
            }
            Got::Open => {
                let conn = user.conns.swap_remove(at);
                self.open_line(user, id, *conn);
            }
            Got::Answer | Got::TooLarge => {
                user.count(at);
                let mut conn = user.conns.swap_remove(at);
                let too_large = matches!(got, Got::TooLarge);
                let closes = self.request_of(user).closes || self.plan.kept == Kept::PerRequest;
                let keeps = self.answered(user, id, &conn.reader, &block, conn.speaks_to_proxy(), too_large);
                if keeps && conn.reader.keep && !conn.ended && !closes {
                    conn.phase = Phase::Idle;
                    user.conns.push(conn);
                }
            }
        }
        self.block = block;
    }

    fn advance(&mut self, user: &mut User, at: usize, readable: bool, block: &mut [u8]) -> Got {
        let failed = |failure: Failure| Got::Failed(failure);
        let User { conns, own, hit, .. } = user;
        let request = if user.uses_own { &*own } else { self.fixed[user.step].as_ref().unwrap_or(own) };
        let conn = &mut conns[at];
        let was = conn.phase;
        if conn.phase == Phase::Connecting
            && let Err(error) = conn.connected()
        {
            let text = words(&error);
            return failed(connect_failure(conn.proxy.as_deref(), &text));
        }
        let readable = readable || conn.phase == Phase::Tunnel; // behind its answer there may be more
        if conn.phase == Phase::Tunnel {
            match conn.dig(block) {
                Ok(true) => {}
                Ok(false) => return Got::Nothing,
                Err(failure) => {
                    hit.addresses.clear(); // it is connected, and says no
                    return failed(failure);
                }
            }
        }
        if matches!(was, Phase::Connecting | Phase::Tunnel) {
            hit.timings.connect_ns += hit.lap(self.now_ns()).max(1);
        }
        if conn.phase == Phase::Handshake {
            match conn.shake_hands() {
                Ok(()) if self.plan.http2 && !conn.chose_http2() => return failed(Failure::new(Outcome::Tls, NO_HTTP_2)),
                Ok(()) => hit.timings.tls_ns += hit.lap(self.now_ns()).max(1),
                Err(Trouble::Later | Trouble::Busy) => return Got::Nothing,
                Err(Trouble::Io(error)) => return failed(Failure::new(Outcome::Tls, words(&error))),
                Err(Trouble::Tls(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))) => {
                    return failed(Failure::new(Outcome::Tls, NO_HTTP_2));
                }
                Err(trouble) => return failed(broken(trouble)),
            }
        }
        if self.plan.http2 {
            return Got::Open;
        }
        if conn.phase == Phase::Sending {
            hit.connect_deadline_ns = None;
            let written = if conn.speaks_to_proxy().is_some() {
                let own = std::mem::take(&mut conn.own);
                let written = conn.write(&own);
                conn.own = own;
                written
            } else {
                conn.write(&request.bytes)
            };
            match written {
                Ok(()) => {}
                Err(Trouble::Later) => return Got::Nothing,
                // the server may have answered early and closed: its answer says more than our broken pipe
                Err(Trouble::Io(error)) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {}
                Err(trouble) => return failed(broken(trouble)),
            }
            conn.phase = Phase::Receiving;
            hit.timings.send_ns += hit.lap(self.now_ns());
            if !readable && conn.short_read_is_all() {
                return Got::Nothing;
            }
        }
        if conn.phase != Phase::Receiving {
            return Got::Nothing;
        }
        let mut turn = Turn::default();
        loop {
            if turn.is_over() {
                return Got::More;
            }
            let count = match conn.wire.read(block) {
                Ok(count) => count,
                Err(Trouble::Later) => return Got::Nothing,
                Err(Trouble::Busy) => return Got::More,
                Err(trouble) => return failed(broken(trouble)),
            };
            conn.received += count as u64;
            let progress = if count == 0 { conn.reader.ended() } else { conn.reader.feed(&block[..count]) };
            if hit.timings.first_byte_ns == 0 && count > 0 && progress != Ok(Progress::Whole) {
                hit.timings.first_byte_ns = self.now_ns();
            }
            match progress {
                Ok(Progress::Whole) => {
                    conn.ended |= count == 0;
                    return Got::Answer;
                }
                Ok(Progress::More) if is_endless(conn.received, conn.reader.body_bytes()) => {
                    return failed(Failure::new(Outcome::Protocol, "over 1,048,576 bytes beside the body, and no end"));
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

    /// Tells what TLS agreed on, each once.
    pub fn note_tls(&mut self, agreed: Agreed) {
        if self.agreed.contains(&agreed) || self.agreed.len() == MOST_AGREED {
            return;
        }
        self.agreed.push(agreed);
        let (version, cipher) = agreed;
        if let Err(fatal) = self.host.agreed(&format!("{version:?}"), &format!("{cipher:?}")) {
            self.fatal.get_or_insert(fatal);
        }
    }

    /// Records the events that came; the answer is whole with the last that is wanted.
    pub fn note_events(&mut self, user: &mut User, reader: &mut Reader, got: Got) -> Got {
        let step = &self.plan.steps[user.step];
        let is_whole = matches!(got, Got::Answer);
        let own = user.own.stream.clone();
        let (Some(stream), Some(events)) = (step.stream.as_ref().or(own.as_deref()), &mut reader.events) else { return got };
        if is_whole {
            events.end();
        }
        let came = std::mem::take(&mut events.came);
        let now_ns = self.now_ns();
        let mut ends = false;
        for event in came {
            if stream.until.as_ref().is_some_and(|until| event.is(until)) {
                ends = true;
                break;
            }
            let tokens = stream.tokens.as_ref().map_or(0, |path| event.tokens(path));
            if let Err(fatal) = self.record_event(user, step, now_ns, tokens, event.data.len()) {
                self.fatal.get_or_insert(fatal);
            }
            if stream.max_events.is_some_and(|most| user.hit.events >= most) {
                ends = true;
                break;
            }
        }
        if !ends {
            user.hit.lacks_last = is_whole && stream.until.is_some();
            return got;
        }
        reader.keep &= is_whole;
        Got::Answer
    }
}

/// A connection that could not be made.
fn connect_failure(proxy: Option<&Proxy>, text: &str) -> Failure {
    proxy.map_or_else(|| Failure::new(Outcome::Connect, text), |proxy| proxy::trouble(proxy, text))
}
