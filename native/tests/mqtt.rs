//! The client of `mqtt_user`, fed whole, byte by byte, and with what belongs to the next packet behind.

use std::sync::Arc;

use _native::plan::Place;
use _native::plan::message::Asked;
use _native::plan::mqtt::{DeliveryRule, Message, Method, MqttRequest, MqttSpeech, Properties, Terms, Tracked, Version};
use _native::plan::outcome::Outcome;
use _native::protocols::mqtt::MqttClient;
use _native::protocols::orders::{Lost, Orders, Reply};
use _native::protocols::{Client, Link};
use _native::values::found::{PartPlan, Path};
use proptest::prelude::*;

mod talking;
use talking::{Ordered, cases, ordered};

const MOST_BYTES: usize = 1_000;
const SECOND_NS: i64 = 1_000_000_000;
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const CONNACK_5: &[u8] = &[0x20, 3, 0, 0, 0];
const OK: (Outcome, &str) = (Outcome::Ok, "");

fn path() -> Path {
    vec![PartPlan::Either("id".into())].into()
}

fn step(method: Method) -> MqttRequest {
    MqttRequest {
        method,
        broker: "127.0.0.1:7".into(),
        place: Place { host: "127.0.0.1".into(), port: 7, ..Place::default() },
        terms: None,
        timeout_s: 2.0,
        topics: ["t".to_owned()].into(),
        message: None,
        tracked: None,
        qos: 0,
        properties: Arc::default(),
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
        expect: None,
        abrupt: false,
    }
}

fn publish(qos: u8) -> MqttRequest {
    let message = Message { topic: "t".into(), payload: br#"{"id":7}"#.to_vec(), qos, retain: false, properties: Arc::default() };
    MqttRequest { message: Some(message), ..step(Method::Publish) }
}

fn tracked(path_text: &str, token: Option<&str>, subscribers: usize) -> MqttRequest {
    let cut = if path_text.is_empty() { Vec::new().into() } else { path() };
    let rule = DeliveryRule { path: path_text.into(), cut, timeout_s: 3.0, subscribers, required: true, name: "deliver:t".into() };
    MqttRequest { tracked: Some(Tracked { rule: Arc::new(rule), token: token.map(str::to_owned) }), ..publish(1) }
}

/// A client and what it has done so far.
struct Talk {
    client: MqttClient,
    orders: Orders,
    link: Link,
}

impl Talk {
    fn new(process: &str) -> Self {
        let speech = MqttSpeech { keeps: true, process: process.into() };
        Talk { client: MqttClient::new(&speech, MOST_BYTES), orders: Orders::default(), link: 0 }
    }

    /// With a connection of this version.
    fn open(version: Version) -> Self {
        Self::open_in("alone", version)
    }

    fn open_in(process: &str, version: Version) -> Self {
        let mut talk = Talk::new(&format!("{process} {version:?}"));
        let terms = Terms { version, keepalive_s: 60, clean_start: true, ..Terms::default() };
        talk.begin(MqttRequest { terms: Some(Arc::new(terms)), ..step(Method::Connect) });
        let told = talk.told();
        talk.link = told.opened[0];
        talk.client.connected(talk.link, &mut talk.orders);
        assert_eq!(talk.told().sent[0], 0x10);
        talk.hear(if version == Version::V5 { CONNACK_5 } else { CONNACK });
        assert_eq!(talk.ends(), [OK]);
        talk
    }

    fn begin(&mut self, request: MqttRequest) {
        self.client.begin(&Asked::Mqtt(Arc::new(request)), &mut self.orders);
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.client.received(self.link, bytes, &mut self.orders);
    }

    fn told(&mut self) -> Ordered {
        ordered(&mut self.orders)
    }

    fn ends(&mut self) -> Vec<(Outcome, &'static str)> {
        self.told().ended.iter().map(shown).collect()
    }
}

fn shown(result: &Result<Reply, Lost>) -> (Outcome, &'static str) {
    let (outcome, text) = match result {
        Ok(reply) => (Outcome::Ok, String::from_utf8_lossy(reply.data.as_deref().unwrap_or_default()).into_owned()),
        Err(lost) => (lost.failure.outcome, lost.failure.text.clone()),
    };
    (outcome, text.leak())
}

fn message(first: u8, topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    body.extend(payload);
    let length = body.len();
    let head = if length < 128 { vec![first, length as u8] } else { vec![first, length as u8 | 0x80, (length >> 7) as u8] };
    [head, body].concat()
}

#[test]
fn an_acknowledgement_ends_its_message_however_it_comes() {
    use Version::{V5, V311};
    for (version, qos, answers, ends) in [
        (V311, 1, vec![&[0x40, 2, 0, 1][..]], vec![OK]),
        (V5, 1, vec![&[0x40, 2, 0, 1]], vec![OK]),
        (V5, 1, vec![&[0x40, 4, 0, 1, 0x10, 0]], vec![OK]),
        (V5, 1, vec![&[0x40, 3, 0, 1, 0x87]], vec![(Outcome::Status, "the broker refused the message: Not authorized (0x87)")]),
        (V311, 1, vec![&[0x40, 2, 0, 9]], vec![]),
        (V311, 1, vec![&[0x40, 2, 0, 9], &[0x40, 2, 0, 1]], vec![OK]),
        (V311, 1, vec![&[0x40, 2, 0, 1], &[0x40, 2, 0, 1]], vec![OK]),
        (V311, 1, vec![&[0x90, 3, 0, 1, 0]], vec![]),
        (V311, 2, vec![&[0x50, 2, 0, 1]], vec![]),
        (V311, 2, vec![&[0x50, 2, 0, 1], &[0x70, 2, 0, 1]], vec![OK]),
        (
            V5,
            2,
            vec![&[0x50, 3, 0, 1, 0x97], &[0x70, 2, 0, 1]],
            vec![(Outcome::Status, "the broker refused the message: Quota exceeded (0x97)")],
        ),
        (V5, 1, vec![&[0xe0, 1, 0x8b]], vec![(Outcome::Closed, "the broker ended the connection: Server shutting down (0x8b)")]),
        (V5, 1, vec![&[0xe0, 0]], vec![(Outcome::Closed, "the broker ended the connection: Normal disconnection (0x00)")]),
        (V311, 1, vec![&[0x40, 1, 0]], vec![(Outcome::Protocol, "the broker sent invalid MQTT: a packet that ends early")]),
        (V311, 1, vec![&[0xff]], vec![]),
        (V311, 1, vec![&[0xc0, 0], &[0xd0, 0]], vec![]),
    ] {
        let wire = answers.concat();
        for size in [wire.len(), 1] {
            let mut talk = Talk::open(version);
            talk.begin(publish(qos));
            assert_eq!(talk.told().sent[0], 0x30 | qos << 1);
            for piece in wire.chunks(size) {
                talk.hear(piece);
            }
            let told = talk.told();
            assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), ends, "{answers:?}");
            let is_over = ends.iter().any(|(outcome, _)| matches!(outcome, Outcome::Closed | Outcome::Protocol));
            assert_eq!(!told.closed.is_empty(), is_over, "{answers:?}");
            assert!(told.observed.is_empty());
            let sent: &[u8] = match answers[0][0] {
                0x50 if answers[0].len() == 4 => &[0x62, 2, 0, 1],
                0xc0 => &[0xd0, 0],
                _ => &[],
            };
            assert_eq!(told.sent, sent, "{answers:?}");
        }
    }
}

#[test]
fn what_is_behind_an_acknowledgement_belongs_to_the_next_step() {
    let mut talk = Talk::open(Version::V311);
    talk.begin(publish(1));
    let behind = [&[0x40, 2, 0, 1][..], &message(0x30, "t", None, b"one"), &message(0x32, "t", Some(5), b"two"), &[0x34, 9, 0]].concat();
    talk.hear(&behind);
    let told = talk.told();
    assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [OK]);
    assert!(told.sent.ends_with(&[0x40, 2, 0, 5]));
    for text in ["one", "two"] {
        talk.begin(step(Method::Receive));
        assert_eq!(talk.ends(), [(Outcome::Ok, text)]);
    }
    talk.begin(step(Method::Receive));
    talk.hear(&[1, b't', 0, 6, b'a', b'b', b'c', b'd']);
    let told = talk.told();
    assert_eq!((told.ended.len(), told.sent), (0, vec![0x50, 2, 0, 6]), "of QoS 2: not before the broker releases it");
    talk.hear(&[0x62, 2, 0, 6]);
    let told = talk.told();
    assert_eq!((told.ended.iter().map(shown).collect::<Vec<_>>(), told.sent), (vec![(Outcome::Ok, "abcd")], vec![0x70, 2, 0, 6]));
    talk.hear(&[0x62, 2, 0, 6]);
    assert_eq!(talk.told().sent, [0x70, 2, 0, 6], "one that is not known is acknowledged too");
}

#[test]
fn a_refused_or_lost_connection_says_why_and_the_next_step_makes_a_new_one() {
    let refused = |code: u8| vec![0x20, 2, 0, code];
    for (version, wire, outcome, text) in [
        (Version::V311, refused(1), Outcome::Connect, "the broker refused the connection: Unsupported protocol version (0x84)"),
        (Version::V311, refused(4), Outcome::Connect, "the broker refused the connection: Bad user name or password (0x86)"),
        (Version::V5, vec![0x20, 3, 0, 0x9f, 0], Outcome::Connect, "the broker refused the connection: Connection rate exceeded (0x9f)"),
        (Version::V5, vec![0x20, 2, 0, 1], Outcome::Connect, "the broker refused the connection: Unsupported protocol version (0x84)"),
        (
            Version::V311,
            b"HTTP/1.1 400\r\n\r\n".repeat(9),
            Outcome::Protocol,
            "the broker sent invalid MQTT: an acknowledgement of another length",
        ),
    ] {
        for size in [wire.len(), 1] {
            let mut talk = Talk::new("refused");
            let terms = Terms { version, ..Terms::default() };
            talk.begin(MqttRequest { terms: Some(Arc::new(terms)), ..publish(1) });
            talk.link = talk.told().opened[0];
            talk.client.connected(talk.link, &mut talk.orders);
            for piece in wire.chunks(size) {
                talk.hear(piece);
            }
            let told = talk.told();
            assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [(outcome, text)]);
            assert_eq!((told.closed, told.observed.len()), (vec![talk.link], 0));
            talk.begin(publish(1));
            assert_eq!(talk.told().opened.len(), 1);
        }
    }
}

#[test]
fn a_connection_that_goes_between_two_steps_is_a_hit_of_its_own_and_its_subscriptions_are_made_again() {
    let mut talk = Talk::open(Version::V311);
    let topics: Arc<[String]> = ["a".to_owned(), "b".to_owned()].into();
    talk.begin(MqttRequest { topics, qos: 1, ..step(Method::Subscribe) });
    talk.hear(&[0x90, 4, 0, 1, 1, 0]);
    assert_eq!(talk.ends(), [OK]);
    talk.client.ended(talk.link, None, &mut talk.orders);
    let lost = talk.told().observed;
    assert_eq!((lost.len(), lost[0].name.as_str()), (1, "connection"));
    assert_eq!(lost[0].failure.as_ref().map(|failure| failure.outcome), Some(Outcome::Closed));

    talk.begin(publish(1));
    talk.link = talk.told().opened[0];
    talk.client.connected(talk.link, &mut talk.orders);
    talk.told();
    talk.hear(CONNACK);
    assert_eq!(talk.told().sent, [0x82, 6, 0, 1, 0, 1, b'a', 1]);
    talk.hear(&[0x90, 3, 0, 1, 1]);
    assert_eq!(talk.told().sent, [0x82, 6, 0, 2, 0, 1, b'b', 1]);
    talk.hear(&[0x90, 3, 0, 2, 0]);
    assert_eq!(talk.told().sent[0], 0x32, "then it is the step's turn");
    talk.hear(&[0x40, 2, 0, 3]);
    assert_eq!(talk.ends(), [OK]);

    // a broker that still has the session is not asked again; one that refuses gets no further word
    for (connack, answer, sent, end) in [
        (&[0x20, 2, 1, 0][..], &[0x40, 2, 0, 1][..], 0x32, OK),
        (CONNACK, &[0x90, 3, 0, 1, 0x80], 0x82, (Outcome::Status, "the broker refused the subscription to a: Unspecified error (0x80)")),
    ] {
        talk.client.ended(talk.link, None, &mut talk.orders);
        talk.begin(publish(1));
        talk.link = talk.told().opened[0];
        talk.client.connected(talk.link, &mut talk.orders);
        talk.told();
        talk.hear(connack);
        assert_eq!(talk.told().sent[0], sent);
        talk.hear(answer);
        assert_eq!(talk.ends(), [end]);
    }
}

#[test]
fn subscriptions_are_answered_one_reason_for_each_topic() {
    let two: Arc<[String]> = ["a".to_owned(), "b".to_owned()].into();
    let many = "the broker refused the subscription to b: Not authorized (0x87)";
    for (method, answer, end) in [
        (Method::Subscribe, &[0x90, 5, 0, 1, 0, 1, 2][..], OK),
        (Method::Subscribe, &[0x90, 5, 0, 1, 0, 1, 0x87], (Outcome::Status, many)),
        (Method::Subscribe, &[0x90, 4, 0, 1, 0, 1], (Outcome::Status, "the broker refused the subscription to some of the topics")),
        (Method::Unsubscribe, &[0xb0, 5, 0, 1, 0, 0, 0x11], OK),
        (
            Method::Unsubscribe,
            &[0xb0, 5, 0, 1, 0, 0x83, 0],
            (Outcome::Status, "the broker refused the end of the subscription to a: Implementation specific error (0x83)"),
        ),
    ] {
        let mut talk = Talk::open(Version::V5);
        talk.begin(MqttRequest { topics: two.clone(), ..step(method) });
        talk.told();
        talk.hear(&[0x40, 2, 0, 1]); // no answer to this
        assert_eq!(talk.ends(), []);
        talk.hear(answer);
        assert_eq!(talk.ends(), [end]);
    }
}

#[test]
fn a_time_out_leaves_the_connection_until_the_broker_owes_too_much() {
    let mut talk = Talk::open(Version::V311);
    for number in 1..=20 {
        talk.begin(publish(1));
        assert_eq!(talk.client.late(&mut talk.orders), "not acknowledged within 2 s");
        assert_eq!(talk.told().closed.len(), usize::from(number == 20));
    }
    let mut talk = Talk::open(Version::V311);
    for number in 1..=60u8 {
        talk.begin(publish(2));
        talk.client.late(&mut talk.orders);
        talk.hear(&[0x50, 2, 0, number, 0x70, 2, 0, number]); // too late for the step, in time for the connection
        assert_eq!(talk.told().closed.len(), 0);
    }
    let mut talk = Talk::new("late");
    talk.begin(step(Method::Receive));
    let link = talk.told().opened[0];
    assert_eq!(talk.client.late(&mut talk.orders), "no message within 2 s");
    assert_eq!(talk.told().closed, [link], "a connection that was not there in time is given up");
}

#[test]
fn the_connection_is_kept_alive_and_a_broker_that_shows_no_life_is_left() {
    let mut talk = Talk::open(Version::V311);
    assert_eq!(talk.client.next_due_ns(), Some(60 * SECOND_NS));
    talk.orders.now_ns = 60 * SECOND_NS;
    talk.client.due(&mut talk.orders);
    assert_eq!(talk.told().sent, [0xc0, 0]);
    talk.orders.now_ns = 61 * SECOND_NS;
    talk.hear(&[0xd0, 0]);
    for second in [120, 180] {
        talk.orders.now_ns = second * SECOND_NS;
        talk.client.due(&mut talk.orders);
    }
    let told = talk.told();
    assert_eq!((told.sent, told.closed), (vec![0xc0, 0], vec![talk.link]));
    let failure = told.observed[0].failure.as_ref().unwrap();
    assert_eq!((failure.outcome, failure.text.as_str()), (Outcome::Closed, "the connection was lost: Keep alive timeout"));
    // the broker may ask for another time
    let mut talk = Talk::new("server keep alive");
    let terms = Terms { version: Version::V5, keepalive_s: 60, ..Terms::default() };
    talk.begin(MqttRequest { terms: Some(Arc::new(terms)), ..step(Method::Connect) });
    talk.link = talk.told().opened[0];
    talk.client.connected(talk.link, &mut talk.orders);
    talk.hear(&[0x20, 6, 0, 0, 3, 0x13, 0, 5]);
    assert_eq!(talk.client.next_due_ns(), Some(5 * SECOND_NS));
}

#[test]
fn deliveries_are_measured_across_users_and_those_that_must_arrive_fail_in_time() {
    let mut publisher = Talk::open_in("shared", Version::V5);
    let mut others = [Talk::open_in("shared", Version::V5), Talk::open_in("shared", Version::V5)];
    let mut stranger = Talk::open_in("another", Version::V5);
    publisher.orders.now_ns = 10;
    publisher.begin(tracked("id", Some("7"), 2));
    publisher.hear(&[0x40, 2, 0, 1]);
    assert_eq!(publisher.ends(), [OK]);
    let delivered = message(0x30, "t", None, b"\x00{\"id\": 7}");
    for (at, talk) in others.iter_mut().chain([&mut stranger]).enumerate() {
        talk.orders.now_ns = 30;
        talk.hear(&delivered);
        talk.hear(&delivered); // brokers may repeat it
        let told = talk.told().observed;
        let found: Vec<_> = told.iter().map(|one| (one.name.as_str(), one.start_ns, one.received, one.failure.is_none())).collect();
        assert_eq!(found, if at < 2 { vec![("deliver:t", 10, 9, true)] } else { vec![] });
    }
    // the token may be ours, in a property
    publisher.begin(tracked("", None, 2));
    let sent = publisher.told().sent;
    let token = String::from_utf8(sent.split(|byte| *byte == b'{').next().unwrap().to_vec()).unwrap();
    assert!(token.contains("loadflow-delivery") && token.contains("shared V5-"), "{token:?}");
    publisher.hear(&[0x40, 2, 0, 2]);
    assert_eq!(publisher.ends(), [OK]);
    let mut body = sent;
    body[0] = 0x30; // QoS 0 has no id behind its topic
    body.drain(5..7);
    body[1] -= 2;
    others[0].hear(&body);
    assert_eq!(others[0].told().observed.len(), 1);
    publisher.orders.now_ns = publisher.client.next_due_ns().unwrap();
    assert_eq!(publisher.orders.now_ns, 10 + 3 * SECOND_NS);
    publisher.client.due(&mut publisher.orders);
    let given_up = publisher.told().observed;
    let failure = given_up[0].failure.as_ref().unwrap();
    assert_eq!((given_up.len(), failure.outcome), (1, Outcome::Timeout));
    assert_eq!(failure.text, "not delivered within 3 s to 2 subscribers, only to 1");
    // one that was not published is not waited for
    publisher.begin(tracked("id", Some("8"), 1));
    publisher.hear(&[0x40, 3, 0, 3, 0x87]);
    publisher.told();
    others[1].hear(&message(0x30, "t", None, b"\x00{\"id\": 8}"));
    assert_eq!(others[1].told().observed.len(), 0);
    let mut old = Talk::open_in("shared", Version::V311);
    old.begin(tracked("", None, 1));
    assert_eq!(old.ends(), [(Outcome::Template, "delivery without a path needs a connection of MQTT 5; nothing was sent")]);
}

#[test]
fn what_a_hostile_broker_makes_us_hold_is_bounded() {
    let mut talk = Talk::open(Version::V311);
    talk.begin(step(Method::Receive));
    talk.hear(&[0x30, 0xff, 0xff, 0x7f]); // over two million bytes
    assert_eq!(talk.ends(), [(Outcome::TooLarge, "a message is over max_body_bytes (1,000)")]);

    let mut talk = Talk::open(Version::V311);
    talk.begin(step(Method::Receive));
    let mut end = vec![];
    for id in 1..=2_000 {
        talk.hear(&message(0x34, "t", Some(id), b""));
        end = talk.ends();
        if !end.is_empty() {
            assert_eq!(id, 1_001);
            break;
        }
    }
    assert_eq!(end, [(Outcome::Protocol, "the broker sent invalid MQTT: more than 1,000 messages of QoS 2 (0 bytes) without PUBREL")]);

    let mut talk = Talk::open(Version::V311);
    for _ in 0..5 {
        talk.hear(&message(0x30, "t", None, &[b'x'; 300]));
    }
    talk.begin(step(Method::Receive));
    assert_eq!(talk.ends(), [(Outcome::TooLarge, "2 messages dropped: no step received them in time")]);
    for _ in 0..3 {
        talk.begin(step(Method::Receive));
        assert_eq!(talk.ends()[0].0, Outcome::Ok);
    }
}

#[test]
fn users_say_goodbye_and_machines_that_die_do_not() {
    let mut talk = Talk::open(Version::V5);
    talk.begin(step(Method::Disconnect));
    let told = talk.told();
    assert_eq!((told.sent, told.closed, told.ended.iter().map(shown).collect::<Vec<_>>()), (vec![0xe0, 0], vec![talk.link], vec![OK]));
    talk.begin(step(Method::Disconnect));
    assert_eq!(talk.ends(), [(Outcome::Closed, "there is no connection to end")]);
    let mut talk = Talk::open(Version::V5);
    talk.begin(MqttRequest { abrupt: true, ..step(Method::Disconnect) });
    let told = talk.told();
    assert_eq!((told.sent.len(), told.closed), (0, vec![talk.link]));
    let mut talk = Talk::open(Version::V5);
    talk.client.leave(&mut talk.orders);
    assert_eq!(talk.told().sent, [0xe0, 0]);
}

#[test]
fn a_message_of_qos_0_ends_when_it_is_on_its_way() {
    let mut talk = Talk::open(Version::V311);
    talk.begin(publish(0));
    assert_eq!(talk.ends(), []);
    talk.client.sent(talk.link, &mut talk.orders);
    assert_eq!(talk.ends(), [OK]);
    let broken =
        Message { topic: "t".into(), payload: vec![0; 268_435_456], qos: 0, retain: false, properties: Arc::new(Properties::default()) };
    talk.begin(MqttRequest { message: Some(broken), ..publish(0) });
    let (outcome, text) = talk.ends()[0];
    assert_eq!((outcome, text.contains("too large for MQTT")), (Outcome::Template, true), "{text}");
}

/// Packets that are right, wrong, or of another step.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let ack = (prop::sample::select(vec![0x40u8, 0x50, 0x62, 0x70]), 0u8..4).prop_map(|(first, id)| vec![first, 2, 0, id]);
    let granted =
        (prop::sample::select(vec![0x90u8, 0xb0]), 0u8..4, any::<u8>()).prop_map(|(first, id, code)| vec![first, 4, 0, id, 0, code]);
    let published = (0u8..3, "[tu]", 0u16..4, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(qos, topic, id, payload)| message(0x30 | qos << 1, &topic, (qos > 0).then_some(id), &payload));
    let other =
        prop::sample::select(vec![vec![0xd0, 0], vec![0xc0, 0], vec![0xe0, 0], CONNACK.to_vec(), CONNACK_5.to_vec(), vec![0x20, 2, 0, 5]]);
    prop_oneof![ack, granted, published, other, prop::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_a_broker_sends_a_step_ends_once_or_waits(
        is_5 in any::<bool>(), steps in prop::collection::vec((0usize..6, prop::collection::vec(packets(), 0..5), 1usize..9), 1..6),
    ) {
        let version = if is_5 { Version::V5 } else { Version::V311 };
        let mut talk = Talk::open(version);
        for (kind, packets, size) in steps {
            let request = match kind {
                0 => publish(0),
                1 => publish(1),
                2 => publish(2),
                3 => step(Method::Subscribe),
                4 => step(Method::Receive),
                _ => tracked("id", Some("7"), 1),
            };
            talk.begin(request);
            let mut told = talk.told();
            let mut ended = told.ended.len();
            if let Some(link) = told.opened.last() {
                talk.link = *link;
                talk.client.connected(talk.link, &mut talk.orders);
            }
            for piece in packets.concat().chunks(size) {
                talk.hear(piece);
                told = talk.told();
                ended += told.ended.len();
            }
            prop_assert!(ended <= 1);
            if ended == 0 {
                let text = talk.client.late(&mut talk.orders);
                prop_assert!(text.ends_with("within 2 s"));
                prop_assert!(talk.told().ended.is_empty());
            }
        }
        talk.client.leave(&mut talk.orders);
        prop_assert_eq!(talk.client.next_due_ns(), None);
    }
}
