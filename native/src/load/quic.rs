//! How a connection of HTTP/3 is made, and when it wants to do something by itself.
//!
//! Until its handshake is over it is one user's business, who tries the addresses of the place one after the other; others wait for it.

use rustls::ProtocolVersion;

use crate::http::carrier::{Carrier, Heard, Rooms};
use crate::http::conn::Phase;
use crate::http::http3::Standing;
use crate::http::http3::line::{NoWay, Open as Quic, config_of};
use crate::load::engine::Loop;
use crate::load::lines::{LINE, Open};
use crate::load::user::{Next, User};
use crate::os::timers::Due;
use crate::os::turn::Turn;
use crate::os::wire::words;
use crate::plan::outcome::{Failure, Outcome};

impl Loop<'_> {
    /// Tries the user's next address; `last` is how the one before it failed.
    pub fn connect_by_quic(&mut self, user: &mut User, id: u32, origin: usize, mut last: Failure) {
        let Some(at) = user.ride.map(|ride| ride.line) else { return };
        while let Some(address) = user.hit.addresses.pop() {
            let mut kept = self.take_tls(user);
            let config = self.tls_config(&mut kept, origin).and_then(config_of);
            self.keep_tls(user, kept);
            let config = match config {
                Ok(config) => config,
                Err(text) => return self.fail(user, id, Failure::new(Outcome::Tls, text)),
            };
            let from = match self.local_address(address) {
                Ok(from) => from,
                Err(text) => {
                    last = Failure::new(Outcome::Connect, text);
                    continue;
                }
            };
            let place = &self.origins[origin];
            let opened = Quic::new(address, from, config, place.sni.as_deref().unwrap_or(&place.host)).and_then(|open| {
                self.poller.add(open.fd(), self.lines.all[at].token(at)).map_err(NoWay::Address)?;
                Ok(open)
            });
            match opened {
                Ok(open) => {
                    let line = &mut self.lines.all[at];
                    (line.open, line.making) = (Some(Open::Http3(Box::new(open))), Some(Phase::Connecting));
                    return self.lines.call(at);
                }
                Err(NoWay::Address(error)) => last = Failure::new(Outcome::Connect, words(&error)),
                Err(NoWay::Name(text)) => return self.fail(user, id, Failure::new(Outcome::Tls, text)),
            }
        }
        self.fail(user, id, last);
    }

    /// Goes on with a handshake, if it is not over. False: the connection is of no use and was dropped.
    pub fn make_by_quic(&mut self, users: &mut [User], at: usize, open: &mut Quic, readable: bool) -> bool {
        let Some(id) = self.lines.all[at].opener else {
            if self.lines.all[at].making.is_some() {
                self.scatter(users, at, 0); // whoever made it gave up
                self.lines.settle(at);
                return false;
            }
            return true;
        };
        let before_ns = self.now_ns(); // most servers answer in a few datagrams, which are read at once
        let failure = self.shake_hands_by_quic(at, open, readable);
        let user = &mut users[id as usize];
        let now_ns = self.now_ns();
        if open.session.standing() != Standing::Connecting && self.lines.all[at].making == Some(Phase::Connecting) {
            self.lines.all[at].making = Some(Phase::Handshake);
            user.hit.timings.connect_ns += user.hit.lap(before_ns).max(1);
        }
        let failure = match (open.session.standing(), failure) {
            (Standing::Up, None) => {
                user.hit.timings.tls_ns += user.hit.lap(now_ns).max(1);
                user.hit.connect_deadline_ns = None;
                let line = &mut self.lines.all[at];
                (line.opener, line.making) = (None, None);
                line.waiting.push_front(id);
                if let Some(cipher) = open.session.cipher() {
                    self.note_tls((ProtocolVersion::TLSv1_3, cipher));
                }
                return true;
            }
            (_, Some(failure)) | (Standing::Failed(failure), None) => failure,
            _ => return true,
        };
        if failure.outcome == Outcome::Connect && user.hit.connect_deadline_ns.is_some() {
            let origin = self.lines.all[at].origin;
            self.connect_by_quic(user, id, origin, failure);
        } else {
            self.fail(user, id, failure);
        }
        if user.next != Next::Answer {
            self.ready.push_back(id);
        }
        false
    }

    /// Some: why there is no connection.
    fn shake_hands_by_quic(&mut self, at: usize, open: &mut Quic, mut readable: bool) -> Option<Failure> {
        let mut turn = Turn::default();
        loop {
            open.poll();
            open.flush();
            if open.is_deaf() {
                return open.take_deaf();
            }
            if !readable || open.session.standing() == Standing::Up {
                return None;
            }
            if turn.is_over() {
                self.unread.push_back((LINE | at as u32, self.lines.all[at].serial));
                return None;
            }
            match open.read(Rooms { block: &mut self.block, packets: &mut self.packets }) {
                Heard::Some { more } => readable = more,
                Heard::Failed(failure) => return Some(failure),
                _ => readable = false,
            }
        }
    }

    /// Sees to it that the connection is looked at when it wants it; a timer that fires earlier sets the next.
    pub fn set_line_timer(&mut self, at: usize, open: &mut Quic) {
        let Some(in_time) = open.due_in() else { return };
        let due_ns = self.now_ns() + i64::try_from(in_time.as_nanos()).unwrap_or(i64::MAX / 2);
        if open.timer_ns.is_none_or(|timer_ns| timer_ns > due_ns) {
            open.timer_ns = Some(due_ns);
            self.timers.add(due_ns, Due::Line { line: at as u32, serial: self.lines.all[at].serial });
        }
    }

    pub fn line_due(&mut self, users: &mut [User], at: usize, serial: u32, now_ns: i64) {
        let Some(line) = self.lines.all.get_mut(at).filter(|line| line.serial == serial) else { return };
        let Some(Open::Http3(open)) = &mut line.open else { return };
        if open.timer_ns.is_some_and(|timer_ns| timer_ns <= now_ns) {
            open.timer_ns = None;
        }
        open.fire();
        self.run_line(users, at, false);
    }
}
