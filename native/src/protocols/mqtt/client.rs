//! One user's connections of `mqtt_user`, with subscriptions and messages: `loadflow/engine/protocols/mqtt/client.py` again.

use std::sync::Arc;

use crate::http::checks::short;
use crate::os::random::Rng;
use crate::plan::Place;
use crate::plan::message::Asked;
use crate::plan::mqtt::{Method, MqttRequest, MqttSpeech, Properties, Terms, Version};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::mqtt::checks::{expected, refusal};
use crate::protocols::mqtt::connection::Connection;
use crate::protocols::mqtt::deliveries::{METHOD, Own, PROPERTY};
use crate::protocols::mqtt::inbox::{Arrived, Inbox};
use crate::protocols::mqtt::packet::{self, Kind, Packet};
use crate::protocols::mqtt::reason::{FAILURE, words};
use crate::protocols::orders::{Lost, Observed, Orders, Reply};
use crate::protocols::{Client, Link, foreign};
use crate::values::words::{counted, with_commas};

const KEEPALIVE_S: u16 = 60;

pub struct MqttClient {
    /// Whether any step asks for messages.
    keeps: bool,
    max_body_bytes: usize,
    /// The same for all connections of the user; not over 23 characters, which every broker must take (3.1.1 section 3.1.3.1).
    client_id: String,
    brokers: Vec<Broker>,
    hit: Option<Hit>,
    deliveries: Own,
}

/// What belongs to one broker, whatever becomes of the connection.
struct Broker {
    name: Arc<str>,
    connection: Option<Connection>,
    /// How the last connection was opened.
    opening: Option<Opening>,
    /// One topic each.
    subscriptions: Vec<(String, Arc<MqttRequest>)>,
    inbox: Inbox,
}

#[derive(Clone)]
struct Opening {
    terms: Arc<Terms>,
    place: Place,
    properties: Arc<Properties>,
}

struct Hit {
    request: Arc<MqttRequest>,
    /// Of the broker that it asks.
    at: usize,
    waits: Waits,
    /// Its entry among the deliveries, which goes where the message does not.
    tracked: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    ForConnack,
    /// Subscriptions are made again on a new connection: the one with this place, by the packet with this id.
    ForSubscription(usize, u16),
    ToBeSent,
    /// For what answers the packet with this id.
    ForAnswer(u16),
    /// For a message; as many had come when none of them was meant.
    ForMessage(u64),
}

impl Client for MqttClient {
    fn begin(&mut self, request: &Asked, orders: &mut Orders) {
        let Asked::Mqtt(request) = request else { return orders.end(Err(foreign())) };
        let at = self.broker(&request.broker);
        self.hit = Some(Hit { request: request.clone(), at, waits: Waits::ForConnack, tracked: None });
        match request.method {
            Method::Connect => self.connect(at, request, orders),
            Method::Disconnect => self.disconnect(at, request.abrupt, orders),
            Method::Receive => self.receive(at, 0, orders),
            _ if self.brokers[at].connection.is_some() => self.act(at, orders),
            _ => self.open(at, orders),
        }
    }

    fn connected(&mut self, link: Link, orders: &mut Orders) {
        let Some(at) = self.at(link) else { return };
        let broker = &mut self.brokers[at];
        if let (Some(connection), Some(opening)) = (&mut broker.connection, &broker.opening) {
            connection.begin(&self.client_id, &opening.properties, orders);
        }
    }

    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders) {
        let Some(at) = self.at(link) else { return };
        let Some(connection) = &mut self.brokers[at].connection else { return };
        let stream = connection.stream_with(bytes, orders);
        let mut done = 0;
        loop {
            // a packet may be the last one of its connection
            let Some(connection) = self.brokers[at].connection.as_ref().filter(|one| one.link == link) else { return };
            match connection.next_packet(&stream[done..]) {
                Ok(None) => break,
                Ok(Some((packet, length))) => {
                    done += length;
                    self.take(at, packet, orders);
                }
                Err(failure) => return self.lose(at, failure, orders),
            }
        }
        if let Some(connection) = self.brokers[at].connection.as_mut().filter(|one| one.link == link) {
            connection.keep_rest(stream, done);
        }
    }

    fn sent(&mut self, link: Link, orders: &mut Orders) {
        let at = self.at(link);
        if let Some(hit) = self.hit.as_ref().filter(|hit| Some(hit.at) == at && hit.waits == Waits::ToBeSent) {
            let sent = hit.request.message.as_ref().map_or(0, |message| message.payload.len() as u64);
            self.finish(Ok(Reply { sent, ..Reply::default() }), orders);
        }
    }

    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders) {
        let Some(at) = self.at(link) else { return };
        let has_begun = self.brokers[at].connection.as_ref().is_some_and(Connection::has_begun);
        let failure = match failure {
            Some(failure) if !has_begun || failure.outcome == Outcome::Tls => failure,
            Some(failure) => Failure::new(Outcome::Closed, format!("the connection was lost: {}", failure.text)),
            None => Failure::new(Outcome::Closed, "the connection was lost: the broker closed it and said nothing"),
        };
        self.lose(at, failure, orders);
    }

    fn late(&mut self, orders: &mut Orders) -> String {
        let Some(hit) = self.hit.take() else { return String::new() };
        if let Some(serial) = hit.tracked {
            self.deliveries.not_sent(serial);
        }
        let connection = self.brokers[hit.at].connection.as_ref();
        let is_given_up = match hit.waits {
            Waits::ForConnack | Waits::ForSubscription(..) => true,
            Waits::ForAnswer(_) => connection.is_some_and(Connection::owes_too_much),
            Waits::ToBeSent | Waits::ForMessage(_) => false,
        };
        if is_given_up {
            self.drop_connection(hit.at, orders);
        }
        let what = match hit.request.method {
            Method::Connect => "no CONNACK",
            Method::Disconnect => "not disconnected",
            Method::Publish => "not acknowledged",
            Method::Subscribe => "no SUBACK",
            Method::Unsubscribe => "no UNSUBACK",
            Method::Receive => "no message",
        };
        format!("{what} within {} s", short(hit.request.timeout_s))
    }

    fn next_due_ns(&self) -> Option<i64> {
        let kept = self.brokers.iter().filter_map(|broker| broker.connection.as_ref()?.next_due_ns()).min();
        let awaited = self.deliveries.next_due_ns();
        kept.into_iter().chain(awaited).min()
    }

    fn due(&mut self, orders: &mut Orders) {
        self.deliveries.expire(orders);
        for at in 0..self.brokers.len() {
            if let Some(connection) = &mut self.brokers[at].connection
                && let Err(failure) = connection.keep_alive(orders)
            {
                self.lose(at, failure, orders);
            }
        }
    }

    fn leave(&mut self, orders: &mut Orders) {
        for at in 0..self.brokers.len() {
            self.say_goodbye(at, orders);
        }
        self.deliveries.leave();
    }
}

impl MqttClient {
    pub fn new(speech: &MqttSpeech, max_body_bytes: usize) -> Self {
        let client_id = format!("loadflow-{:012x}", Rng::new(None).bits(48));
        let deliveries = Own::new(&speech.process);
        MqttClient { keeps: speech.keeps, max_body_bytes, client_id, brokers: Vec::new(), hit: None, deliveries }
    }

    fn broker(&mut self, name: &Arc<str>) -> usize {
        self.brokers.iter().position(|one| one.name == *name).unwrap_or_else(|| {
            let (name, inbox) = (name.clone(), Inbox::new(self.max_body_bytes));
            self.brokers.push(Broker { name, connection: None, opening: None, subscriptions: Vec::new(), inbox });
            self.brokers.len() - 1
        })
    }

    fn at(&self, link: Link) -> Option<usize> {
        self.brokers.iter().position(|broker| broker.connection.as_ref().is_some_and(|one| one.link == link))
    }

    /// Always a new connection: one that is open is ended first, and a clean start forgets its subscriptions.
    fn connect(&mut self, at: usize, request: &MqttRequest, orders: &mut Orders) {
        self.say_goodbye(at, orders);
        if request.terms.as_ref().is_some_and(|terms| terms.clean_start) {
            self.brokers[at].subscriptions.clear();
        }
        self.open(at, orders);
    }

    fn disconnect(&mut self, at: usize, is_abrupt: bool, orders: &mut Orders) {
        if self.brokers[at].connection.is_none() {
            return self.finish(Err(Failure::new(Outcome::Closed, "there is no connection to end").into()), orders);
        }
        if is_abrupt {
            self.drop_connection(at, orders);
        } else {
            self.say_goodbye(at, orders);
        }
        self.finish(Ok(Reply::default()), orders);
    }

    /// By what the step says, else as this user's last connection to the broker was opened.
    fn open(&mut self, at: usize, orders: &mut Orders) {
        let Some(hit) = &mut self.hit else { return };
        let request = &hit.request;
        let broker = &mut self.brokers[at];
        if let Some(terms) = &request.terms {
            let properties = if request.method == Method::Connect { request.properties.clone() } else { Arc::default() };
            broker.opening = Some(Opening { terms: terms.clone(), place: request.place.clone(), properties });
        }
        let opening = broker.opening.get_or_insert_with(|| {
            let terms = Terms { keepalive_s: KEEPALIVE_S, clean_start: true, ..Terms::default() };
            Opening { terms: Arc::new(terms), place: request.place.clone(), properties: Arc::default() }
        });
        let link = orders.open(opening.place.clone(), false);
        broker.connection = Some(Connection::new(link, opening.terms.clone(), self.max_body_bytes));
        hit.waits = Waits::ForConnack;
    }

    /// What the broker says.
    fn take(&mut self, at: usize, packet: Packet, orders: &mut Orders) {
        let Some(connection) = &mut self.brokers[at].connection else { return };
        match packet {
            Packet::Connack { .. } if connection.is_open => {}
            Packet::Connack { reason, .. } if reason >= FAILURE => {
                let text = format!("the broker refused the connection: {}", words(Kind::Connack, reason));
                self.lose(at, Failure::new(Outcome::Connect, text), orders);
            }
            Packet::Connack { session_present, receive_maximum, server_keep_alive, .. } => {
                connection.opened(receive_maximum, server_keep_alive);
                let first = if session_present { self.brokers[at].subscriptions.len() } else { 0 };
                self.subscribe_again(at, first, orders);
            }
            Packet::Publish { message, id } => {
                let packet::Message { topic, payload, qos, retain, user } = message;
                let message = Arrived { topic: topic.to_owned(), payload: payload.to_vec(), qos, retain, user };
                match qos {
                    0 => self.arrived(at, message, orders),
                    1 => {
                        connection.say(orders, |out| packet::push_ack(out, packet::PUBACK, id));
                        self.arrived(at, message, orders);
                    }
                    _ => {
                        connection.say(orders, |out| packet::push_ack(out, packet::PUBREC, id));
                        connection.hold(id, message);
                    }
                }
            }
            Packet::Pubrel { id } => {
                let released = connection.release(id);
                connection.say(orders, |out| packet::push_ack(out, packet::PUBCOMP, id));
                if let Some(message) = released {
                    self.arrived(at, message, orders);
                }
            }
            // a PUBREC that refuses is the end of its message (MQTT 5 section 4.3.3)
            Packet::Pubrec { id, reason } if reason >= FAILURE => self.acknowledged(at, id, Kind::Pubrec, reason, orders),
            Packet::Pubrec { id, .. } => {
                if connection.is_owed(id) {
                    connection.say(orders, |out| packet::push_ack(out, packet::PUBREL, id));
                }
            }
            Packet::Puback { id, reason } => self.acknowledged(at, id, Kind::Puback, reason, orders),
            Packet::Pubcomp { id, reason } => self.acknowledged(at, id, Kind::Pubcomp, reason, orders),
            Packet::Suback { id, reasons } => self.answered(at, id, Kind::Suback, reasons, orders),
            Packet::Unsuback { id, reasons } => self.answered(at, id, Kind::Unsuback, reasons, orders),
            Packet::Pingreq => connection.say(orders, |out| out.extend_from_slice(packet::PINGRESP)),
            Packet::Pingresp => connection.lives(),
            Packet::Disconnect { reason } => {
                let text = format!("the broker ended the connection: {}", words(Kind::Disconnect, reason));
                self.lose(at, Failure::new(Outcome::Closed, text), orders);
            }
        }
    }

    /// Makes the subscriptions from a place on again, one after the other; then it is the hit's turn.
    fn subscribe_again(&mut self, at: usize, place: usize, orders: &mut Orders) {
        let broker = &mut self.brokers[at];
        let (Some(connection), Some(hit)) = (&mut broker.connection, &mut self.hit) else { return };
        let Some((topic, request)) = broker.subscriptions.get(place) else { return self.act(at, orders) };
        let (id, version) = (connection.next_id(), connection.version());
        connection.say(orders, |out| {
            packet::push_subscribe(out, &[topic], request.qos, request.options(), &request.properties, id, version);
        });
        hit.waits = Waits::ForSubscription(place, id);
    }

    /// Does what the hit asks of the open connection.
    fn act(&mut self, at: usize, orders: &mut Orders) {
        let (Some(connection), Some(hit)) = (&mut self.brokers[at].connection, &mut self.hit) else { return };
        let (request, version) = (hit.request.clone(), connection.version());
        let topics = request.topic_names();
        match request.method {
            Method::Connect | Method::Disconnect => self.finish(Ok(Reply::default()), orders),
            Method::Receive => self.receive(at, 0, orders),
            Method::Publish => self.publish(at, &request, orders),
            Method::Subscribe => {
                let id = connection.next_id();
                connection.say(orders, |out| {
                    packet::push_subscribe(out, &topics, request.qos, request.options(), &request.properties, id, version);
                });
                hit.waits = Waits::ForAnswer(id);
            }
            Method::Unsubscribe => {
                let id = connection.next_id();
                connection.say(orders, |out| packet::push_unsubscribe(out, &topics, &request.properties, id, version));
                hit.waits = Waits::ForAnswer(id);
            }
        }
    }

    fn publish(&mut self, at: usize, request: &MqttRequest, orders: &mut Orders) {
        let (Some(connection), Some(hit), Some(message)) = (&mut self.brokers[at].connection, &mut self.hit, &request.message) else {
            return self.finish(Err(foreign().into()), orders);
        };
        let version = connection.version();
        let mut token = None;
        if let Some(tracked) = &request.tracked {
            let own = tracked.token.is_none().then(|| self.deliveries.new_token());
            if own.is_some() && version != Version::V5 {
                let text = "delivery without a path needs a connection of MQTT 5; nothing was sent";
                return self.finish(Err(Failure::new(Outcome::Template, text).into()), orders);
            }
            let known = own.as_ref().or(tracked.token.as_ref());
            hit.tracked = known.and_then(|token| self.deliveries.sent(&tracked.rule, token, orders));
            token = own;
        }
        let id = if message.qos > 0 { connection.next_id() } else { 0 };
        let more = token.as_deref().map(|token| (PROPERTY, token));
        let mut made = Ok(());
        connection.say(orders, |out| made = packet::push_publish(out, &message.outgoing(), id, version, more));
        if let Err(size) = made {
            let (size, most) = (with_commas(size as u64), with_commas(crate::protocols::mqtt::codec::MOST_REMAINING as u64));
            let text = format!("a packet of {size} bytes is too large for MQTT (at most {most}); nothing was sent");
            return self.finish(Err(Failure::new(Outcome::Template, text).into()), orders);
        }
        if message.qos == 0 {
            hit.waits = Waits::ToBeSent;
            orders.tell_sent(connection.link);
        } else {
            hit.waits = Waits::ForAnswer(id);
            connection.owes(id);
        }
    }

    fn acknowledged(&mut self, at: usize, id: u16, kind: Kind, reason: u8, orders: &mut Orders) {
        let was_owed = self.brokers[at].connection.as_mut().is_some_and(|one| one.acknowledged(id));
        let is_it = |hit: &&Hit| hit.at == at && hit.waits == Waits::ForAnswer(id) && hit.request.method == Method::Publish;
        let Some(hit) = self.hit.as_ref().filter(is_it).filter(|_| was_owed) else { return };
        let sent = hit.request.message.as_ref().map_or(0, |message| message.payload.len() as u64);
        let result = if reason >= FAILURE {
            let text = format!("the broker refused the message: {}", words(kind, reason));
            Err(Failure::new(Outcome::Status, text).into())
        } else {
            Ok(Reply { sent, ..Reply::default() })
        };
        self.finish(result, orders);
    }

    /// A subscription was taken, or the end of one.
    fn answered(&mut self, at: usize, id: u16, kind: Kind, reasons: &[u8], orders: &mut Orders) {
        let Some(hit) = self.hit.as_ref().filter(|hit| hit.at == at) else { return };
        let broker = &mut self.brokers[at];
        let version = broker.connection.as_ref().map_or(Version::V311, Connection::version);
        let request = hit.request.clone();
        let (again, topics) = match hit.waits {
            Waits::ForSubscription(place, wanted) if wanted == id && kind == Kind::Suback => {
                (Some(place), broker.subscriptions.get(place).map(|(topic, _)| vec![topic.clone()]).unwrap_or_default())
            }
            Waits::ForAnswer(wanted) if wanted == id => match (request.method, kind) {
                (Method::Subscribe, Kind::Suback) | (Method::Unsubscribe, Kind::Unsuback) => (None, request.topics.to_vec()),
                _ => return,
            },
            _ => return,
        };
        if let Some(failure) = refusal(kind, &topics, reasons, version) {
            if again.is_some() {
                self.drop_connection(at, orders); // else later steps would wait for messages that never come
            }
            return self.finish(Err(failure.into()), orders);
        }
        if let Some(place) = again {
            return self.subscribe_again(at, place + 1, orders);
        }
        for topic in topics {
            let known = broker.subscriptions.iter().position(|(one, _)| *one == topic);
            match (kind, known) {
                (Kind::Suback, Some(place)) => broker.subscriptions[place].1 = request.clone(),
                (Kind::Suback, None) => broker.subscriptions.push((topic, request.clone())),
                (_, Some(place)) => drop(broker.subscriptions.remove(place)),
                (_, None) => {}
            }
        }
        self.finish(Ok(Reply::default()), orders);
    }

    /// A message is here: whoever measures its delivery, and whoever waits for it.
    fn arrived(&mut self, at: usize, message: Arrived, orders: &mut Orders) {
        self.deliveries.arrived(&message, orders);
        if !self.keeps {
            return;
        }
        self.brokers[at].inbox.put(message);
        if let Some(Hit { waits: Waits::ForMessage(after), .. }) = self.hit.as_ref().filter(|hit| hit.at == at) {
            self.receive(at, *after, orders);
        }
    }

    /// Takes a message that the hit means, or waits for one; `after`: how many had come when none of them was meant.
    fn receive(&mut self, at: usize, after: u64, orders: &mut Orders) {
        let Some(hit) = &mut self.hit else { return };
        let Broker { inbox, connection, .. } = &mut self.brokers[at];
        if inbox.dropped > 0 {
            let text = format!("{} dropped: no step received them in time", counted(std::mem::take(&mut inbox.dropped), "message"));
            return self.finish(Err(Failure::new(Outcome::TooLarge, text).into()), orders);
        }
        if let Some(message) = inbox.take(hit.request.topics.first().map_or("", String::as_str), after) {
            let result = expected(&hit.request, message);
            return self.finish(result, orders);
        }
        match connection {
            Some(_) => hit.waits = Waits::ForMessage(inbox.arrived),
            None => self.open(at, orders),
        }
    }

    /// The connection is over: the hit that waits for something of it says so, else a row of its own.
    fn lose(&mut self, at: usize, failure: Failure, orders: &mut Orders) {
        let Some(connection) = self.brokers[at].connection.take() else { return };
        orders.close(connection.link);
        if self.hit.as_ref().is_some_and(|hit| hit.at == at) {
            return self.finish(Err(failure.into()), orders);
        }
        if connection.is_open {
            let (name, start_ns) = ("connection".to_owned(), orders.now_ns);
            orders.observed(Observed { user: None, method: METHOD, name, start_ns, received: 0, failure: Some(failure) });
        }
    }

    /// Without DISCONNECT, as a user whose machine dies.
    fn drop_connection(&mut self, at: usize, orders: &mut Orders) {
        if let Some(connection) = self.brokers[at].connection.take() {
            orders.close(connection.link);
        }
    }

    fn say_goodbye(&mut self, at: usize, orders: &mut Orders) {
        if let Some(connection) = self.brokers[at].connection.as_mut().filter(|one| one.is_open) {
            connection.say(orders, |out| out.extend_from_slice(packet::DISCONNECT));
        }
        self.drop_connection(at, orders);
    }

    fn finish(&mut self, result: Result<Reply, Lost>, orders: &mut Orders) {
        let Some(hit) = self.hit.take() else { return };
        if let Some(serial) = hit.tracked.filter(|_| result.is_err()) {
            self.deliveries.not_sent(serial);
        }
        orders.end(result);
    }
}
