//! One user's connection of `websocket_user`, and the answers it still waits for: `loadflow/engine/protocols/websocket/client.py` again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem;

use crate::http::checks::short;
use crate::http::cookies::Jar;
use crate::plan::message::{Asked, Method, Target, WebSocketRequest, WebSocketSpeech};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::correlation::Correlations;
use crate::protocols::orders::{Lost, Orders, Reply};
use crate::protocols::websocket::connection::Connection;
use crate::protocols::websocket::frames::Said;
use crate::protocols::websocket::request::key_at;
use crate::protocols::{Client, Link, foreign};
use crate::values::words::quoted;

const METHOD: &str = "WS";
const BY_THE_USER: &str = "the user closed the connection before the answer came";

pub struct WebSocketClient {
    speech: WebSocketSpeech,
    max_body_bytes: usize,
    target: Option<Arc<Target>>,
    connection: Option<Connection>,
    correlations: Correlations,
    jar: Rc<RefCell<Jar>>,
    hit: Option<Hit>,
}

struct Hit {
    request: Arc<WebSocketRequest>,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    /// Until the connection is open.
    ToBegin,
    ToBeSent,
    /// For a message, the first one after so many.
    ForMessage(Option<u64>),
    ForPong,
    /// For the peer's goodbye.
    ForEnd,
}

impl Client for WebSocketClient {
    fn begin(&mut self, request: &Asked, orders: &mut Orders) {
        let Asked::Websocket(request) = request else { return orders.end(Err(foreign())) };
        self.hit = Some(Hit { request: request.clone(), waits: Waits::ToBegin });
        if request.method == Method::Close {
            return self.close(orders);
        }
        if request.method == Method::Sendrecv {
            self.look(false, orders); // what came before is no answer
        }
        let connection = self.connection.as_ref();
        // it was over as it should be, and this step asks for a new one
        if request.method == Method::Connect && connection.is_some_and(|one| one.failure.is_some() && one.ended_normally) {
            self.drop_connection(orders);
        }
        let target = match self.wanted(request) {
            Ok(target) => target,
            Err(failure) => return self.finish(Err(failure.into()), orders),
        };
        let is_same = |one: &Connection| one.target.url == target.url;
        // what came before the end can still be received, by a step that means this connection
        if request.method == Method::Recv && self.connection.as_ref().is_some_and(|one| one.has_messages() && is_same(one)) {
            return self.act(orders);
        }
        match self.connection.as_ref().filter(|one| is_same(one)) {
            Some(one) if one.failure.is_some() => self.fail_with_connection(orders),
            Some(_) => self.act(orders),
            None => {
                self.drop_connection(orders);
                let link = orders.open(target.place.clone(), false);
                self.connection = Some(Connection::new(link, target.clone(), self.max_body_bytes));
                self.target = Some(target);
            }
        }
    }

    fn connected(&mut self, link: Link, orders: &mut Orders) {
        if let Some(connection) = self.connection.as_ref().filter(|one| one.link == link) {
            connection.begin_handshake(&self.jar.borrow(), orders);
        }
    }

    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders) {
        let Some(connection) = self.connection.as_mut().filter(|one| one.link == link) else { return };
        let shaken = connection.feed(bytes, &mut self.jar.borrow_mut(), orders.unix_s());
        match shaken {
            None => {}
            Some(Ok(())) => self.act(orders),
            Some(Err(lost)) => {
                orders.close(link);
                self.connection = None;
                return self.finish(Err(lost), orders);
            }
        }
        self.look(true, orders);
    }

    fn go_on(&mut self, link: Link, orders: &mut Orders) {
        if self.connection.as_ref().is_some_and(|one| one.link == link) {
            self.look(true, orders);
        }
    }

    fn sent(&mut self, link: Link, orders: &mut Orders) {
        let Some(hit) = self.hit.as_ref().filter(|hit| hit.waits == Waits::ToBeSent) else { return };
        if self.connection.as_ref().is_some_and(|one| one.link == link) {
            let sent = hit.request.data.len() as u64;
            self.finish(Ok(Reply { sent, ..Reply::default() }), orders);
        }
    }

    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders) {
        let Some(connection) = self.connection.as_mut().filter(|one| one.link == link) else { return };
        if !connection.is_open() {
            let lost = match failure {
                Some(failure) => failure.into(),
                None => connection.lost_handshake().unwrap_or_else(|| foreign().into()),
            };
            self.connection = None;
            return self.finish(Err(lost), orders);
        }
        connection.cut(failure);
        self.settle(orders);
    }

    fn late(&mut self, orders: &mut Orders) -> String {
        let Some(hit) = self.hit.take() else { return String::new() };
        let method = hit.request.method;
        let is_open = self.connection.as_ref().is_some_and(Connection::is_open);
        let what = match method {
            Method::Close => "the peer did not close",
            _ if !is_open => "not connected",
            Method::Connect => "not connected",
            Method::Send => "not sent",
            Method::Recv | Method::Sendrecv => "no message came",
            Method::Ping => "no pong came",
        };
        let text = format!("{what} within {} s", short(hit.request.timeout_s));
        if let Some(awaited) = hit.request.awaited.as_ref().filter(|_| hit.waits == Waits::ToBeSent) {
            self.correlations.take_back(&awaited.key);
        }
        if method == Method::Close {
            self.drop_with(Failure::new(Outcome::Closed, BY_THE_USER), orders);
            return text;
        }
        // half a frame may be sent, and a late answer would be taken for the next one's
        if method != Method::Recv || !is_open {
            self.drop_connection(orders);
        }
        text
    }

    fn next_due_ns(&self) -> Option<i64> {
        self.correlations.next_due_ns()
    }

    fn due(&mut self, orders: &mut Orders) {
        self.correlations.expire(orders);
    }

    fn awaited(&self) -> u32 {
        self.correlations.count()
    }

    fn leave(&mut self, orders: &mut Orders) {
        self.drop_with(Failure::new(Outcome::Unfinished, "not answered before the end of the load"), orders);
    }
}

impl WebSocketClient {
    pub fn new(speech: &WebSocketSpeech, max_body_bytes: usize, jar: Rc<RefCell<Jar>>) -> Self {
        let (speech, target) = (speech.clone(), speech.target.clone());
        let correlations = Correlations::new(METHOD);
        WebSocketClient { speech, max_body_bytes, target, connection: None, correlations, jar, hit: None }
    }

    /// A step that gives no more than the URL, or not even that, means the last connection with all that belongs to it.
    fn wanted(&self, request: &WebSocketRequest) -> Result<Arc<Target>, Failure> {
        match (&request.target, &self.target) {
            (None, None) => {
                Err(Failure::new(Outcome::Template, "no step before this one says where to connect to; set request_url or host"))
            }
            (None, Some(last)) => Ok(last.clone()),
            (Some(target), Some(last)) if !target.has_url && last.url != target.url => Ok(last.clone()),
            (Some(target), Some(last)) if last.url == target.url && !target.has_options => Ok(last.clone()),
            (Some(target), _) => Ok(target.clone()),
        }
    }

    /// Does what the hit asks of the open connection.
    fn act(&mut self, orders: &mut Orders) {
        let Some(hit) = self.hit.as_mut().filter(|hit| hit.waits == Waits::ToBegin) else { return };
        let Some(connection) = &mut self.connection else { return };
        let request = hit.request.clone();
        match request.method {
            Method::Connect | Method::Close => self.finish(Ok(Reply::default()), orders),
            Method::Send => {
                hit.waits = Waits::ToBeSent;
                if let Some(awaited) = &request.awaited
                    && let Err(failure) = self.correlations.expect(&awaited.key, &awaited.name, awaited.timeout_s, orders.now_ns)
                {
                    return self.finish(Err(failure.into()), orders);
                }
                connection.send_message(&request.data, request.is_text, orders);
                orders.tell_sent(connection.link);
            }
            Method::Recv => {
                hit.waits = Waits::ForMessage(None);
                self.settle(orders);
                if self.hit.is_some() {
                    self.look(true, orders);
                }
            }
            Method::Sendrecv => {
                hit.waits = Waits::ForMessage(Some(connection.arrived));
                connection.send_message(&request.data, request.is_text, orders);
                self.settle(orders);
            }
            Method::Ping => {
                hit.waits = Waits::ForPong;
                connection.ping(&request.data, orders);
            }
        }
    }

    /// Closing what is not open, or what the peer closed in good order, changes nothing.
    fn close(&mut self, orders: &mut Orders) {
        match &mut self.connection {
            Some(one) if one.failure.is_none() => {
                one.close(orders);
                if let Some(hit) = &mut self.hit {
                    hit.waits = Waits::ForEnd;
                }
            }
            Some(one) if !one.ended_normally => self.closed(orders),
            _ => {
                self.connection = None;
                self.finish(Ok(Reply::default()), orders);
            }
        }
    }

    /// The connection of a `close` has come to its end.
    fn closed(&mut self, orders: &mut Orders) {
        let Some(connection) = self.connection.take() else { return };
        let result = match connection.failure {
            Some(failure) if !connection.ended_normally => Err(failure.into()),
            _ => Ok(Reply::default()),
        };
        self.correlations.fail_all(&Failure::new(Outcome::Closed, BY_THE_USER), orders);
        self.finish(result, orders);
    }

    /// Reads what came. `only_one`: no further than to what ends the hit, if there is one: its user goes on first.
    fn look(&mut self, only_one: bool, orders: &mut Orders) {
        let waited = self.hit.is_some();
        while let Some(connection) = &mut self.connection {
            let Some(said) = connection.next_said(orders) else { break };
            match said {
                Said::Message(message) => self.arrived(message, orders),
                Said::Pong(data) => {
                    let is_it = |hit: &&Hit| hit.waits == Waits::ForPong && hit.request.data == data;
                    if self.hit.as_ref().is_some_and(|hit| is_it(&hit)) {
                        let size = data.len() as u64;
                        self.finish(Ok(Reply { sent: size, received: size, ..Reply::default() }), orders);
                    }
                }
                Said::Ping(_) | Said::Close { .. } => {}
            }
            if only_one && waited && self.hit.is_none() {
                break;
            }
        }
        self.settle(orders);
        if let Some(connection) = self.connection.as_ref().filter(|one| one.has_more() && waited && self.hit.is_none()) {
            orders.again(connection.link);
        }
    }

    fn arrived(&mut self, message: Vec<u8>, orders: &mut Orders) {
        if self.correlations.count() > 0 {
            let keys: Vec<String> = self.speech.reply_paths.iter().filter_map(|path| key_at(&message, path)).collect();
            let size = message.len() as u64;
            if keys.iter().any(|key| self.correlations.answered(key, size, orders)) {
                return;
            }
        }
        if let Some(connection) = self.connection.as_mut().filter(|_| self.speech.keeps) {
            connection.keep(message);
            self.settle(orders);
        }
    }

    /// Ends the hit where it has what it waits for, or can't have it any more.
    fn settle(&mut self, orders: &mut Orders) {
        let (Some(hit), Some(connection)) = (&self.hit, &mut self.connection) else { return };
        if let Waits::ForMessage(after) = hit.waits
            && let Some(received) = connection.receive(after)
        {
            let result = received.map_err(Lost::from).and_then(|message| expected(&hit.request, message));
            return self.finish(result, orders);
        }
        if connection.failure.is_none() {
            return;
        }
        match hit.waits {
            Waits::ToBegin => {}
            Waits::ForEnd => self.closed(orders),
            Waits::ToBeSent => {
                if let Some(awaited) = hit.request.awaited.clone() {
                    self.correlations.take_back(&awaited.key);
                }
                self.fail_with_connection(orders);
            }
            Waits::ForMessage(_) | Waits::ForPong => self.fail_with_connection(orders),
        }
    }

    /// The hit is the one that finds the connection over; the next step makes a new one.
    fn fail_with_connection(&mut self, orders: &mut Orders) {
        let failure = self.connection.as_ref().and_then(|one| one.failure.clone());
        self.drop_connection(orders);
        self.finish(Err(failure.unwrap_or_else(foreign).into()), orders);
    }

    fn drop_connection(&mut self, orders: &mut Orders) {
        self.drop_with(Failure::new(Outcome::Closed, "the connection ended before the answer came"), orders);
    }

    fn drop_with(&mut self, failure: Failure, orders: &mut Orders) {
        if let Some(mut connection) = self.connection.take() {
            connection.abort(orders);
        }
        self.correlations.fail_all(&failure, orders);
    }

    fn finish(&mut self, result: Result<Reply, Lost>, orders: &mut Orders) {
        if self.hit.take().is_some() {
            orders.end(result);
        }
    }
}

fn expected(request: &WebSocketRequest, message: Vec<u8>) -> Result<Reply, Lost> {
    let sent = if request.method == Method::Sendrecv { request.data.len() as u64 } else { 0 };
    let is_right = memmem::find(&message, request.expect.as_bytes()).is_some();
    let received = message.len() as u64;
    let reply = Reply { data: Some(message), sent, received, ..Reply::default() };
    if is_right {
        return Ok(reply);
    }
    let text = format!("expected {} in response", quoted(&request.expect));
    Err(Lost { failure: Failure::new(Outcome::Assertion, text), reply: Some(reply) })
}
