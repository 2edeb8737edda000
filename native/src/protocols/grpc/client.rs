//! One user's channels, each a connection of its own: `loadflow/engine/protocols/grpc/client.py` again.

use std::sync::Arc;

use crate::plan::message::{Asked, GrpcRequest};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::channel::{Call, Channel, Stop};
use crate::protocols::grpc::status::Status;
use crate::protocols::orders::{Lost, Observed, Orders, Reply};
use crate::protocols::{Client, Link, foreign};

const METHOD: &str = "GRPC";
/// Calls in a row that met their deadline: the channel is then closed, for a peer may send on it without end.
const MOST_UNANSWERED: u32 = 3;
/// gRPC's own limit of an attempt to connect.
const LONGEST_CONNECT_NS: i64 = 20_000_000_000;

pub struct GrpcClient {
    max_body_bytes: usize,
    channels: Vec<Channel>,
    hit: Option<Hit>,
}

struct Hit {
    request: Arc<GrpcRequest>,
    link: Link,
    start_ns: i64,
    /// The time to its first message was told.
    has_first: bool,
    was_resent: bool,
}

impl Hit {
    fn call(&self, max_body_bytes: usize) -> Call {
        let deadline_ns = self.start_ns.saturating_add((self.request.timeout_s * 1e9) as i64);
        Call::new(self.request.clone(), deadline_ns, max_body_bytes)
    }
}

impl Client for GrpcClient {
    fn begin(&mut self, request: &Asked, orders: &mut Orders) {
        let Asked::Grpc(request) = request else { return orders.end(Err(foreign())) };
        let link = match self.channels.iter().find(|channel| channel.place == request.place) {
            Some(channel) => channel.link,
            None => self.open(request, orders),
        };
        self.hit = Some(Hit { request: request.clone(), link, start_ns: orders.now_ns, has_first: false, was_resent: false });
        self.call(orders);
    }

    fn connected(&mut self, link: Link, orders: &mut Orders) {
        let Some(channel) = self.channel(link) else { return };
        channel.connected();
        orders.listen(link, true);
        if self.is_of_hit(link) { self.call(orders) } else { self.go_on_with(link, orders) }
    }

    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders) {
        if let Some(channel) = self.channel(link) {
            channel.feed(bytes);
            self.go_on_with(link, orders);
        }
    }

    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders) {
        let Some(mut channel) = self.take(link) else { return };
        if !self.is_of_hit(link) {
            return;
        }
        if let Some(failure) = failure.as_ref().filter(|failure| !failure.outcome.sent()) {
            return self.finish(Err(failure.clone().into()), orders); // it may not be connected to
        }
        channel.ended();
        // what came before the end may be all of the answer
        let stop = channel.advance(orders.now_ns);
        self.tell_first(&channel, orders);
        let stop = match (stop, &failure) {
            (Some(stop), None) => stop,
            (Some(stop @ (Stop::Enough | Stop::Failure(_))), _) => stop,
            (Some(Stop::Status(status)), _) if status.is_of_server() => Stop::Status(status),
            _ => Stop::Status(channel.disconnected(failure.as_ref())),
        };
        self.end_call(channel.take_call(), stop, orders);
    }

    fn late(&mut self, orders: &mut Orders) -> String {
        let Some(link) = self.hit.as_ref().map(|hit| hit.link) else { return String::new() };
        let mut call = None;
        if let Some(channel) = self.channel(link) {
            call = channel.take_call();
            channel.unanswered += 1;
            channel.flush(orders);
            if channel.unanswered >= MOST_UNANSWERED {
                self.close(link, orders);
            }
        }
        self.end_call(call, Stop::Status(Status::late()), orders);
        String::new()
    }

    fn next_due_ns(&self) -> Option<i64> {
        self.channels.iter().filter(|channel| !channel.is_connected()).map(|channel| channel.connect_due_ns).min()
    }

    fn due(&mut self, orders: &mut Orders) {
        let is_late = |one: &&Channel| !one.is_connected() && one.connect_due_ns <= orders.now_ns;
        let late: Vec<Link> = self.channels.iter().filter(is_late).map(|channel| channel.link).collect();
        for link in late {
            self.close(link, orders);
            if self.is_of_hit(link) {
                let failure = Failure::new(Outcome::Connect, "no connection within 20 s");
                self.end_call(None, Stop::Status(Status::unconnected(&failure)), orders);
            }
        }
    }
}

impl GrpcClient {
    pub fn new(max_body_bytes: usize) -> Self {
        GrpcClient { max_body_bytes, channels: Vec::new(), hit: None }
    }

    fn channel(&mut self, link: Link) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.link == link)
    }

    fn take(&mut self, link: Link) -> Option<Channel> {
        let at = self.channels.iter().position(|channel| channel.link == link)?;
        Some(self.channels.swap_remove(at))
    }

    fn close(&mut self, link: Link, orders: &mut Orders) {
        if self.take(link).is_some() {
            orders.close(link);
        }
    }

    fn is_of_hit(&self, link: Link) -> bool {
        self.hit.as_ref().is_some_and(|hit| hit.link == link)
    }

    fn open(&mut self, request: &GrpcRequest, orders: &mut Orders) -> Link {
        let link = orders.open(request.place.clone(), false);
        self.channels.push(Channel::new(link, request.place.clone(), orders.now_ns + LONGEST_CONNECT_NS));
        link
    }

    /// Makes the hit's call, if its channel is connected.
    fn call(&mut self, orders: &mut Orders) {
        let Some(hit) = &self.hit else { return };
        let (link, call) = (hit.link, hit.call(self.max_body_bytes));
        let Some(channel) = self.channel(link).filter(|channel| channel.is_connected()) else { return };
        channel.begin(call);
        self.go_on_with(link, orders);
    }

    /// Lets a channel go on as far as it goes now.
    fn go_on_with(&mut self, link: Link, orders: &mut Orders) {
        let Some(mut channel) = self.take(link) else { return };
        if channel.call().is_none() {
            let is_usable = channel.idle();
            channel.flush(orders);
            return if is_usable { self.channels.push(channel) } else { orders.close(link) };
        }
        let stop = channel.advance(orders.now_ns);
        self.tell_first(&channel, orders);
        let Some(stop) = stop else {
            channel.flush(orders);
            return self.channels.push(channel);
        };
        let call = channel.take_call();
        channel.unanswered = 0;
        let is_usable = !matches!(stop, Stop::Failure(_)) && channel.idle();
        channel.flush(orders);
        if is_usable {
            self.channels.push(channel);
        } else {
            orders.close(link);
        }
        self.end_call(call, stop, orders);
    }

    fn tell_first(&mut self, channel: &Channel, orders: &mut Orders) {
        let Some(hit) = self.hit.as_mut().filter(|hit| hit.link == channel.link && !hit.has_first) else { return };
        let Some(received) = channel.call().and_then(Call::first_bytes) else { return };
        hit.has_first = true;
        if !hit.request.first_name.is_empty() {
            let (name, start_ns) = (hit.request.first_name.clone(), hit.start_ns);
            orders.observed(Observed { method: METHOD, name, start_ns, received, failure: None });
        }
    }

    /// The hit's call is over. None: it had not begun.
    fn end_call(&mut self, call: Option<Call>, stop: Stop, orders: &mut Orders) {
        let Some(hit) = &mut self.hit else { return };
        if matches!(stop, Stop::Unseen(_)) && !std::mem::replace(&mut hit.was_resent, true) {
            let request = hit.request.clone();
            let link = match self.channels.iter().find(|channel| channel.place == request.place) {
                Some(channel) => channel.link,
                None => self.open(&request, orders),
            };
            if let Some(hit) = &mut self.hit {
                hit.link = link;
            }
            return self.call(orders);
        }
        let call = call.unwrap_or_else(|| hit.call(self.max_body_bytes));
        self.finish(call.end(stop), orders);
    }

    fn finish(&mut self, result: Result<Reply, Lost>, orders: &mut Orders) {
        if self.hit.take().is_some() {
            orders.end(result);
        }
    }
}
