//! Packets of MQTT 3.1.1 and 5: those that a server sends are read, those that a client sends are written.

use crate::plan::mqtt::{Properties, Version};
use crate::protocols::mqtt::codec::{Frame, MOST_REMAINING, Reader, push_number, push_text};
use crate::protocols::mqtt::property;
use crate::protocols::mqtt::reason;

/// What came is no MQTT: why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Malformed(pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Suback,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
}

/// What a server says. Reasons are those of MQTT 5.
#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    Connack { session_present: bool, reason: u8, receive_maximum: Option<u16>, server_keep_alive: Option<u16> },
    Publish { message: Message<'a>, id: u16 },
    Puback { id: u16, reason: u8 },
    Pubrec { id: u16, reason: u8 },
    Pubrel { id: u16 },
    Pubcomp { id: u16, reason: u8 },
    Suback { id: u16, reasons: &'a [u8] },
    Unsuback { id: u16, reasons: &'a [u8] },
    Pingreq,
    Pingresp,
    Disconnect { reason: u8 },
}

#[derive(Debug, PartialEq)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub user: Vec<(String, String)>,
}

pub fn read<'a>(frame: &Frame<'a>, version: Version) -> Result<Packet<'a>, Malformed> {
    let kind = match frame.first >> 4 {
        2 => Kind::Connack,
        3 => Kind::Publish,
        4 => Kind::Puback,
        5 => Kind::Pubrec,
        6 => Kind::Pubrel,
        7 => Kind::Pubcomp,
        9 => Kind::Suback,
        11 => Kind::Unsuback,
        12 => Kind::Pingreq,
        13 => Kind::Pingresp,
        14 if version == Version::V5 => Kind::Disconnect,
        _ => return Err(Malformed("a packet that no broker sends")),
    };
    let mut reader = Reader::new(frame.body);
    match kind {
        Kind::Connack => read_connack(&mut reader, version),
        Kind::Publish => read_publish(frame.first, &mut reader, version),
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => read_ack(kind, &mut reader, version),
        Kind::Suback | Kind::Unsuback => read_reasons(kind, &mut reader, version),
        Kind::Pingreq | Kind::Pingresp if !reader.is_empty() => Err(Malformed("a ping with a body")),
        Kind::Pingreq => Ok(Packet::Pingreq),
        Kind::Pingresp => Ok(Packet::Pingresp),
        Kind::Disconnect => Ok(Packet::Disconnect { reason: reason_and_properties(kind, &mut reader)? }),
    }
}

fn read_connack<'a>(reader: &mut Reader, version: Version) -> Result<Packet<'a>, Malformed> {
    let (flags, code) = (reader.byte()?, reader.byte()?);
    let session_present = flags & 1 == 1;
    if version == Version::V311 {
        if !reader.is_empty() {
            return Err(Malformed("a CONNACK of another length"));
        }
        let reason = reason::of_return_code(code);
        return Ok(Packet::Connack { session_present, reason, receive_maximum: None, server_keep_alive: None });
    }
    if code == 1 {
        // a broker that knows only older versions says it in their words
        return Ok(Packet::Connack { session_present, reason: 0x84, receive_maximum: None, server_keep_alive: None });
    }
    let reason = known(Kind::Connack, code)?;
    let said = property::read(reader, Kind::Connack)?;
    let (receive_maximum, server_keep_alive) = (said.receive_maximum, said.server_keep_alive);
    Ok(Packet::Connack { session_present, reason, receive_maximum, server_keep_alive })
}

fn read_publish<'a>(first: u8, reader: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, Malformed> {
    let qos = first >> 1 & 3;
    if qos == 3 {
        return Err(Malformed("a message of QoS 3"));
    }
    let topic = std::str::from_utf8(reader.prefixed()?).map_err(|_| Malformed("a topic that is not UTF-8"))?;
    if topic.is_empty() && version == Version::V311 {
        return Err(Malformed("a message without a topic"));
    }
    let id = if qos > 0 { reader.two()? } else { 0 };
    let user = if version == Version::V5 { property::read(reader, Kind::Publish)?.user } else { Vec::new() };
    Ok(Packet::Publish { message: Message { topic, payload: reader.rest(), qos, retain: first & 1 == 1, user }, id })
}

fn read_ack<'a>(kind: Kind, reader: &mut Reader, version: Version) -> Result<Packet<'a>, Malformed> {
    let id = reader.two()?;
    let reason = match version {
        Version::V5 => reason_and_properties(kind, reader)?,
        Version::V311 if reader.is_empty() => 0,
        Version::V311 => return Err(Malformed("an acknowledgement of another length")),
    };
    Ok(match kind {
        Kind::Puback => Packet::Puback { id, reason },
        Kind::Pubrec => Packet::Pubrec { id, reason },
        Kind::Pubrel => Packet::Pubrel { id },
        _ => Packet::Pubcomp { id, reason },
    })
}

fn read_reasons<'a>(kind: Kind, reader: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, Malformed> {
    let id = reader.two()?;
    if version == Version::V5 {
        property::read(reader, kind)?;
    }
    let reasons = reader.rest();
    if kind == Kind::Unsuback && reasons.is_empty() != (version == Version::V311) {
        return Err(Malformed("an UNSUBACK of another length"));
    }
    for reason in reasons {
        known(kind, *reason)?;
    }
    Ok(if kind == Kind::Suback { Packet::Suback { id, reasons } } else { Packet::Unsuback { id, reasons } })
}

/// Both may be left out where it went well (sections 3.4.2.1 and 3.14.2.1).
fn reason_and_properties(kind: Kind, reader: &mut Reader) -> Result<u8, Malformed> {
    if reader.is_empty() {
        return Ok(0);
    }
    let reason = known(kind, reader.byte()?)?;
    if !reader.is_empty() {
        property::read(reader, kind)?;
    }
    Ok(reason)
}

fn known(kind: Kind, reason: u8) -> Result<u8, Malformed> {
    reason::name(kind, reason).map(|_| reason).ok_or(Malformed("a reason code that its packet can't have"))
}

/// A packet with its head.
fn push(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    push_number(out, body.len());
    out.extend_from_slice(body);
}

/// How a connection is opened.
#[derive(Debug, Default)]
pub struct Connect<'a> {
    pub version: Version,
    pub client_id: &'a str,
    pub clean_start: bool,
    pub keepalive_s: u16,
    pub username: Option<&'a str>,
    pub password: Option<&'a str>,
    pub properties: Option<&'a Properties>,
    pub will: Option<Outgoing<'a>>,
}

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub properties: &'a Properties,
}

pub fn push_connect(out: &mut Vec<u8>, connect: &Connect) {
    let is_5 = connect.version == Version::V5;
    let has_name = connect.username.is_some() || connect.password.is_some();
    let mut flags = u8::from(connect.clean_start) << 1 | u8::from(has_name) << 7 | u8::from(connect.password.is_some()) << 6;
    if let Some(will) = &connect.will {
        flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
    }
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([if is_5 { 5 } else { 4 }, flags]);
    body.extend(connect.keepalive_s.to_be_bytes());
    let none = Properties::default();
    if is_5 {
        connect.properties.unwrap_or(&none).push(&mut body, None);
    }
    push_text(&mut body, connect.client_id.as_bytes());
    if let Some(will) = &connect.will {
        if is_5 {
            will.properties.push(&mut body, None);
        }
        push_text(&mut body, will.topic.as_bytes());
        push_text(&mut body, will.payload);
    }
    if has_name {
        push_text(&mut body, connect.username.unwrap_or_default().as_bytes());
    }
    if let Some(password) = connect.password {
        push_text(&mut body, password.as_bytes());
    }
    push(out, 0x10, &body);
}

/// `more`: a user property besides. Err: it is larger than a packet can be.
pub fn push_publish(out: &mut Vec<u8>, message: &Outgoing, id: u16, version: Version, more: Option<(&str, &str)>) -> Result<(), usize> {
    let mut between = Vec::new();
    if message.qos > 0 {
        between.extend(id.to_be_bytes());
    }
    if version == Version::V5 {
        message.properties.push(&mut between, more);
    }
    let length = 2 + message.topic.len() + between.len() + message.payload.len();
    if length > MOST_REMAINING {
        return Err(length);
    }
    out.push(0x30 | message.qos << 1 | u8::from(message.retain));
    push_number(out, length);
    push_text(out, message.topic.as_bytes());
    out.extend(between);
    out.extend_from_slice(message.payload);
    Ok(())
}

/// Of MQTT 5 only: what a subscription asks for besides its QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: u8,
}

pub fn push_subscribe(out: &mut Vec<u8>, topics: &[&str], qos: u8, options: Options, properties: &Properties, id: u16, version: Version) {
    let mut body = id.to_be_bytes().to_vec();
    let mut asked = qos;
    if version == Version::V5 {
        properties.push(&mut body, None);
        asked |= u8::from(options.no_local) << 2 | u8::from(options.retain_as_published) << 3 | options.retain_handling << 4;
    }
    for topic in topics {
        push_text(&mut body, topic.as_bytes());
        body.push(asked);
    }
    push(out, 0x82, &body);
}

pub fn push_unsubscribe(out: &mut Vec<u8>, topics: &[&str], properties: &Properties, id: u16, version: Version) {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        properties.push(&mut body, None);
    }
    for topic in topics {
        push_text(&mut body, topic.as_bytes());
    }
    push(out, 0xa2, &body);
}

/// What answers a message, or the answer to one: `first` is the packet's first byte.
pub fn push_ack(out: &mut Vec<u8>, first: u8, id: u16) {
    out.extend([first, 2]);
    out.extend(id.to_be_bytes());
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const PINGREQ: &[u8] = &[0xc0, 0];
pub const PINGRESP: &[u8] = &[0xd0, 0];
pub const DISCONNECT: &[u8] = &[0xe0, 0];
