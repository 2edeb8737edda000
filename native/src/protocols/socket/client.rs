//! One user's connections of `socket_user`: `loadflow/engine/protocols/socket/client.py` again, without its sockets.

use std::sync::Arc;

use memchr::memmem;

use crate::plan::message::{Asked, SocketRequest};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::orders::{Lost, Orders, Reply};
use crate::protocols::socket::framing::Cut;
use crate::protocols::{Client, Link, foreign};
use crate::values::words::{counted, quoted, with_commas};

/// What a kept connection may hold between two steps, besides what came.
const USUAL_BYTES: usize = 65_536;

pub struct SocketClient {
    max_body_bytes: usize,
    connections: Vec<Connection>,
    /// The hit under way: its connection and its request.
    at: Option<(Link, Arc<SocketRequest>)>,
}

struct Connection {
    link: Link,
    /// Of whom it was asked for, and how: the request for which it was made.
    made_for: Arc<SocketRequest>,
    is_there: bool,
    is_over: bool,
    /// What came and belongs to no answer yet: a greeting, or the next message of a stream. So much of it was looked at.
    buffer: Vec<u8>,
    seen: usize,
    /// Bytes of this step.
    received: u64,
}

impl Client for SocketClient {
    fn begin(&mut self, request: &Asked, orders: &mut Orders) {
        let Asked::Socket(wanted) = request else { return orders.end(Err(foreign())) };
        let is_it = |one: &Connection| (one.made_for.udp, &one.made_for.place) == (wanted.udp, &wanted.place);
        let kept = self.connections.iter().position(is_it).filter(|_| wanted.keep);
        let Some(at) = kept else {
            let link = orders.open(wanted.place.clone(), wanted.udp);
            let (made_for, buffer) = (wanted.clone(), Vec::new());
            self.connections.push(Connection { link, made_for, is_there: false, is_over: false, buffer, seen: 0, received: 0 });
            self.at = Some((link, wanted.clone()));
            return;
        };
        if self.connections[at].is_over {
            self.connections.swap_remove(at);
            let text = "the peer closed the kept connection; the next step connects anew";
            return orders.end(Err(Failure::new(Outcome::Closed, text)));
        }
        let connection = &mut self.connections[at];
        (connection.seen, connection.received) = (0, 0);
        self.at = Some((connection.link, wanted.clone()));
        self.exchange(orders);
    }

    fn connected(&mut self, link: Link, orders: &mut Orders) {
        if let Some(one) = self.connections.iter_mut().find(|one| one.link == link) {
            one.is_there = true;
            self.exchange(orders);
        }
    }

    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders) {
        let Some((_, wanted)) = self.at.clone().filter(|(at, _)| *at == link) else { return };
        let Some(one) = self.connections.iter_mut().find(|one| one.link == link) else { return };
        one.received += bytes.len() as u64;
        if !wanted.udp {
            one.buffer.extend_from_slice(bytes);
            return self.look(orders);
        }
        if wanted.framing.is_some() || memmem::find(bytes, wanted.expected.as_bytes()).is_some() {
            self.answered(bytes.to_vec(), orders);
        }
    }

    fn sent(&mut self, link: Link, orders: &mut Orders) {
        let Some((_, wanted)) = self.at.as_ref().filter(|(at, _)| *at == link) else { return };
        let sent = wanted.data.len() as u64;
        self.finish(Ok(Reply { sent, ..Reply::default() }), orders);
    }

    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders) {
        let Some(place) = self.connections.iter().position(|one| one.link == link) else { return };
        let Some((_, wanted)) = self.at.as_ref().filter(|(at, _)| *at == link) else {
            self.connections[place].is_over = true;
            return;
        };
        let sent = wanted.data.len() as u64;
        let one = &mut self.connections[place];
        let lost = match failure {
            Some(failure) => Lost::from(failure),
            None => {
                let count = counted(one.buffer.len() as u64, "byte");
                let text = format!("the peer closed after {count}, before the answer was whole");
                let reply = Reply { data: Some(std::mem::take(&mut one.buffer)), sent, received: one.received, ..Reply::default() };
                Lost { failure: Failure::new(Outcome::Closed, text), reply: Some(reply) }
            }
        };
        self.connections.swap_remove(place);
        self.at = None;
        orders.end(Err(lost));
    }

    fn late(&mut self, orders: &mut Orders) -> String {
        let Some((link, wanted)) = self.at.take() else { return String::new() };
        let limit = crate::http::checks::short(wanted.timeout_s);
        let Some(place) = self.connections.iter().position(|one| one.link == link) else { return String::new() };
        let one = self.connections.swap_remove(place);
        orders.close(link);
        if !one.is_there {
            return format!("not connected within {limit} s");
        }
        let what = match (wanted.reads(), &wanted.framing) {
            (false, _) => "not sent".into(),
            (_, Some(_)) => "the answer was not whole".into(),
            (_, None) => format!("no {} came", quoted(&wanted.expected)),
        };
        format!("{what} within {limit} s; {} received", counted(one.received, "byte"))
    }
}

impl SocketClient {
    pub fn new(max_body_bytes: usize) -> Self {
        SocketClient { max_body_bytes, connections: Vec::new(), at: None }
    }

    /// Sends what the hit has to send; on a kept connection the answer may be there already.
    fn exchange(&mut self, orders: &mut Orders) {
        let Some((link, wanted)) = &self.at else { return };
        orders.send(*link, &wanted.data);
        if !wanted.reads() {
            return orders.tell_sent(*link);
        }
        orders.listen(*link, true);
        if !wanted.udp {
            self.look(orders);
        }
    }

    /// Whether the answer is whole.
    fn look(&mut self, orders: &mut Orders) {
        let Some((link, wanted)) = self.at.clone() else { return };
        let Some(one) = self.connections.iter_mut().find(|one| one.link == link) else { return };
        if let Some(Cut { message, after }) = cut(&wanted, &one.buffer, one.seen) {
            let answer = one.buffer[message].to_vec();
            one.buffer.drain(..after);
            one.buffer.shrink_to(USUAL_BYTES);
            return self.answered(answer, orders);
        }
        one.seen = one.buffer.len();
        let needs = wanted.framing.as_ref().map_or(one.buffer.len(), |framing| framing.needs(&one.buffer));
        if needs > self.max_body_bytes {
            let text = format!("the answer is over max_body_bytes ({})", with_commas(self.max_body_bytes as u64));
            let reply = Reply { data: Some(std::mem::take(&mut one.buffer)), received: one.received, ..Reply::default() };
            self.finish(Err(Lost { failure: Failure::new(Outcome::TooLarge, text), reply: Some(reply) }), orders);
        }
    }

    fn answered(&mut self, answer: Vec<u8>, orders: &mut Orders) {
        let Some((link, wanted)) = &self.at else { return };
        let received = self.connections.iter().find(|one| one.link == *link).map_or(0, |one| one.received);
        let is_right = memmem::find(&answer, wanted.expected.as_bytes()).is_some();
        let text = if is_right { String::new() } else { format!("expected {} in response", quoted(&wanted.expected)) };
        let reply = Reply { data: Some(answer), sent: wanted.data.len() as u64, received, ..Reply::default() };
        let result = if is_right { Ok(reply) } else { Err(Lost { failure: Failure::new(Outcome::Assertion, text), reply: Some(reply) }) };
        self.finish(result, orders);
    }

    /// The hit has ended: its connection is kept only where it went well.
    fn finish(&mut self, result: Result<Reply, Lost>, orders: &mut Orders) {
        let Some((link, wanted)) = self.at.take() else { return };
        if result.is_ok() && wanted.keep {
            orders.listen(link, false);
        } else {
            self.connections.retain(|one| one.link != link);
            orders.close(link);
        }
        orders.end(result);
    }
}

/// Without a framing all that came is the answer, once the expected text is there.
fn cut(wanted: &SocketRequest, buffer: &[u8], seen: usize) -> Option<Cut> {
    if let Some(framing) = &wanted.framing {
        return framing.cut(buffer, seen);
    }
    let from = (seen + 1).saturating_sub(wanted.expected.len());
    memmem::find(buffer.get(from..)?, wanted.expected.as_bytes())?;
    Some(Cut { message: 0..buffer.len(), after: buffer.len() })
}
