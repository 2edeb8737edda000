//! One WebSocket connection: its handshake, what comes on it, what waits to be received.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::http::cookies::Jar;
use crate::os::random::Rng;
use crate::plan::message::Target;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::Link;
use crate::protocols::orders::{Lost, Orders};
use crate::protocols::websocket::deflate::{Deflater, Inflater};
use crate::protocols::websocket::frames::{Frames, GOING_AWAY, NORMAL, Said, Wrong, push_frame};
use crate::protocols::websocket::handshake::{Handshake, Shaken, own_field};
use crate::values::words::counted;

const MOST_WAITING: usize = 1_000; // messages that came and that no step received

pub struct Connection {
    pub link: Link,
    pub target: Arc<Target>,
    /// Why it can't be used any more.
    pub failure: Option<Failure>,
    pub ended_normally: bool,
    /// Messages for steps that came so far.
    pub arrived: u64,
    handshake: Option<Handshake>,
    frames: Frames,
    deflater: Option<Deflater>,
    max_body_bytes: usize,
    inbox: VecDeque<Vec<u8>>,
    inbox_bytes: usize,
    /// Messages pushed out of the inbox since the last failure that said so.
    lost: u64,
    masks: u64,
    has_said_goodbye: bool,
}

impl Connection {
    pub fn new(link: Link, target: Arc<Target>, max_body_bytes: usize) -> Self {
        let mut rng = Rng::new(None);
        let key = STANDARD.encode(rng.bits(128).to_ne_bytes());
        Connection {
            link,
            target,
            failure: None,
            ended_normally: false,
            arrived: 0,
            handshake: Some(Handshake::new(key)),
            frames: Frames::new(max_body_bytes, None),
            deflater: None,
            max_body_bytes,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            lost: 0,
            masks: rng.bits(64) as u64,
            has_said_goodbye: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    pub fn begin_handshake(&self, jar: &Jar, orders: &mut Orders) {
        if let Some(handshake) = &self.handshake {
            let (place, path) = (&self.target.place, self.path());
            let cookies = jar.header_for(place, path, own_field(&self.target, "cookie").unwrap_or_default(), orders.unix_s());
            orders.send(self.link, &handshake.request(&self.target, &cookies));
            orders.listen(self.link, true);
        }
    }

    fn path(&self) -> &str {
        self.target.resource.split('?').next().unwrap_or("/")
    }

    /// What came; Some: the handshake is over.
    pub fn feed(&mut self, bytes: &[u8], jar: &mut Jar, now_s: i64) -> Option<Result<(), Lost>> {
        let Some(handshake) = &mut self.handshake else {
            self.frames.feed(bytes);
            return None;
        };
        let shaken = handshake.feed(bytes, &self.target)?;
        for field in std::mem::take(&mut handshake.cookies) {
            jar.store(&field, &self.target.place, self.path(), now_s);
        }
        match shaken {
            Err(lost) => Some(Err(lost)),
            Ok(Shaken { agreed, behind }) => {
                self.handshake = None;
                self.frames = Frames::new(self.max_body_bytes, agreed.map(|agreed| Inflater::new(agreed.server_forgets)));
                self.deflater = agreed.map(|agreed| Deflater::new(agreed.client_forgets));
                self.frames.feed(&behind);
                Some(Ok(()))
            }
        }
    }

    /// The peer ended it before the handshake was over.
    pub fn lost_handshake(&self) -> Option<Lost> {
        self.handshake.as_ref().map(Handshake::ended)
    }

    /// Whether something came that was not looked at.
    pub fn has_more(&self) -> bool {
        self.failure.is_none() && self.frames.has_more()
    }

    /// What the server says next, pings and goodbyes answered; None: nothing more, or the connection is over.
    pub fn next_said(&mut self, orders: &mut Orders) -> Option<Said> {
        if self.failure.is_some() {
            return None;
        }
        match self.frames.next_said() {
            Ok(Some(Said::Ping(data))) => {
                self.control(Control::Pong, &data, orders);
                Some(Said::Ping(data))
            }
            Ok(Some(Said::Close { code, reason, data })) => {
                self.say_goodbye(&data, orders);
                let text = format!("the peer closed with code {code} {reason}");
                self.ended_normally = matches!(code, NORMAL | GOING_AWAY);
                self.end(Failure::new(Outcome::Closed, text.trim_end()), orders);
                None
            }
            Ok(said) => said,
            Err(Wrong(code, failure)) => {
                self.say_goodbye(&code.to_be_bytes(), orders);
                self.end(failure, orders);
                None
            }
        }
    }

    pub fn send_message(&mut self, data: &[u8], is_text: bool, orders: &mut Orders) {
        let opcode = OpCode::Data(if is_text { Data::Text } else { Data::Binary });
        let mask = self.mask();
        match &mut self.deflater {
            Some(deflater) => {
                let packed = deflater.deflate(data);
                orders.write(self.link, |out| push_frame(out, opcode, &packed, true, mask));
            }
            None => orders.write(self.link, |out| push_frame(out, opcode, data, false, mask)),
        }
    }

    pub fn ping(&mut self, data: &[u8], orders: &mut Orders) {
        self.control(Control::Ping, data, orders);
    }

    /// The first half of the closing handshake.
    pub fn close(&mut self, orders: &mut Orders) {
        self.say_goodbye(&NORMAL.to_be_bytes(), orders);
    }

    /// Goes, with a word where there is a connection.
    pub fn abort(&mut self, orders: &mut Orders) {
        if self.is_open() && self.failure.is_none() {
            self.say_goodbye(&GOING_AWAY.to_be_bytes(), orders);
        }
        self.end(Failure::new(Outcome::Closed, "the connection is closed"), orders);
    }

    /// The socket is no more.
    pub fn cut(&mut self, failure: Option<Failure>) {
        let text = "the peer closed without a close frame";
        self.failure.get_or_insert_with(|| match failure {
            // an open connection does not fail to connect any more
            Some(failure) if failure.outcome == Outcome::Tls => failure,
            Some(failure) => Failure::new(Outcome::Closed, failure.text),
            None => Failure::new(Outcome::Closed, text),
        });
    }

    pub fn has_messages(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Keeps a message for a step to come.
    pub fn keep(&mut self, message: Vec<u8>) {
        self.inbox_bytes += message.len();
        self.inbox.push_back(message);
        self.arrived += 1;
        while self.inbox.len() > MOST_WAITING || (self.inbox_bytes > self.max_body_bytes && self.inbox.len() > 1) {
            self.taken(0);
            self.lost += 1;
        }
    }

    /// The oldest message that no step received, or the first one after the first `after`; None: it is not there yet.
    pub fn receive(&mut self, after: Option<u64>) -> Option<Result<Vec<u8>, Failure>> {
        if self.lost > 0 {
            let text = format!("{} dropped: more arrived than the steps received", counted(std::mem::take(&mut self.lost), "message"));
            return Some(Err(Failure::new(Outcome::TooLarge, text)));
        }
        let at = match after {
            None => 0,
            Some(after) if self.arrived > after => self.inbox.len().saturating_sub((self.arrived - after) as usize),
            Some(_) => return None,
        };
        self.taken(at).map(Ok)
    }

    fn taken(&mut self, at: usize) -> Option<Vec<u8>> {
        let message = self.inbox.remove(at)?;
        self.inbox_bytes -= message.len();
        Some(message)
    }

    fn say_goodbye(&mut self, payload: &[u8], orders: &mut Orders) {
        if !std::mem::replace(&mut self.has_said_goodbye, true) {
            self.control(Control::Close, payload, orders);
        }
    }

    fn control(&mut self, control: Control, data: &[u8], orders: &mut Orders) {
        let mask = self.mask();
        orders.write(self.link, |out| push_frame(out, OpCode::Control(control), data, false, mask));
    }

    fn end(&mut self, failure: Failure, orders: &mut Orders) {
        if self.failure.is_none() {
            self.failure = Some(failure);
            orders.close(self.link);
        }
    }

    /// The next of numbers by chance that nobody can foresee who does not know the first (SplitMix64).
    fn mask(&mut self) -> [u8; 4] {
        self.masks = self.masks.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.masks ^ (self.masks >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) as u32).to_ne_bytes()
    }
}
