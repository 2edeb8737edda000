//! Channels, each a connection: one user's, or some that many users share. `loadflow/engine/protocols/grpc/client.py` again.

use std::mem::take;

use crate::plan::message::Asked;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::call::{Call, Stop};
use crate::protocols::grpc::channel::{Channel, Event};
use crate::protocols::grpc::status::Status;
use crate::protocols::orders::Orders;
use crate::protocols::{Client, Link, foreign};

/// Calls in a row that met their deadline: the channel of one user is then closed, for a peer may send on it without end. One that many
/// share is kept, as gRPC's library keeps it.
const MOST_UNANSWERED: u32 = 3;
/// gRPC's own limit of an attempt to connect.
const LONGEST_CONNECT_NS: i64 = 20_000_000_000;

pub struct GrpcClient {
    max_body_bytes: usize,
    /// What calls begin goes out with `turn`, all of it together.
    is_shared: bool,
    channels: Vec<Channel>,
    events: Vec<Event>,
}

impl Client for GrpcClient {
    fn begin(&mut self, request: &Asked, orders: &mut Orders) {
        let Asked::Grpc(request) = request else { return orders.end(Err(foreign())) };
        self.make(Call::new(request.clone(), orders.caller, orders.now_ns, self.max_body_bytes), orders);
    }

    fn connected(&mut self, link: Link, orders: &mut Orders) {
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.link == link) else { return };
        channel.connected();
        orders.listen(link, true);
        self.go_on_with(link, orders);
    }

    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders) {
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.link == link) {
            channel.feed(bytes);
            self.go_on_with(link, orders);
        }
    }

    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders) {
        let Some(mut channel) = self.take(link) else { return };
        if let Some(failure) = failure.as_ref().filter(|failure| !failure.outcome.sent()) {
            for call in channel.take_calls() {
                orders.end_of(call.caller.user, Err(failure.clone())); // it may not be connected to
            }
            return;
        }
        channel.ended();
        // what came before the end may be all of some answers
        let mut events = take(&mut self.events);
        channel.advance(orders.now_ns, &mut events);
        let status = channel.disconnected(failure.as_ref());
        events.extend(channel.take_calls().map(|call| Event::Over(call, Stop::Status(status.clone()))));
        for event in &mut events {
            let Event::Over(_, stop) = event else { continue };
            let is_known = match stop {
                Stop::Enough | Stop::Failure(_) | Stop::Unseen(_) => true,
                Stop::Status(status) => failure.is_none() || status.is_of_server(),
            };
            if !is_known {
                *stop = Stop::Status(status.clone());
            }
        }
        self.tell(events, orders);
    }

    fn late(&mut self, orders: &mut Orders) -> String {
        let user = orders.caller.user;
        for at in 0..self.channels.len() {
            let channel = &mut self.channels[at];
            let Some(call) = channel.take_call_of(user) else { continue };
            channel.unanswered += 1;
            if !self.is_shared {
                channel.flush(orders);
                if channel.unanswered >= MOST_UNANSWERED {
                    orders.close(channel.link);
                    self.channels.swap_remove(at);
                }
            }
            orders.end_of(user, call.end(Stop::Status(Status::late())));
            break;
        }
        String::new()
    }

    fn next_due_ns(&self) -> Option<i64> {
        self.channels.iter().filter(|channel| !channel.is_connected()).map(|channel| channel.connect_due_ns).min()
    }

    fn due(&mut self, orders: &mut Orders) {
        let is_late = |one: &&Channel| !one.is_connected() && one.connect_due_ns <= orders.now_ns;
        let late: Vec<Link> = self.channels.iter().filter(is_late).map(|channel| channel.link).collect();
        for mut channel in late.into_iter().filter_map(|link| self.take(link)) {
            orders.close(channel.link);
            let failure = Failure::new(Outcome::Connect, "no connection within 20 s");
            for call in channel.take_calls() {
                orders.end_of(call.caller.user, call.end(Stop::Status(Status::unconnected(&failure))));
            }
        }
    }

    fn turn(&mut self, orders: &mut Orders) {
        let links: Vec<Link> = self.channels.iter().map(|channel| channel.link).collect();
        for link in links {
            self.go_on_with(link, orders);
        }
        for channel in &mut self.channels {
            channel.flush(orders);
        }
    }
}

impl GrpcClient {
    /// Of one user, who makes one call at a time.
    pub fn new(max_body_bytes: usize) -> Self {
        GrpcClient { max_body_bytes, is_shared: false, channels: Vec::new(), events: Vec::new() }
    }

    /// Of many users, each of whom makes one call at a time.
    pub fn shared(max_body_bytes: usize) -> Self {
        GrpcClient { is_shared: true, ..Self::new(max_body_bytes) }
    }

    fn take(&mut self, link: Link) -> Option<Channel> {
        let at = self.channels.iter().position(|channel| channel.link == link)?;
        Some(self.channels.swap_remove(at))
    }

    /// Makes a call on the channel to its place, as soon as that is connected.
    fn make(&mut self, call: Box<Call>, orders: &mut Orders) {
        let place = &call.request.place;
        let at = self.channels.iter().position(|channel| channel.place == *place && !channel.is_leaving).unwrap_or_else(|| {
            let link = orders.open(place.clone(), false);
            self.channels.push(Channel::new(link, place.clone(), orders.now_ns + LONGEST_CONNECT_NS));
            self.channels.len() - 1
        });
        self.channels[at].begin(call);
        if !self.is_shared {
            self.go_on_with(self.channels[at].link, orders);
        }
    }

    /// Lets a channel go on as far as it goes now.
    fn go_on_with(&mut self, link: Link, orders: &mut Orders) {
        let Some(at) = self.channels.iter().position(|channel| channel.link == link) else { return };
        let channel = &mut self.channels[at];
        let mut events = take(&mut self.events);
        channel.is_leaving |= !channel.advance(orders.now_ns, &mut events);
        if events.iter().any(|event| matches!(event, Event::Over(..))) {
            channel.unanswered = 0;
        }
        let ends = channel.is_leaving && channel.has_no_calls();
        if !self.is_shared || ends {
            channel.flush(orders);
        }
        if ends {
            orders.close(link);
            self.channels.swap_remove(at);
        }
        self.tell(events, orders);
    }

    fn tell(&mut self, mut events: Vec<Event>, orders: &mut Orders) {
        for event in events.drain(..) {
            match event {
                Event::First(observed) => orders.observed(observed),
                Event::Over(call, Stop::Unseen(_)) if !call.was_resent => self.make(call.again(self.max_body_bytes), orders),
                Event::Over(call, stop) => orders.end_of(call.caller.user, call.end(stop)),
            }
        }
        self.events = events;
    }
}
