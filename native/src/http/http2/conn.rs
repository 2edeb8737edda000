//! A connection that speaks HTTP/2: between its socket and its session.

use super::head::head_of;
use super::{Lost, Session};
use crate::http::conn::{Conn, Got, Phase};
use crate::http::reading::Progress;
use crate::http::request::Outgoing;
use crate::http::tls::HTTP_2;
use crate::os::turn::Turn;
use crate::os::wire::Trouble;
use crate::plan::Place;
use crate::plan::outcome::{Failure, Outcome, broken};

impl Conn {
    /// As `Loop::advance`, once it is connected.
    pub fn converse(&mut self, request: &Outgoing, place: &Place, mut readable: bool, block: &mut [u8]) -> Got {
        let Some(mut session) = self.session.take() else { return Got::Nothing };
        let mut turn = Turn::default();
        let mut deaf: Option<Trouble> = None; // why a write failed: the server may have sent the reason before
        let got = loop {
            match session.advance(|| head_of(request.whole_head(), place), request.body(), &mut self.reader) {
                Ok(Progress::Whole) => {
                    self.reader.keep = session.idle() && !matches!(self.flush(&mut session), Err(Trouble::Io(_) | Trouble::Tls(_)));
                    break Got::Answer;
                }
                Ok(Progress::More) => {}
                Err(Lost::Failed(failure)) => break Got::Failed(failure),
                Err(Lost::Stream(failure)) => {
                    self.phase = Phase::Idle;
                    break match self.flush(&mut session) {
                        Ok(()) | Err(Trouble::Later) if !self.ended => Got::Refused(failure),
                        _ => Got::Failed(failure),
                    };
                }
                Err(Lost::Unseen(failure)) => break Got::Unseen(failure),
                Err(Lost::TooLarge) => break Got::TooLarge,
            }
            if deaf.is_none() {
                match self.flush(&mut session) {
                    Ok(()) if session.has_more() => continue,
                    Ok(()) | Err(Trouble::Later) => {}
                    Err(trouble) => deaf = Some(trouble),
                }
            }
            if !readable && deaf.is_none() && self.short_read_is_all() {
                break Got::Nothing;
            }
            if turn.is_over() {
                break deaf.map_or(Got::More, |trouble| Got::Failed(broken(trouble)));
            }
            match self.wire.read(block) {
                Ok(0) => {
                    self.ended = true;
                    if !session.ended() {
                        break Got::Failed(Failure::new(Outcome::Closed, "the connection was closed before an answer"));
                    }
                }
                Ok(count) => {
                    session.feed(&block[..count]);
                    readable = count == block.len();
                }
                Err(Trouble::Busy) => break Got::More,
                Err(Trouble::Later) => break deaf.map_or(Got::Nothing, |trouble| Got::Failed(broken(trouble))),
                Err(trouble) => break Got::Failed(broken(trouble)),
            }
        };
        self.received = session.received;
        self.session = Some(session);
        got
    }

    /// Whether the peer chose HTTP/2; without TLS there is no such choice.
    pub fn chose_http2(&self) -> bool {
        self.wire.tls.as_ref().is_none_or(|tls| tls.alpn_protocol() == Some(HTTP_2))
    }

    /// Writes what the session has ready; Ok: all of it is on its way.
    fn flush(&mut self, session: &mut Session) -> Result<(), Trouble> {
        session.unsent(|bytes| {
            self.sent = 0;
            let done = self.write(bytes);
            bytes.drain(..self.sent);
            done
        })
    }

    /// Between two requests of HTTP/2: reads what the peer says, and answers it. False: the connection is over.
    pub fn attend(&mut self, block: &mut [u8], readable: bool) -> bool {
        let Some(mut session) = self.session.take() else { return true };
        let mut usable = true;
        let mut turn = Turn::default();
        while usable && readable {
            if turn.is_over() {
                usable = false; // a peer that has so much to say between two requests is not heard to its end
                break;
            }
            match self.wire.read(block) {
                Ok(count) if count > 0 => {
                    session.feed(&block[..count]);
                    usable = session.idle();
                }
                Err(Trouble::Later) => break,
                _ => usable = false,
            }
        }
        usable &= matches!(self.flush(&mut session), Ok(()) | Err(Trouble::Later));
        self.session = Some(session);
        usable
    }
}
