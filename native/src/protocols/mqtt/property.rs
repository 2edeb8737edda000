//! Properties of MQTT 5 (section 2.2.2).

use crate::plan::mqtt::Properties;
use crate::protocols::mqtt::codec::{Reader, push_number, push_text};
use crate::protocols::mqtt::packet::{Kind, Malformed};

/// Bytes of them in one packet.
pub const MOST_BYTES: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// 0 or 1
    Flag,
    Byte,
    Two,
    Four,
    Number,
    Bytes,
    Text,
    Pair,
}

const CONNACK: &[Kind] = &[Kind::Connack];
const PUBLISH: &[Kind] = &[Kind::Publish];
const ENDS: &[Kind] = &[Kind::Connack, Kind::Disconnect];
const ANSWERS: &[Kind] =
    &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Pubrel, Kind::Pubcomp, Kind::Suback, Kind::Unsuback, Kind::Disconnect];
const ALL: &[Kind] = &[
    Kind::Connack,
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Suback,
    Kind::Unsuback,
    Kind::Disconnect,
];

const PAYLOAD_FORMAT: u8 = 0x01;
const MESSAGE_EXPIRY: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const SESSION_EXPIRY: u8 = 0x11;
const SERVER_KEEP_ALIVE: u8 = 0x13;
const WILL_DELAY: u8 = 0x18;
const RECEIVE_MAXIMUM: u8 = 0x21;
const TOPIC_ALIAS: u8 = 0x23;
const USER: u8 = 0x26;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// Of the packets that a server sends.
const FORMS: &[(u8, Form, &[Kind])] = &[
    (PAYLOAD_FORMAT, Form::Flag, PUBLISH),
    (MESSAGE_EXPIRY, Form::Four, PUBLISH),
    (CONTENT_TYPE, Form::Text, PUBLISH),
    (RESPONSE_TOPIC, Form::Text, PUBLISH),
    (CORRELATION_DATA, Form::Bytes, PUBLISH),
    (SUBSCRIPTION_IDENTIFIER, Form::Number, PUBLISH),
    (SESSION_EXPIRY, Form::Four, ENDS),
    (0x12, Form::Text, CONNACK), // assigned client identifier
    (SERVER_KEEP_ALIVE, Form::Two, CONNACK),
    (0x15, Form::Text, CONNACK),  // authentication method
    (0x16, Form::Bytes, CONNACK), // authentication data
    (0x1a, Form::Text, CONNACK),  // response information
    (0x1c, Form::Text, ENDS),     // server reference
    (0x1f, Form::Text, ANSWERS),  // reason string
    (RECEIVE_MAXIMUM, Form::Two, CONNACK),
    (0x22, Form::Two, CONNACK), // topic alias maximum
    (TOPIC_ALIAS, Form::Two, PUBLISH),
    (0x24, Form::Byte, CONNACK), // maximum QoS
    (0x25, Form::Byte, CONNACK), // retain available
    (USER, Form::Pair, ALL),
    (MAXIMUM_PACKET_SIZE, Form::Four, CONNACK),
    (0x28, Form::Byte, CONNACK), // wildcard subscription available
    (0x29, Form::Byte, CONNACK), // subscription identifier available
    (0x2a, Form::Byte, CONNACK), // shared subscription available
];

impl Properties {
    /// With their length before them; `more`: a user property besides.
    pub fn push(&self, out: &mut Vec<u8>, more: Option<(&str, &str)>) {
        let mut body = Vec::new();
        if let Some(is_text) = self.payload_is_text {
            body.extend([PAYLOAD_FORMAT, u8::from(is_text)]);
        }
        push_four(&mut body, MESSAGE_EXPIRY, self.message_expiry);
        let texts =
            [(CONTENT_TYPE, &self.content_type), (RESPONSE_TOPIC, &self.response_topic), (CORRELATION_DATA, &self.correlation_data)];
        for (id, text) in texts {
            if let Some(text) = text {
                body.push(id);
                push_text(&mut body, text.as_bytes());
            }
        }
        if let Some(number) = self.subscription_identifier {
            body.push(SUBSCRIPTION_IDENTIFIER);
            push_number(&mut body, number as usize);
        }
        push_four(&mut body, SESSION_EXPIRY, self.session_expiry);
        push_four(&mut body, WILL_DELAY, self.will_delay);
        if let Some(number) = self.receive_maximum {
            body.push(RECEIVE_MAXIMUM);
            body.extend(number.to_be_bytes());
        }
        let own = self.user.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(more) {
            body.push(USER);
            push_text(&mut body, name.as_bytes());
            push_text(&mut body, value.as_bytes());
        }
        push_four(&mut body, MAXIMUM_PACKET_SIZE, self.maximum_packet_size);
        push_number(out, body.len());
        out.extend(body);
    }
}

fn push_four(body: &mut Vec<u8>, id: u8, value: Option<u32>) {
    if let Some(value) = value {
        body.push(id);
        body.extend(value.to_be_bytes());
    }
}

/// Of a packet that came: what the client goes by.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub user: Vec<(String, String)>,
    pub receive_maximum: Option<u16>,
    pub server_keep_alive: Option<u16>,
}

/// Reads the properties of a packet with the length before them.
pub fn read(reader: &mut Reader, kind: Kind) -> Result<Said, Malformed> {
    let length = reader.number()?;
    if length > MOST_BYTES {
        return Err(Malformed("over 32,768 bytes of properties"));
    }
    let mut reader = Reader::new(reader.bytes(length)?);
    let mut said = Said::default();
    let mut seen = 0u64;
    while !reader.is_empty() {
        let id = reader.byte()?;
        let Some((_, form, _)) = FORMS.iter().find(|(one, _, of)| *one == id && of.contains(&kind)) else {
            return Err(Malformed("a property that its packet can't have"));
        };
        if id != USER && id != SUBSCRIPTION_IDENTIFIER {
            if seen & 1 << id != 0 {
                return Err(Malformed("a property twice"));
            }
            seen |= 1 << id;
        }
        let number = match form {
            Form::Flag => match reader.byte()? {
                flag @ (0 | 1) => usize::from(flag),
                _ => return Err(Malformed("a property with a value that it can't have")),
            },
            Form::Byte => usize::from(reader.byte()?),
            Form::Two => usize::from(reader.two()?),
            Form::Four => reader.four()? as usize,
            Form::Number => reader.number()?,
            Form::Bytes => reader.prefixed()?.len(),
            Form::Text => reader.text()?.len(),
            Form::Pair => {
                said.user.push((reader.text()?.to_owned(), reader.text()?.to_owned()));
                continue;
            }
        };
        if number == 0 && matches!(id, RECEIVE_MAXIMUM | TOPIC_ALIAS | MAXIMUM_PACKET_SIZE | SUBSCRIPTION_IDENTIFIER) {
            return Err(Malformed("a property with a value that it can't have"));
        }
        match id {
            RECEIVE_MAXIMUM => said.receive_maximum = Some(number as u16),
            SERVER_KEEP_ALIVE => said.server_keep_alive = Some(number as u16),
            _ => {}
        }
    }
    Ok(said)
}
