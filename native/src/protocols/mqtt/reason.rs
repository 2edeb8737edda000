//! Reason codes of MQTT 5 (section 2.4), in the words of the standard, and the return codes of MQTT 3.1.1.

use crate::protocols::mqtt::packet::Kind;

/// Codes from here on say that it failed.
pub const FAILURE: u8 = 0x80;

const ACKS: &[Kind] = &[Kind::Puback, Kind::Pubrec];
const ALL: &[Kind] = &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Suback, Kind::Unsuback, Kind::Disconnect];
const ENDS: &[Kind] = &[Kind::Connack, Kind::Disconnect];
const CONNACK: &[Kind] = &[Kind::Connack];
const DISCONNECT: &[Kind] = &[Kind::Disconnect];
const SUBACK: &[Kind] = &[Kind::Suback];

/// The code, its name, and the packets that may carry it.
const REASONS: &[(u8, &str, &[Kind])] = &[
    (0x00, "Success", &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Pubrel, Kind::Pubcomp, Kind::Unsuback]),
    (0x00, "Normal disconnection", DISCONNECT),
    (0x00, "Granted QoS 0", SUBACK),
    (0x01, "Granted QoS 1", SUBACK),
    (0x02, "Granted QoS 2", SUBACK),
    (0x04, "Disconnect with will message", DISCONNECT),
    (0x10, "No matching subscribers", ACKS),
    (0x11, "No subscription found", &[Kind::Unsuback]),
    (0x80, "Unspecified error", ALL),
    (0x81, "Malformed packet", ENDS),
    (0x82, "Protocol error", ENDS),
    (0x83, "Implementation specific error", ALL),
    (0x84, "Unsupported protocol version", CONNACK),
    (0x85, "Client identifier not valid", CONNACK),
    (0x86, "Bad user name or password", CONNACK),
    (0x87, "Not authorized", ALL),
    (0x88, "Server unavailable", CONNACK),
    (0x89, "Server busy", ENDS),
    (0x8a, "Banned", CONNACK),
    (0x8b, "Server shutting down", DISCONNECT),
    (0x8c, "Bad authentication method", ENDS),
    (0x8d, "Keep alive timeout", DISCONNECT),
    (0x8e, "Session taken over", DISCONNECT),
    (0x8f, "Topic filter invalid", &[Kind::Suback, Kind::Unsuback, Kind::Disconnect]),
    (0x90, "Topic name invalid", &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Disconnect]),
    (0x91, "Packet identifier in use", &[Kind::Puback, Kind::Pubrec, Kind::Suback, Kind::Unsuback]),
    (0x92, "Packet identifier not found", &[Kind::Pubrel, Kind::Pubcomp]),
    (0x93, "Receive maximum exceeded", DISCONNECT),
    (0x94, "Topic alias invalid", DISCONNECT),
    (0x95, "Packet too large", ENDS),
    (0x96, "Message rate too high", DISCONNECT),
    (0x97, "Quota exceeded", &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Suback, Kind::Disconnect]),
    (0x98, "Administrative action", DISCONNECT),
    (0x99, "Payload format invalid", &[Kind::Connack, Kind::Puback, Kind::Pubrec, Kind::Disconnect]),
    (0x9a, "Retain not supported", ENDS),
    (0x9b, "QoS not supported", ENDS),
    (0x9c, "Use another server", ENDS),
    (0x9d, "Server moved", ENDS),
    (0x9e, "Shared subscription not supported", &[Kind::Suback, Kind::Disconnect]),
    (0x9f, "Connection rate exceeded", ENDS),
    (0xa0, "Maximum connect time", DISCONNECT),
    (0xa1, "Subscription identifiers not supported", &[Kind::Suback, Kind::Disconnect]),
    (0xa2, "Wildcard subscription not supported", &[Kind::Suback, Kind::Disconnect]),
];

/// What a packet of this kind says by the code; None: it may not say that.
pub fn name(kind: Kind, code: u8) -> Option<&'static str> {
    REASONS.iter().find(|(one, _, of)| *one == code && of.contains(&kind)).map(|(_, name, _)| *name)
}

/// As it is shown.
pub fn words(kind: Kind, code: u8) -> String {
    format!("{} (0x{code:02x})", name(kind, code).unwrap_or("unknown reason"))
}

/// A return code of MQTT 3.1.1 (section 3.2.2.3), as the one of MQTT 5 that says the same.
pub fn of_return_code(code: u8) -> u8 {
    match code {
        0 => 0,
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        5 => 0x87,
        _ => 0x80,
    }
}
