//! One connection to a broker: what comes on it, packet by packet, and what is owed on it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::mqtt::{Properties, Terms, Version};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::Link;
use crate::protocols::mqtt::codec::{Framed, frame};
use crate::protocols::mqtt::inbox::Arrived;
use crate::protocols::mqtt::packet::{self, Connect, Malformed, Packet};
use crate::protocols::orders::Orders;
use crate::values::words::{counted, with_commas};

/// Messages whose acknowledgement a broker may owe; one that owes more gets a new connection.
const MOST_UNACKNOWLEDGED: usize = 20;
/// Messages of QoS 2 that the broker has sent and not released.
const MOST_UNRELEASED: usize = 1_000;
/// Topic and properties of a message, beside its payload.
const HEAD_BYTES: usize = 128 * 1024;
/// What a buffer may hold between two packets.
const USUAL_BYTES: usize = 65_536;

pub struct Connection {
    pub link: Link,
    pub terms: Arc<Terms>,
    /// The broker has said yes.
    pub is_open: bool,
    has_begun: bool,
    /// What came and is no whole packet yet.
    stream: Vec<u8>,
    max_body_bytes: usize,
    last_id: u16,
    unacknowledged: Vec<u16>,
    most_unacknowledged: usize,
    unreleased: HashMap<u16, Arrived>,
    unreleased_bytes: usize,
    keepalive_ns: i64,
    last_out_ns: i64,
    last_in_ns: i64,
    is_pinging: bool,
}

impl Connection {
    pub fn new(link: Link, terms: Arc<Terms>, max_body_bytes: usize) -> Self {
        let keepalive_ns = i64::from(terms.keepalive_s) * 1_000_000_000;
        Connection {
            link,
            terms,
            is_open: false,
            has_begun: false,
            stream: Vec::new(),
            max_body_bytes,
            last_id: 0,
            unacknowledged: Vec::new(),
            most_unacknowledged: MOST_UNACKNOWLEDGED,
            unreleased: HashMap::new(),
            unreleased_bytes: 0,
            keepalive_ns,
            last_out_ns: 0,
            last_in_ns: 0,
            is_pinging: false,
        }
    }

    pub fn version(&self) -> Version {
        self.terms.version
    }

    pub fn begin(&mut self, client_id: &str, properties: &Properties, orders: &mut Orders) {
        let terms = self.terms.clone();
        let properties = Properties { session_expiry: terms.session_expiry_s, ..properties.clone() };
        let connect = Connect {
            version: terms.version,
            client_id: if terms.client_id.is_empty() { client_id } else { &terms.client_id },
            clean_start: terms.clean_start,
            keepalive_s: terms.keepalive_s,
            username: terms.username.as_deref(),
            password: terms.password.as_deref(),
            properties: Some(&properties),
            will: terms.will.as_ref().map(|will| will.outgoing()),
        };
        self.has_begun = true;
        self.last_in_ns = orders.now_ns;
        self.say(orders, |out| packet::push_connect(out, &connect));
        orders.listen(self.link, true);
    }

    /// There was a connection, and CONNECT was sent on it.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The broker has said yes, and on which terms.
    pub fn opened(&mut self, receive_maximum: Option<u16>, server_keep_alive: Option<u16>) {
        self.is_open = true;
        if let Some(most) = receive_maximum {
            self.most_unacknowledged = MOST_UNACKNOWLEDGED.min(usize::from(most));
        }
        if let Some(seconds) = server_keep_alive {
            self.keepalive_ns = i64::from(seconds) * 1_000_000_000;
        }
    }

    pub fn say(&mut self, orders: &mut Orders, write: impl FnOnce(&mut Vec<u8>)) {
        self.last_out_ns = orders.now_ns;
        orders.write(self.link, write);
    }

    /// An id that no message has which is not acknowledged.
    pub fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
            if !self.unacknowledged.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }

    pub fn owes(&mut self, id: u16) {
        self.unacknowledged.push(id);
    }

    pub fn is_owed(&self, id: u16) -> bool {
        self.unacknowledged.contains(&id)
    }

    /// Whether it was owed.
    pub fn acknowledged(&mut self, id: u16) -> bool {
        let at = self.unacknowledged.iter().position(|one| *one == id);
        at.map(|at| self.unacknowledged.swap_remove(at)).is_some()
    }

    pub fn owes_too_much(&self) -> bool {
        self.unacknowledged.len() >= self.most_unacknowledged
    }

    /// Keeps a message of QoS 2 until the broker releases it.
    pub fn hold(&mut self, id: u16, message: Arrived) {
        self.unreleased_bytes += message.payload.len();
        if let Some(before) = self.unreleased.insert(id, message) {
            self.unreleased_bytes -= before.payload.len();
        }
    }

    pub fn release(&mut self, id: u16) -> Option<Arrived> {
        let message = self.unreleased.remove(&id)?;
        self.unreleased_bytes -= message.payload.len();
        Some(message)
    }

    /// What came before and now, to be given back by `keep_rest`.
    pub fn stream_with(&mut self, bytes: &[u8], orders: &Orders) -> Vec<u8> {
        self.last_in_ns = orders.now_ns;
        let mut stream = std::mem::take(&mut self.stream);
        stream.extend_from_slice(bytes);
        stream
    }

    /// The first `done` bytes were looked at.
    pub fn keep_rest(&mut self, mut stream: Vec<u8>, done: usize) {
        stream.drain(..done);
        stream.shrink_to(USUAL_BYTES);
        self.stream = stream;
    }

    /// The next packet of a stream and its length; None: it is not whole yet.
    pub fn next_packet<'a>(&self, stream: &'a [u8]) -> Result<Option<(Packet<'a>, usize)>, Failure> {
        let most = self.max_body_bytes + HEAD_BYTES;
        let found = match frame(stream).map_err(invalid)? {
            Framed::Whole(found) => found,
            Framed::Needs(Some(body)) if body > most => return Err(self.too_large()),
            Framed::Needs(_) => return Ok(None),
        };
        if found.body.len() > most {
            return Err(self.too_large());
        }
        let packet = packet::read(&found, self.version()).map_err(invalid)?;
        if let Packet::Publish { .. } = packet {
            let (count, held) = (self.unreleased.len(), self.unreleased_bytes);
            if count >= MOST_UNRELEASED || (count > 0 && held + found.body.len() > most) {
                let (count, held) = (counted(count as u64, "message"), counted(held as u64, "byte"));
                let text = format!("the broker sent invalid MQTT: more than {count} of QoS 2 ({held}) without PUBREL");
                return Err(Failure::new(Outcome::Protocol, text));
            }
        }
        Ok(Some((packet, found.length)))
    }

    fn too_large(&self) -> Failure {
        Failure::new(Outcome::TooLarge, format!("a message is over max_body_bytes ({})", with_commas(self.max_body_bytes as u64)))
    }

    pub fn next_due_ns(&self) -> Option<i64> {
        let is_kept = self.is_open && self.keepalive_ns > 0;
        is_kept.then(|| self.last_out_ns.min(self.last_in_ns).saturating_add(self.keepalive_ns))
    }

    /// Asks the broker for a sign of life where it is time to; Err: it gave none.
    pub fn keep_alive(&mut self, orders: &mut Orders) -> Result<(), Failure> {
        if self.next_due_ns().is_none_or(|due_ns| due_ns > orders.now_ns) {
            return Ok(());
        }
        if self.is_pinging && self.last_in_ns.saturating_add(self.keepalive_ns) <= orders.now_ns {
            return Err(Failure::new(Outcome::Closed, "the connection was lost: Keep alive timeout"));
        }
        if !self.is_pinging {
            self.is_pinging = true;
            self.say(orders, |out| out.extend_from_slice(packet::PINGREQ));
        }
        (self.last_out_ns, self.last_in_ns) = (orders.now_ns, orders.now_ns);
        Ok(())
    }

    pub fn lives(&mut self) {
        self.is_pinging = false;
    }
}

fn invalid(Malformed(what): Malformed) -> Failure {
    Failure::new(Outcome::Protocol, format!("the broker sent invalid MQTT: {what}"))
}
