//! Between a user's client and the network: carries out what the client orders, and tells it what happens.

use std::mem::take;

use serde_json::Value;

use crate::http::tls::HTTP_2;
use crate::load::engine::Loop;
use crate::load::hitlog::Row;
use crate::load::links::{Connection, Phase, Socket, Talk};
use crate::load::user::{Next, User};
use crate::load::watch::At;
use crate::os::datagrams::Datagrams;
use crate::os::socket::{ENDED, READABLE};
use crate::os::timers::Due;
use crate::os::turn::Turn;
use crate::os::wire::{Trouble, Wire, words};
use crate::plan::host::{Fatal, Report};
use crate::plan::message::{Asked, MadeMessage, MessagePlan, WholePlan};
use crate::plan::outcome::{DRAINED, Failure, Outcome, broken};
use crate::protocols::Link;
use crate::protocols::message::{Filling, no_message};
use crate::protocols::orders::{Observed, Order, Orders};
use crate::values::node::{Missing, Node};
use crate::values::value::push_json;

impl Loop<'_> {
    /// The request of the user's next hit.
    pub fn message_of(&mut self, user: &mut User, plan: &MessagePlan) -> Result<Asked, Failure> {
        let template = |Missing(text)| no_message(text);
        let (request, payload, expect, metadata, rest) = match plan {
            MessagePlan::Whole(whole) => {
                let WholePlan { request, payload, expect, metadata, values } = &**whole;
                (request, payload, expect, metadata, values)
            }
            MessagePlan::Python(values) => {
                let values = crate::http::request::values_json(values, &mut user.scope, &mut self.data).map_err(template)?;
                return self.made_by_python(user.step, user.number, &values);
            }
            MessagePlan::Alike { like, values } => {
                let values = crate::http::request::values_json(values, &mut user.scope, &mut self.data).map_err(template)?;
                return Ok(self.made_by_python(user.step, user.number, &values)?.like(like));
            }
        };
        if payload.is_none() && expect.is_none() && metadata.is_none() {
            return Ok(request.clone());
        }
        let mut value_of = |node: &Option<Node>| {
            let value = |node: &Node| node.value(&mut user.scope, &mut self.data);
            node.as_ref().map(value).transpose().map_err(template)
        };
        let (payload, metadata) = (value_of(payload)?, value_of(metadata)?);
        let mut text_of = |node: &Node| {
            let mut text = String::new();
            node.push_text(&mut text, &mut user.scope, &mut self.data).map(|()| text)
        };
        let expect = expect.as_ref().map(&mut text_of).transpose().map_err(template)?;
        // of the same values Python makes what can't be made here
        let keep = |value: &Option<Value>| value.clone().filter(|_| rest.is_some());
        let (kept_payload, kept_metadata) = (keep(&payload), keep(&metadata));
        if let Some(made) = request.filled(Filling { payload, expect, metadata })? {
            return Ok(made);
        }
        let mut values = serde_json::Map::new();
        for (key, node) in rest.iter().flatten() {
            values.insert(key.clone(), node.value(&mut user.scope, &mut self.data).map_err(template)?);
        }
        values.extend(kept_payload.map(|value| ("payload".to_owned(), value)));
        values.extend(kept_metadata.map(|value| ("metadata".to_owned(), value)));
        let mut text = String::new();
        push_json(&mut text, &Value::Object(values));
        Ok(self.made_by_python(user.step, user.number, &text)?.like(request))
    }

    fn made_by_python(&mut self, step: usize, user: u32, values: &str) -> Result<Asked, Failure> {
        let text = self.host.assemble(step, user, values).map_err(no_message)?;
        let text = text.ok_or_else(|| no_message("it waits for a token"))?;
        let made = serde_json::from_str(&text).map_err(|error| no_message(error.to_string()))?;
        Ok(self.message_made(made))
    }

    /// The request that Python made.
    pub fn message_made(&mut self, made: MadeMessage) -> Asked {
        if let (Some(tls), Some(place)) = (made.tls, made.request.place().cloned()) {
            self.trust(&place, tls);
        }
        made.request
    }

    /// The user's hit goes to his client.
    pub fn begin_talk(&mut self, user: &mut User) {
        let Some(request) = user.asked.clone() else { return };
        if let Some(count) = request.channels() {
            return self.begin_shared(user, &request, count);
        }
        let at = match user.talks.iter().position(|talk| talk.speech == user.speech) {
            Some(at) => at,
            None => {
                let Some(speech) = self.plan.speeches.get(user.speech) else {
                    return self.fail(user, user.id, Failure::new(Outcome::Engine, "the plan does not say what its users speak"));
                };
                user.talks.push(Box::new(Talk::new(user.speech, speech.client(self.plan.max_body_bytes, &user.jar))));
                user.talks.len() - 1
            }
        };
        self.talk(user, at, |_, _, talk, orders| talk.client.begin(&request, orders));
    }

    /// Tells one of the user's clients something, and does what it orders.
    pub fn talk(&mut self, user: &mut User, at: usize, tell: impl FnOnce(&mut Self, &mut User, &mut Talk, &mut Orders)) {
        if at >= user.talks.len() {
            return;
        }
        let mut talk = user.talks.remove(at);
        let mut orders = take(&mut self.orders);
        (orders.now_ns, orders.last_link) = (self.now_ns(), user.next_serial);
        orders.caller = user.caller();
        tell(self, user, &mut talk, &mut orders);
        self.carry_out(user, &mut talk, &mut orders);
        user.next_serial = orders.last_link;
        self.orders = orders;
        self.note(user, &mut talk);
        user.talks.insert(at, talk);
        if user.next == Next::Gone {
            self.hang_up(user);
        }
    }

    /// What the client waits for besides the user's hit.
    fn note(&mut self, user: &User, talk: &mut Talk) {
        let awaited = talk.client.awaited();
        self.in_flight = self.in_flight + awaited - talk.awaited;
        talk.awaited = awaited;
        if let Some(due_ns) = talk.client.next_due_ns()
            && talk.alarm_ns.is_none_or(|at| at > due_ns)
        {
            talk.alarm_ns = Some(due_ns);
            self.timers.add(due_ns, Due::Alarm { user: user.id });
        }
    }

    fn carry_out(&mut self, user: &mut User, talk: &mut Talk, orders: &mut Orders) {
        while let Some(order) = orders.take() {
            match order {
                Order::Open { link, place, udp } => {
                    let origin = self.origin(&place);
                    talk.links.push(Box::new(Connection::new(link, origin, udp)));
                    self.name(user, talk, link, orders);
                }
                Order::Send(link, range) => {
                    if let Some(one) = talk.of(link).filter(|one| one.deaf.is_none()) {
                        let done = one.send(orders.bytes(range));
                        self.after_sending(user, talk, link, done, orders);
                    }
                }
                Order::TellSent(link) => match talk.of(link) {
                    Some(one) if one.is_sending() || one.deaf.is_some() => one.tells_sent = true,
                    Some(_) => talk.client.sent(link, orders),
                    None => {}
                },
                Order::Listen(link, on) => {
                    if let Some(one) = talk.of(link) {
                        one.listens = on;
                        if on && one.readable {
                            self.unread.push_back((user.id, link));
                        }
                    }
                }
                Order::Again(link) => {
                    if let Some(one) = talk.of(link) {
                        one.again = true;
                        self.unread.push_back((user.id, link));
                    }
                }
                Order::Close(link) => drop(talk.drop_link(link)),
                Order::End(whose, result) if whose == user.id => self.end_talk(user, talk.speech, result),
                Order::End(whose, result) => self.channels.note_end(whose, talk.speech, result),
                Order::Observed(observed) => {
                    if let Err(fatal) = self.observe(user, observed) {
                        self.fatal.get_or_insert(fatal);
                    }
                }
            }
        }
    }

    /// Looks up where a connection leads, and begins to make it.
    fn name(&mut self, user: &User, talk: &mut Talk, link: Link, orders: &mut Orders) {
        let Some(one) = talk.of(link) else { return };
        let origin = one.origin;
        let place = &self.origins[origin];
        let Some(found) = self.resolver.look_up(&place.host, place.port, user.id, orders.now_ns) else { return };
        let host = place.host.clone();
        if let Some(text) = self.refusal(host, found.as_deref().unwrap_or_default()) {
            return lose(talk, link, Some(Failure::new(Outcome::Forbidden, text)), orders);
        }
        match found {
            Ok(mut addresses) => {
                addresses.reverse(); // taken from the end
                if let Some(one) = talk.of(link) {
                    one.addresses = addresses;
                }
                self.connect_link(user, talk, link, Failure::new(Outcome::Dns, "the name has no address"), orders);
            }
            Err(text) => lose(talk, link, Some(Failure::new(Outcome::Dns, format!("gaierror: {text}"))), orders),
        }
    }

    /// Tries the next address; `last` is how the one before it failed.
    fn connect_link(&mut self, user: &User, talk: &mut Talk, link: Link, mut last: Failure, orders: &mut Orders) {
        let Some(one) = talk.of(link) else { return };
        while let Some(address) = one.addresses.pop() {
            let opened = if one.udp {
                Datagrams::open(address).map(Socket::Datagrams)
            } else {
                let origin = one.origin;
                let tls = match self.origins[origin].https.then(|| self.message_tls_session(origin)).transpose() {
                    Ok(tls) => tls,
                    Err(text) => return lose(talk, link, Some(Failure::new(Outcome::Tls, text)), orders),
                };
                Wire::open(address, None, tls).map(Socket::Stream)
            };
            let added = opened.and_then(|socket| {
                self.poller.add(socket.fd(), u64::from(user.id) << 32 | u64::from(link))?;
                Ok(socket)
            });
            match added {
                Ok(socket) => {
                    one.socket = Some(socket);
                    one.phase = if one.udp { Phase::Open } else { Phase::Connecting };
                    if one.udp {
                        talk.client.connected(link, orders);
                    }
                    return;
                }
                Err(error) => last = Failure::new(Outcome::Connect, words(&error)),
            }
        }
        lose(talk, link, Some(last), orders);
    }

    /// Names were resolved.
    pub fn names_known(&mut self, user: &mut User) {
        for at in (0..user.talks.len()).rev() {
            self.talk(user, at, |core, user, talk, orders| {
                let waiting: Vec<Link> = talk.links.iter().filter(|one| one.phase == Phase::Naming).map(|one| one.link).collect();
                for link in waiting {
                    core.name(user, talk, link, orders);
                }
            });
        }
    }

    /// Something happened on a connection of the user's talk `at`.
    pub fn link_stirred(&mut self, user: &mut User, at: usize, link: Link, bits: u32) {
        self.talk(user, at, |core, user, talk, orders| core.attend(user, talk, link, bits, orders));
    }

    fn attend(&mut self, user: &mut User, talk: &mut Talk, link: Link, bits: u32, orders: &mut Orders) {
        let Some(one) = talk.of(link) else { return };
        one.hung_up |= bits & ENDED != 0;
        one.readable |= bits & (READABLE | ENDED) != 0;
        if one.phase != Phase::Open {
            return self.get_on(user, talk, link, orders);
        }
        if one.is_sending() {
            let done = one.flush();
            self.after_sending(user, talk, link, done, orders);
            self.carry_out(user, talk, orders);
        }
        let Some(one) = talk.of(link) else { return };
        if take(&mut one.again) {
            talk.client.go_on(link, orders);
            self.carry_out(user, talk, orders);
            if talk.of(link).is_some_and(|one| one.readable && !one.again) {
                self.unread.push_back((user.id, link));
            }
            return;
        }
        if one.listens && one.readable {
            self.hear(user, talk, link, orders);
        } else if one.hung_up && !one.listens && !one.is_sending() && !one.udp {
            lose(talk, link, None, orders);
        }
    }

    /// A connection that is made: as far as that goes now.
    fn get_on(&mut self, user: &User, talk: &mut Talk, link: Link, orders: &mut Orders) {
        let Some(one) = talk.of(link) else { return };
        let Some(Socket::Stream(wire)) = &mut one.socket else { return };
        if one.phase == Phase::Connecting {
            if let Err(error) = wire.connected() {
                one.socket = None;
                return self.connect_link(user, talk, link, Failure::new(Outcome::Connect, words(&error)), orders);
            }
            one.phase = Phase::Handshake;
        }
        let asks_for_http2 = self.tls_asks_for_http2(one.origin);
        match wire.shake_hands() {
            Ok(()) if asks_for_http2 && wire.tls.as_ref().is_some_and(|tls| tls.alpn_protocol() != Some(HTTP_2)) => {
                lose(talk, link, Some(Failure::new(Outcome::Tls, "the server did not choose HTTP/2 (ALPN)")), orders);
            }
            Ok(()) => {
                one.phase = Phase::Open;
                talk.client.connected(link, orders);
            }
            Err(Trouble::Later | Trouble::Busy) => {}
            Err(Trouble::Io(error)) => lose(talk, link, Some(Failure::new(Outcome::Tls, words(&error))), orders),
            Err(trouble) => lose(talk, link, Some(broken(trouble)), orders),
        }
    }

    fn after_sending(&mut self, user: &User, talk: &mut Talk, link: Link, done: Result<(), Trouble>, orders: &mut Orders) {
        let Some(one) = talk.of(link) else { return };
        match done {
            Ok(()) => {
                if one.tells_sent && !one.is_sending() {
                    one.tells_sent = false;
                    talk.client.sent(link, orders);
                }
            }
            // the peer may have said before why: that is read first
            Err(Trouble::Io(error)) if one.listens && matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                one.deaf = Some(broken(Trouble::Io(error)));
                one.readable = true;
                self.unread.push_back((user.id, link));
            }
            Err(trouble) => lose(talk, link, Some(broken(trouble)), orders),
        }
    }

    /// Reads what came on a connection, until its client or the user has something else to do first.
    fn hear(&mut self, user: &mut User, talk: &mut Talk, link: Link, orders: &mut Orders) {
        let mut block = take(&mut self.block);
        let mut turn = Turn::default();
        let waited = user.hit.in_flight;
        self.doing.step(user.step);
        self.doing.at(At::Reading);
        while let Some(one) = talk.of(link).filter(|one| one.listens && one.readable && !one.again) {
            if turn.is_over() || (waited && !user.hit.in_flight) {
                self.unread.push_back((user.id, link)); // others first, and the user himself
                break;
            }
            match one.read(&mut block) {
                Ok(Some(count)) => talk.client.received(link, &block[..count], orders),
                Ok(None) => {
                    let deaf = one.deaf.take();
                    lose(talk, link, deaf, orders);
                }
                Err(Trouble::Later) => {
                    one.readable = false;
                    if let Some(deaf) = one.deaf.take() {
                        lose(talk, link, Some(deaf), orders);
                    }
                }
                Err(Trouble::Busy) => {
                    self.unread.push_back((user.id, link));
                    break;
                }
                Err(trouble) => lose(talk, link, Some(broken(trouble)), orders),
            }
            self.carry_out(user, talk, orders);
        }
        self.doing.at(At::Running);
        self.block = block;
    }

    /// The user's hit took too long.
    pub fn give_up_talk(&mut self, user: &mut User) {
        let mut text = String::new();
        if let Some(count) = user.asked.as_ref().and_then(Asked::channels) {
            self.give_up_shared(user, count);
        } else if let Some(at) = user.talks.iter().position(|talk| talk.speech == user.speech) {
            self.talk(user, at, |_, _, talk, orders| text = talk.client.late(orders));
        }
        if user.hit.in_flight && user.next == Next::Answer {
            self.fail(user, user.id, Failure::new(Outcome::Timeout, text));
        }
    }

    /// A timer of one of the user's clients.
    pub fn alarm(&mut self, user: &mut User, due_ns: i64) {
        for at in (0..user.talks.len()).rev() {
            if user.talks.get(at).is_some_and(|talk| talk.alarm_ns == Some(due_ns)) {
                self.talk(user, at, |_, _, talk, orders| {
                    talk.alarm_ns = None;
                    talk.client.due(orders);
                });
            }
        }
    }

    /// The user goes as soon as nothing more is awaited.
    pub fn hang_up(&mut self, user: &mut User) {
        if user.awaited() == 0 {
            self.hang_up_now(user);
        }
    }

    /// The user goes, and his last client first; what he awaited is unfinished.
    pub fn hang_up_now(&mut self, user: &mut User) {
        while let Some(mut talk) = user.talks.pop() {
            let mut orders = take(&mut self.orders);
            (orders.now_ns, orders.caller) = (self.now_ns(), user.caller());
            talk.client.leave(&mut orders);
            self.carry_out(user, &mut talk, &mut orders);
            self.in_flight -= talk.awaited;
            self.orders = orders;
        }
    }

    fn observe(&mut self, user: &User, observed: Observed) -> Result<(), Fatal> {
        let Observed { user: number, method, name, start_ns, received, failure } = observed;
        let number = number.unwrap_or(user.number);
        let end_ns = self.now_ns();
        let series = self.series_named(method, &name)?;
        let flags = if self.draining { DRAINED } else { 0 };
        let mut row = Row { due_ns: start_ns, start_ns, end_ns, series, user: number, received, flags, ..Row::default() };
        if let Some(failure) = failure {
            row.outcome = failure.outcome as u8;
            let key = (series, failure.outcome as u8, failure.text);
            row.error = match self.known(&key) {
                Some(error) => error,
                None => {
                    let (secrets, request, reply) = (Vec::new(), None, None);
                    let outcome = failure.outcome;
                    let report = Report { series, user: number, end_ns, outcome, text: &key.2, secrets, request, reply, speech: None };
                    let kind = self.host.failed(&report)?;
                    self.remember(key, kind)
                }
            };
        }
        Ok(self.log.append(&row)?)
    }
}

/// The client is told that a connection is no more.
fn lose(talk: &mut Talk, link: Link, failure: Option<Failure>, orders: &mut Orders) {
    if talk.drop_link(link) {
        talk.client.ended(link, failure, orders);
    }
}
