//! Packets of MQTT as another implementation reads and writes them, and what is no packet.

use std::sync::Arc;

use _native::plan::mqtt::{Properties, Version};
use _native::protocols::mqtt::codec::{Frame, Framed, Reader, frame, push_number};
use _native::protocols::mqtt::packet::{
    Connect, Kind, Malformed, Options, Outgoing, Packet, push_connect, push_publish, push_subscribe, push_unsubscribe, read,
};
use _native::protocols::mqtt::reason;
use mqtt_protocol_core::mqtt::packet::{self as judge, Property, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, PubackReasonCode, SubackReasonCode};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zäß/ 0-9]{1,12}"
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
}

fn message_properties() -> impl Strategy<Value = Properties> {
    let options =
        (prop::option::of(any::<bool>()), prop::option::of(any::<u32>()), prop::option::of(text()), prop::option::of("[a-z/]{1,9}"));
    (options, prop::option::of(text()), prop::collection::vec((text(), text()), 0..4)).prop_map(|(options, correlation_data, user)| {
        let (payload_is_text, message_expiry, content_type, response_topic) = options;
        Properties { payload_is_text, message_expiry, content_type, response_topic, correlation_data, user, ..Properties::default() }
    })
}

fn whole(stream: &[u8]) -> Frame<'_> {
    match frame(stream) {
        Ok(Framed::Whole(found)) => found,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_frame_is_found_whole_byte_by_byte_and_with_a_tail(
        first in any::<u8>(), size in prop_oneof![0usize..300, 16_380..16_390usize], tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut stream = vec![first];
        push_number(&mut stream, size);
        let head = stream.len();
        stream.resize(head + size, 7);
        let length = stream.len();
        stream.extend(&tail);
        for known in 0..length {
            let needs = if known < head { None } else { Some(size) };
            prop_assert_eq!(frame(&stream[..known]), Ok(Framed::Needs(needs)));
        }
        let found = Framed::Whole(Frame { first, body: &stream[head..length], length });
        prop_assert_eq!(frame(&stream[..length]), Ok(found));
        prop_assert_eq!(whole(&stream).length, length);
    }

    #[test]
    fn another_implementation_reads_our_connect(
        version in versions(), client_id in text(), clean_start in any::<bool>(), keepalive_s in any::<u16>(),
        name in prop::option::of((text(), prop::option::of(text()))), will in prop::option::of((0u8..3, any::<bool>(), "[a-z/]{1,9}")),
        will_properties in message_properties(), session_expiry in prop::option::of(any::<u32>()), receive_maximum in prop::option::of(1u16..),
    ) {
        let properties = Properties { session_expiry, receive_maximum, user: will_properties.user.clone(), ..Properties::default() };
        let connect = Connect {
            version,
            client_id: &client_id,
            clean_start,
            keepalive_s,
            username: name.as_ref().map(|(name, _)| name.as_str()),
            password: name.as_ref().and_then(|(_, password)| password.as_deref()),
            properties: Some(&properties),
            will: will.as_ref().map(|(qos, retain, topic)| {
                Outgoing { topic, payload: b"\x00gone", qos: *qos, retain: *retain, properties: &will_properties }
            }),
        };
        let mut ours = Vec::new();
        push_connect(&mut ours, &connect);
        let body = whole(&ours).body;
        let will_topic = will.as_ref().map(|(_, _, topic)| topic.as_str());
        let password = connect.password.map(str::as_bytes);
        if version == Version::V5 {
            let (read, used) = v5_0::Connect::parse(body).unwrap();
            prop_assert_eq!(used, body.len());
            prop_assert_eq!((read.client_id(), read.clean_start(), read.keep_alive()), (client_id.as_str(), clean_start, keepalive_s));
            prop_assert_eq!((read.user_name(), read.password(), read.will_topic()), (connect.username, password, will_topic));
            prop_assert_eq!(read.to_continuous_buffer(), ours);
        } else {
            let (read, used) = v3_1_1::Connect::parse(body).unwrap();
            prop_assert_eq!(used, body.len());
            prop_assert_eq!((read.client_id(), read.clean_session(), read.keep_alive()), (client_id.as_str(), clean_start, keepalive_s));
            prop_assert_eq!((read.user_name(), read.password(), read.will_topic()), (connect.username, password, will_topic));
            prop_assert_eq!(read.to_continuous_buffer(), ours);
        }
    }

    #[test]
    fn a_message_is_what_was_written_to_us_and_to_another_implementation(
        version in versions(), topic in "[a-zä/]{1,20}", payload in prop::collection::vec(any::<u8>(), 0..300), qos in 0u8..3,
        retain in any::<bool>(), id in 1u16.., properties in message_properties(), token in prop::option::of(text()),
    ) {
        let message = Outgoing { topic: &topic, payload: &payload, qos, retain, properties: &properties };
        let more = token.as_deref().map(|token| ("token", token));
        let mut ours = Vec::new();
        push_publish(&mut ours, &message, id, version, more).unwrap();
        let found = whole(&ours);
        let again = if version == Version::V5 {
            v5_0::GenericPublish::<u16>::parse(found.first & 0x0f, Arc::from(found.body)).unwrap().0.to_continuous_buffer()
        } else {
            v3_1_1::GenericPublish::<u16>::parse(found.first & 0x0f, Arc::from(found.body)).unwrap().0.to_continuous_buffer()
        };
        prop_assert_eq!(again, ours.clone());
        let Packet::Publish { message: read, id: read_id } = read(&found, version).unwrap() else { panic!("no message") };
        let own = if version == Version::V5 { properties.user.clone() } else { vec![] };
        let more = more.filter(|_| version == Version::V5).map(|(name, value)| (name.to_owned(), value.to_owned()));
        prop_assert_eq!(read.user, own.into_iter().chain(more).collect::<Vec<_>>());
        prop_assert_eq!((read.topic, read.payload, read.qos, read.retain), (topic.as_str(), &payload[..], qos, retain));
        prop_assert_eq!(read_id, if qos == 0 { 0 } else { id });
    }

    #[test]
    fn another_implementation_reads_our_subscriptions(
        version in versions(), topics in prop::collection::vec("[a-z]{1,5}(/[+]){0,2}(/#)?", 1..4), id in 1u16.., qos in 0u8..3,
        no_local in any::<bool>(), retain_as_published in any::<bool>(), retain_handling in 0u8..3,
        subscription_identifier in prop::option::of(1u32..268_435_455), user in prop::collection::vec((text(), text()), 0..3),
    ) {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let options = Options { no_local, retain_as_published, retain_handling };
        let properties = Properties { subscription_identifier, user: user.clone(), ..Properties::default() };
        let mut ours = Vec::new();
        push_subscribe(&mut ours, &names, qos, options, &properties, id, version);
        let body = whole(&ours).body;
        let again = if version == Version::V5 {
            v5_0::GenericSubscribe::<u16>::parse(body).unwrap().0.to_continuous_buffer()
        } else {
            v3_1_1::GenericSubscribe::<u16>::parse(body).unwrap().0.to_continuous_buffer()
        };
        prop_assert_eq!(again, ours.clone());
        ours.clear();
        push_unsubscribe(&mut ours, &names, &Properties { user, ..Properties::default() }, id, version);
        let body = whole(&ours).body;
        let again = if version == Version::V5 {
            v5_0::GenericUnsubscribe::<u16>::parse(body).unwrap().0.to_continuous_buffer()
        } else {
            v3_1_1::GenericUnsubscribe::<u16>::parse(body).unwrap().0.to_continuous_buffer()
        };
        prop_assert_eq!(again, ours);
    }

    #[test]
    fn we_read_what_another_implementation_writes(
        id in 1u16.., most in 1u16.., keepalive_s in any::<u16>(), session_present in any::<bool>(), reason in "[a-z ]{1,30}", granted in 0usize..6,
    ) {
        let made = v5_0::Connack::builder()
            .session_present(session_present)
            .reason_code(ConnectReasonCode::Success)
            .props(vec![
                Property::ReceiveMaximum(judge::ReceiveMaximum::new(most).unwrap()),
                Property::AssignedClientIdentifier(judge::AssignedClientIdentifier::new("x").unwrap()),
                Property::ServerKeepAlive(judge::ServerKeepAlive::new(keepalive_s).unwrap()),
                Property::UserProperty(judge::UserProperty::new("a", "b").unwrap()),
            ])
            .build()
            .unwrap()
            .to_continuous_buffer();
        let said = Packet::Connack { session_present, reason: 0, receive_maximum: Some(most), server_keep_alive: Some(keepalive_s) };
        prop_assert_eq!(read(&whole(&made), Version::V5), Ok(said));

        let because = || vec![Property::ReasonString(judge::ReasonString::new(reason.as_str()).unwrap())];
        let code = PubackReasonCode::QuotaExceeded;
        let made = v5_0::GenericPuback::<u16>::builder().packet_id(id).reason_code(code).props(because()).build().unwrap().to_continuous_buffer();
        prop_assert_eq!(read(&whole(&made), Version::V5), Ok(Packet::Puback { id, reason: 0x97 }));
        let made = v5_0::GenericPuback::<u16>::builder().packet_id(id).build().unwrap().to_continuous_buffer();
        prop_assert_eq!(read(&whole(&made), Version::V5), Ok(Packet::Puback { id, reason: 0 }));
        prop_assert_eq!(read(&whole(&made), Version::V311), Ok(Packet::Puback { id, reason: 0 }));

        let codes = [
            SubackReasonCode::GrantedQos0,
            SubackReasonCode::GrantedQos1,
            SubackReasonCode::GrantedQos2,
            SubackReasonCode::NotAuthorized,
            SubackReasonCode::TopicFilterInvalid,
            SubackReasonCode::QuotaExceeded,
        ];
        let made = v5_0::GenericSuback::<u16>::builder().packet_id(id).reason_codes(codes[granted..].to_vec()).props(because()).build().unwrap().to_continuous_buffer();
        let reasons = &[0, 1, 2, 0x87, 0x8f, 0x97][granted..];
        prop_assert_eq!(read(&whole(&made), Version::V5), Ok(Packet::Suback { id, reasons }));
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_read(stream in prop::collection::vec(any::<u8>(), 0..60), version in versions()) {
        if let Ok(Framed::Whole(found)) = frame(&stream) {
            let _ = read(&found, version);
        }
    }
}

#[test]
fn what_is_no_packet_is_named() {
    use Version::{V5, V311};
    let many = [&[0x30, 0xff, 0xff, 0x03, 0, 1, b't', 0xff, 0xff, 0x03][..], &[0x26; 70_000]].concat();
    for (stream, version, why) in [
        (&[0x10, 0][..], V5, "a packet that no broker sends"),
        (&[0x82, 0], V311, "a packet that no broker sends"),
        (&[0xe0, 0], V311, "a packet that no broker sends"),
        (&[0xf0, 0], V5, "a packet that no broker sends"),
        (&[0x00, 0], V5, "a packet that no broker sends"),
        (&[0x36, 5, 0, 1, b't', 0, 1], V311, "a message of QoS 3"),
        (&[0x30, 4, 0, 2, b't', 0xff], V311, "a topic that is not UTF-8"),
        (&[0x30, 2, 0, 0], V311, "a message without a topic"),
        (&[0x30, 2, 0, 9], V311, "a packet that ends early"),
        (&[0x32, 4, 0, 1, b't', 0], V311, "a packet that ends early"),
        (&[0x30, 3, 0, 1, b't'], V5, "a packet that ends early"),
        (&[0x20, 3, 0, 0, 0], V311, "a CONNACK of another length"),
        (&[0x20, 2, 0, 0], V5, "a packet that ends early"),
        (&[0x20, 3, 0, 0x11, 0], V5, "a reason code that its packet can't have"),
        (&[0x20, 6, 0, 0, 3, 0x21, 0, 0], V5, "a property with a value that it can't have"),
        (&[0x20, 9, 0, 0, 6, 0x21, 0, 1, 0x21, 0, 1], V5, "a property twice"),
        (&[0x20, 5, 0, 0, 2, 0x01, 1], V5, "a property that its packet can't have"),
        (&[0x30, 6, 0, 1, b't', 2, 0x01, 2], V5, "a property with a value that it can't have"),
        (&[0x30, 9, 0, 1, b't', 5, 0x26, 0, 1, b'a', 0], V5, "a packet that ends early"),
        (&[0x30, 8, 0, 1, b't', 4, 0x03, 0, 1, 0], V5, "text with a null character"),
        (&[0x30, 8, 0, 1, b't', 4, 0x03, 0, 1, 0xff], V5, "text that is not UTF-8"),
        (&[0x40, 3, 0, 1, 0], V311, "an acknowledgement of another length"),
        (&[0x40, 3, 0, 1, 0x81], V5, "a reason code that its packet can't have"),
        (&[0x90, 3, 0, 1, 0x03], V311, "a reason code that its packet can't have"),
        (&[0xb0, 3, 0, 1, 0], V311, "an UNSUBACK of another length"),
        (&[0xb0, 3, 0, 1, 0], V5, "an UNSUBACK of another length"),
        (&[0xd0, 1, 0], V5, "a ping with a body"),
        (&[0xe0, 1, 0x85], V5, "a reason code that its packet can't have"),
        (&many, V5, "over 32,768 bytes of properties"),
    ] {
        assert_eq!(read(&whole(stream), version), Err(Malformed(why)), "{:?}", &stream[..stream.len().min(12)]);
    }
    assert_eq!(frame(&[0x30, 0x80, 0x80, 0x80, 0x80, 1]), Err(Malformed("a length of more than four bytes")));
    assert_eq!(frame(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Ok(Framed::Needs(Some(268_435_455))));
}

#[test]
fn refusals_have_the_words_of_the_standard() {
    for (code, name) in [(1, "Unsupported protocol version"), (2, "Client identifier not valid"), (3, "Server unavailable")] {
        assert_eq!(reason::name(Kind::Connack, reason::of_return_code(code)), Some(name));
    }
    for (code, name) in [(4, "Bad user name or password"), (5, "Not authorized"), (9, "Unspecified error")] {
        let stream = [0x20, 2, 0, code];
        let Ok(Packet::Connack { reason, .. }) = read(&whole(&stream), Version::V311) else { panic!("no CONNACK") };
        assert_eq!(reason::words(Kind::Connack, reason), format!("{name} (0x{reason:02x})"));
        assert!(reason >= reason::FAILURE);
    }
    let old = Packet::Connack { session_present: false, reason: 0x84, receive_maximum: None, server_keep_alive: None };
    assert_eq!(read(&whole(&[0x20, 2, 0, 1]), Version::V5), Ok(old), "a broker of MQTT 3.1.1 is asked for 5");
}

#[test]
fn numbers_take_as_few_bytes_as_they_can() {
    for (number, bytes) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3), (2_097_152, 4), (268_435_455, 4)] {
        let mut out = Vec::new();
        push_number(&mut out, number);
        assert_eq!((out.len(), Reader::new(&out).number()), (bytes, Ok(number)));
    }
}
