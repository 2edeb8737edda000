//! A call of `grpc_user`: one stream of HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, StatusCode};

use crate::http::http2::driven::{Driven, State};
use crate::http::http2::{Word, name_of};
use crate::plan::message::GrpcRequest;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::messages::{Coding, Messages, Wrong};
use crate::protocols::grpc::metadata::keep;
use crate::protocols::grpc::status::{OK, Status};
use crate::protocols::grpc::told::Told;
use crate::protocols::orders::{Beside, Caller, Fields, Lost, Observed, Reply};

const METHOD: &str = "GRPC";

pub struct Call {
    pub request: Arc<GrpcRequest>,
    pub caller: Caller,
    start_ns: i64,
    deadline_ns: i64,
    /// The server did not look at it once, and it was made again.
    pub was_resent: bool,
    /// The time to its first message was told.
    has_first: bool,
    stream: Option<Stream>,
    fields: Fields,
    messages: Messages,
}

/// What the crate has of it.
struct Stream {
    response: Option<ResponseFuture>,
    upload: SendStream<Bytes>,
    download: Option<RecvStream>,
}

/// How far it went.
pub enum Polled {
    /// It waits for the server.
    More,
    /// There is no room for its stream now.
    NoRoom,
    Over(Stop),
}

/// How a call ends.
#[derive(Debug)]
pub enum Stop {
    Status(Status),
    Failure(Failure),
    /// The server did not look at it.
    Unseen(Status),
    /// So many messages came as were asked for.
    Enough,
}

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Status(status) => Stop::Status(status),
            Wrong::Failure(failure) => Stop::Failure(failure),
        }
    }
}

impl Call {
    pub fn new(request: Arc<GrpcRequest>, caller: Caller, start_ns: i64, most_bytes: usize) -> Box<Self> {
        let streams = request.rpc.as_ref().is_some_and(|rpc| rpc.server_streams);
        Box::new(Call {
            caller,
            start_ns,
            deadline_ns: start_ns.saturating_add((request.timeout_s * 1e9) as i64),
            was_resent: false,
            has_first: false,
            stream: None,
            fields: Fields::default(),
            messages: Messages::new(streams, most_bytes),
            request,
        })
    }

    /// The same call from its beginning.
    pub fn again(self, most_bytes: usize) -> Box<Self> {
        let Call { request, caller, start_ns, has_first, .. } = self;
        let mut next = Call::new(request, caller, start_ns, most_bytes);
        (next.was_resent, next.has_first) = (true, has_first);
        next
    }

    pub fn has_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Resets its stream, unless all of it went both ways. The crate would do that itself, but behind messages that wait for the server.
    pub fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.upload.send_reset(Reason::CANCEL);
        }
    }

    /// Lets its stream go.
    pub fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Its first message, if that came just now and somebody wants to know.
    pub fn take_first(&mut self) -> Option<Observed> {
        if self.has_first {
            return None;
        }
        let received = self.messages.whole.first()?.len() as u64;
        self.has_first = true;
        let name = Some(&self.request.first_name).filter(|name| !name.is_empty())?.clone();
        Some(Observed { user: Some(self.caller.number), method: METHOD, name, start_ns: self.start_ns, received, failure: None })
    }

    /// What comes of it, as far as it has come.
    pub fn end(self, stop: Stop) -> Result<Reply, Lost> {
        let Call { request, fields, mut messages, .. } = self;
        let Some(rpc) = request.rpc.clone() else {
            return Err(Failure::new(Outcome::Engine, "the call does not say which method it is of").into());
        };
        let status = match stop {
            Stop::Failure(failure) => return Err(failure.into()),
            Stop::Status(status) | Stop::Unseen(status) => status,
            Stop::Enough => Status::ok(),
        };
        if !rpc.server_streams {
            match (status.code, messages.whole.is_empty()) {
                (OK, true) => return Err(Failure::new(Outcome::Protocol, "the status is OK, and no whole message came").into()),
                (OK, false) => {}
                _ => messages.whole.clear(),
            }
        }
        let told = Told { rpc, messages: messages.whole };
        if !told.is_right() {
            let text = format!("the answer is not a message of {}", told.rpc.path.trim_start_matches('/'));
            return Err(Failure::new(Outcome::Protocol, text).into());
        }
        let received = told.messages.iter().map(|message| message.len() as u64).sum();
        let (status, refusal, reason) = (status.number(), status.failure(), status.details);
        let beside = Some(Box::new(Beside { reason, fields, refusal, told }));
        Ok(Reply { data: None, sent: request.sent_bytes(), received, status, beside, said: None })
    }

    /// Goes on as far as it goes with what is there. Some: it is over.
    pub fn poll(&mut self, driven: &mut Driven, over: &mut Option<Word>, now_ns: i64, bodies: &mut u64, context: &mut Context) -> Polled {
        if self.stream.is_none() {
            match self.ask(driven, over, now_ns, context) {
                Ok(true) => {}
                Ok(false) => return Polled::NoRoom,
                Err(stop) => return Polled::Over(stop),
            }
        }
        let Some(stream) = &mut self.stream else { return Polled::More };
        if let Some(response) = &mut stream.response {
            let response = match Pin::new(response).poll(context) {
                Poll::Pending => return Polled::More,
                Poll::Ready(Err(error)) => return Polled::Over(self.stop_of(driven, over, error.into(), now_ns)),
                Poll::Ready(Ok(response)) => response,
            };
            stream.response = None;
            let (head, download) = response.into_parts();
            keep(&mut self.fields, &head.headers);
            let has_status = head.headers.contains_key("grpc-status");
            if head.status != StatusCode::OK && !has_status {
                return Polled::Over(Stop::Status(Status::of_http(head.status.as_u16())));
            }
            if download.is_end_stream() || has_status {
                return Polled::Over(Stop::Status(status_in(&head.headers)));
            }
            self.messages.coding = Coding::of(head.headers.get("grpc-encoding").map(|value| value.as_bytes()));
            stream.download = Some(download);
        }
        self.download(driven, over, now_ns, bodies, context)
    }

    fn download(&mut self, driven: &mut Driven, over: &mut Option<Word>, now_ns: i64, bodies: &mut u64, context: &mut Context) -> Polled {
        let Some(download) = self.stream.as_mut().and_then(|stream| stream.download.as_mut()) else { return Polled::More };
        loop {
            match download.poll_data(context) {
                Poll::Pending => return Polled::More,
                Poll::Ready(Some(Ok(piece))) => {
                    *bodies += piece.len() as u64;
                    let _ = download.flow_control().release_capacity(piece.len()); // never more than came
                    let fed = self.messages.feed(&piece);
                    if let Some(most) = self.request.max_messages.filter(|most| self.messages.whole.len() >= *most) {
                        self.messages.whole.truncate(most);
                        return Polled::Over(Stop::Enough);
                    }
                    if let Err(wrong) = fed {
                        return Polled::Over(wrong.into());
                    }
                }
                Poll::Ready(Some(Err(error))) => return Polled::Over(self.stop_of(driven, over, error.into(), now_ns)),
                Poll::Ready(None) => break,
            }
        }
        match download.poll_trailers(context) {
            Poll::Pending => Polled::More,
            Poll::Ready(Err(error)) => Polled::Over(self.stop_of(driven, over, error.into(), now_ns)),
            Poll::Ready(Ok(trailers)) => {
                let trailers = trailers.unwrap_or_default();
                keep(&mut self.fields, &trailers);
                Polled::Over(Stop::Status(status_in(&trailers)))
            }
        }
    }

    /// Opens its stream; false while there is no room for one.
    fn ask(&mut self, driven: &mut Driven, over: &mut Option<Word>, now_ns: i64, context: &mut Context) -> Result<bool, Stop> {
        let left_s = (self.deadline_ns - now_ns) as f64 / 1e9;
        let asked = match &mut driven.state {
            State::Opening(_) => return Ok(false),
            State::Over => Err(None),
            State::Open(sender, _) => match sender.poll_ready(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(error)) => Err(Some(error)),
                Poll::Ready(Ok(())) => {
                    let head = self.request.head(left_s).map_err(Stop::Failure)?;
                    sender.send_request(head, false).map_err(Some)
                }
            },
        };
        match asked {
            Ok((response, mut upload)) => {
                driven.moved.set();
                // the crate keeps what the peer does not take yet: no copy of it is made. How that fails says the answer's side
                let _ = upload.send_data(self.request.body(), true);
                self.stream = Some(Stream { response: Some(response), upload, download: None });
                Ok(true)
            }
            // no frame of it was sent: where the connection worked before, another one may take it
            Err(error) => Err(match error.map(Word::from).or_else(|| last_word(driven, over)) {
                Some(word) => match self.stop_of(driven, over, word, now_ns) {
                    Stop::Status(status) if driven.has_heard() && !driven.looks_like_1() => Stop::Unseen(status),
                    stop => stop,
                },
                None => Stop::Unseen(Status::disconnected(None)),
            }),
        }
    }

    /// What an error of the crate means to it.
    fn stop_of(&self, driven: &mut Driven, over: &mut Option<Word>, mut word: Word, now_ns: i64) -> Stop {
        if word.is_io {
            // a call that the server took, on a connection that it then ended: its last word says more than the end
            word = last_word(driven, over).filter(|last| last.is_go_away).unwrap_or(word);
        }
        if driven.looks_like_1() {
            return Stop::Status(Status::unreadable("the server answers in HTTP/1"));
        }
        if word.is_io {
            let lost = Failure::new(Outcome::Closed, "Socket closed");
            return Stop::Status(if driven.has_heard() { Status::disconnected(None) } else { Status::unconnected(&lost) });
        }
        let is_answered = self.stream.as_ref().is_some_and(|stream| stream.download.is_some());
        let reason = word.reason.unwrap_or(Reason::PROTOCOL_ERROR);
        Stop::Status(match (word.is_go_away, word.is_remote, reason) {
            (true, true, Reason::NO_ERROR) if !is_answered => {
                return Stop::Unseen(Status::ended_by_server("the server ends the connection and did not look at the call"));
            }
            (true, true, _) => Status::ended_by_server(&name_of(reason)),
            (_, true, Reason::REFUSED_STREAM) => return Stop::Unseen(Status::reset(reason.into())),
            // a server that gives up at the deadline which it was told
            (_, true, Reason::CANCEL) if now_ns >= self.deadline_ns => Status::late(),
            (_, true, _) => Status::reset(reason.into()),
            (false, false, Reason::REFUSED_STREAM) => Status::too_much_metadata(),
            (_, false, Reason::ENHANCE_YOUR_CALM) => Status::unreadable("more header fields or empty frames than can be taken in"),
            _ => Status::unreadable(&name_of(reason)),
        })
    }
}

/// Why the connection is over, as far as it is; kept for all who ask.
fn last_word(driven: &mut Driven, over: &mut Option<Word>) -> Option<Word> {
    if over.is_none() {
        *over = driven.broken.take().map(Word::from);
    }
    over.clone()
}

fn status_in(fields: &HeaderMap) -> Status {
    let value = |name: &str| fields.get(name).map(|value| value.as_bytes());
    Status::of_server(value("grpc-status"), value("grpc-message").unwrap_or_default())
}
