//! A connection of `grpc_user` and the call on it: one stream of HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, StatusCode};

use crate::http::http2::driven::{Driven, State};
use crate::http::http2::{MOST_BESIDE_BYTES, name_of};
use crate::plan::Place;
use crate::plan::message::GrpcRequest;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::Link;
use crate::protocols::grpc::messages::{Coding, Messages, Wrong};
use crate::protocols::grpc::metadata::keep;
use crate::protocols::grpc::status::{OK, Status};
use crate::protocols::grpc::told::Told;
use crate::protocols::orders::{Beside, Fields, Lost, Orders, Reply};

/// Pieces in which messages are handed over.
const PIECE_BYTES: usize = 64 * 1024;

pub struct Channel {
    pub link: Link,
    pub place: Place,
    /// None: it is not connected yet, and has until then. Its crate is polled where something moved: bytes came, or it was told something.
    driven: Option<Driven>,
    pub connect_due_ns: i64,
    call: Option<Call>,
    /// Since the last call began.
    received: u64,
    body_bytes: u64,
    /// Calls in a row that were late.
    pub unanswered: u32,
}

pub struct Call {
    request: Arc<GrpcRequest>,
    deadline_ns: i64,
    response: Option<ResponseFuture>,
    upload: Option<SendStream<Bytes>>,
    unsent: Bytes,
    download: Option<RecvStream>,
    fields: Fields,
    messages: Messages,
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
    pub fn new(request: Arc<GrpcRequest>, deadline_ns: i64, most_bytes: usize) -> Self {
        let streams = request.rpc.as_ref().is_some_and(|rpc| rpc.server_streams);
        Call {
            deadline_ns,
            response: None,
            upload: None,
            unsent: request.body(),
            download: None,
            fields: Fields::default(),
            messages: Messages::new(streams, most_bytes),
            request,
        }
    }

    /// Bytes of the first message.
    pub fn first_bytes(&self) -> Option<u64> {
        self.messages.whole.first().map(|message| message.len() as u64)
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
}

impl Channel {
    pub fn new(link: Link, place: Place, connect_due_ns: i64) -> Self {
        Channel { link, place, driven: None, connect_due_ns, call: None, received: 0, body_bytes: 0, unanswered: 0 }
    }

    pub fn is_connected(&self) -> bool {
        self.driven.is_some()
    }

    pub fn connected(&mut self) {
        let driven = self.driven.insert(Driven::default());
        driven.moved.set();
    }

    pub fn begin(&mut self, call: Call) {
        (self.received, self.body_bytes) = (0, 0);
        self.call = Some(call);
    }

    pub fn call(&self) -> Option<&Call> {
        self.call.as_ref()
    }

    /// The call ends here; where its stream is open, it is reset.
    pub fn take_call(&mut self) -> Option<Call> {
        self.call.take().map(|call| Call { response: None, upload: None, download: None, ..call })
    }

    pub fn feed(&mut self, block: &[u8]) {
        self.received += block.len() as u64;
        if let Some(driven) = &mut self.driven {
            driven.feed(block);
            driven.moved.set();
        }
    }

    /// The peer will send no more.
    pub fn ended(&mut self) {
        if let Some(driven) = &mut self.driven {
            driven.ended();
            driven.moved.set();
        }
    }

    /// Sends what is due.
    pub fn flush(&mut self, orders: &mut Orders) {
        let Some(driven) = &mut self.driven else { return };
        let mut has_more = driven.moved.take();
        loop {
            if has_more {
                driven.poll();
            }
            driven.unsent(|bytes| {
                if !bytes.is_empty() {
                    orders.send(self.link, bytes);
                    bytes.clear();
                }
            });
            has_more = driven.has_more();
            if !has_more {
                return;
            }
        }
    }

    /// Goes on as far as it goes with what is there. Some: the call is over.
    pub fn advance(&mut self, now_ns: i64) -> Option<Stop> {
        let mut moved = self.driven.as_ref()?.moved.take();
        loop {
            if moved {
                self.driven.as_mut()?.poll();
            }
            if let Some(stop) = self.poll_call(now_ns) {
                return Some(stop);
            }
            if self.is_flooded() {
                let text = "frames without end, and no whole answer among them";
                return Some(Stop::Failure(Failure::new(Outcome::Protocol, text)));
            }
            moved = self.driven.as_ref()?.moved.take();
            if !moved {
                return None;
            }
        }
    }

    fn is_flooded(&self) -> bool {
        self.received > MOST_BESIDE_BYTES + 16 * self.body_bytes
    }

    /// What comes between two calls: pings, settings, a goodbye. False: the connection can't be used any more.
    pub fn idle(&mut self) -> bool {
        let mut moved = self.driven.as_ref().is_some_and(|driven| driven.moved.take());
        loop {
            let Some(driven) = &mut self.driven else { return true };
            if moved {
                driven.poll();
            }
            let usable = match &mut driven.state {
                State::Opening(_) => true,
                State::Over => false,
                State::Open(sender, _) => match sender.poll_ready(&mut Context::from_waker(&driven.waker)) {
                    Poll::Ready(ready) => ready.is_ok(),
                    Poll::Pending => true, // no room for another stream now
                },
            };
            if !usable || self.is_flooded() {
                return false;
            }
            moved = self.driven.as_ref().is_some_and(|driven| driven.moved.take());
            if !moved {
                return true;
            }
        }
    }

    fn poll_call(&mut self, now_ns: i64) -> Option<Stop> {
        let driven = self.driven.as_mut()?;
        let call = self.call.as_mut()?;
        let waker = driven.waker.clone();
        let mut context = Context::from_waker(&waker);
        if call.response.is_none() && call.download.is_none() {
            match ask(driven, call, now_ns, &mut context) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(stop) => return Some(stop),
            }
        }
        upload(driven, call, &mut context);
        if let Some(response) = &mut call.response {
            let response = match Pin::new(response).poll(&mut context) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some(stop_of(driven, call, error, now_ns)),
                Poll::Ready(Ok(response)) => response,
            };
            call.response = None;
            let (head, download) = response.into_parts();
            keep(&mut call.fields, &head.headers);
            let has_status = head.headers.contains_key("grpc-status");
            if head.status != StatusCode::OK && !has_status {
                return Some(Stop::Status(Status::of_http(head.status.as_u16())));
            }
            if download.is_end_stream() || has_status {
                return Some(Stop::Status(status_in(&head.headers)));
            }
            call.messages.coding = Coding::of(head.headers.get("grpc-encoding").map(|value| value.as_bytes()));
            call.download = Some(download);
        }
        self.download(now_ns, &mut context)
    }

    fn download(&mut self, now_ns: i64, context: &mut Context) -> Option<Stop> {
        let driven = self.driven.as_mut()?;
        let call = self.call.as_mut()?;
        loop {
            let download = call.download.as_mut()?;
            match download.poll_data(context) {
                Poll::Pending => return None,
                Poll::Ready(Some(Ok(piece))) => {
                    self.body_bytes += piece.len() as u64;
                    let _ = download.flow_control().release_capacity(piece.len()); // never more than came
                    driven.moved.set();
                    let fed = call.messages.feed(&piece);
                    if let Some(most) = call.request.max_messages.filter(|most| call.messages.whole.len() >= *most) {
                        call.messages.whole.truncate(most);
                        return Some(Stop::Enough);
                    }
                    if let Err(wrong) = fed {
                        return Some(wrong.into());
                    }
                }
                Poll::Ready(Some(Err(error))) => return Some(stop_of(driven, call, error, now_ns)),
                Poll::Ready(None) => break,
            }
        }
        match call.download.as_mut()?.poll_trailers(context) {
            Poll::Pending => None,
            Poll::Ready(Err(error)) => Some(stop_of(driven, call, error, now_ns)),
            Poll::Ready(Ok(trailers)) => {
                let trailers = trailers.unwrap_or_default();
                keep(&mut call.fields, &trailers);
                Some(Stop::Status(status_in(&trailers)))
            }
        }
    }

    /// Why a call is over whose connection is.
    pub fn disconnected(&self, failure: Option<&Failure>) -> Status {
        let has_heard = self.driven.as_ref().is_some_and(Driven::has_heard);
        match failure {
            Some(failure) if !has_heard => Status::unconnected(failure),
            None if !has_heard => Status::unconnected(&Failure::new(Outcome::Closed, "Socket closed")),
            failure => Status::disconnected(failure),
        }
    }
}

fn status_in(fields: &HeaderMap) -> Status {
    let value = |name: &str| fields.get(name).map(|value| value.as_bytes());
    Status::of_server(value("grpc-status"), value("grpc-message").unwrap_or_default())
}

/// Opens the call's stream; false while there is no room for one.
fn ask(driven: &mut Driven, call: &mut Call, now_ns: i64, context: &mut Context) -> Result<bool, Stop> {
    let left_s = (call.deadline_ns - now_ns) as f64 / 1e9;
    let asked = match &mut driven.state {
        State::Opening(_) => return Ok(false),
        State::Over => Err(None),
        State::Open(sender, _) => match sender.poll_ready(context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => Err(Some(error)),
            Poll::Ready(Ok(())) => {
                let head = call.request.head(left_s).map_err(Stop::Failure)?;
                sender.send_request(head, call.unsent.is_empty()).map_err(Some)
            }
        },
    };
    match asked {
        Ok((response, upload)) => {
            driven.moved.set();
            (call.response, call.upload) = (Some(response), Some(upload));
            Ok(true)
        }
        // no frame of it was sent: where the connection worked before, another one may take it
        Err(error) => Err(match error.or_else(|| driven.broken.take()) {
            Some(error) => match stop_of(driven, call, error, now_ns) {
                Stop::Status(status) if driven.has_heard() && !driven.looks_like_1() => Stop::Unseen(status),
                stop => stop,
            },
            None => Stop::Unseen(Status::disconnected(None)),
        }),
    }
}

/// As much of the messages as the peer takes now. How it fails says the answer's side.
fn upload(driven: &mut Driven, call: &mut Call, context: &mut Context) {
    while !call.unsent.is_empty()
        && let Some(upload) = &mut call.upload
    {
        upload.reserve_capacity(call.unsent.len().min(PIECE_BYTES));
        let room = match upload.capacity() {
            0 => match upload.poll_capacity(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(0))) => continue, // a window that was opened and taken back
                Poll::Ready(Some(Ok(room))) => room,
                Poll::Ready(_) => 0,
            },
            room => room,
        };
        let piece = call.unsent.split_to(room.min(call.unsent.len()));
        if piece.is_empty() || upload.send_data(piece, call.unsent.is_empty()).is_err() {
            call.upload = None;
            return;
        }
        driven.moved.set();
    }
}

/// What an error of the crate means to a call.
fn stop_of(driven: &mut Driven, call: &Call, mut error: h2::Error, now_ns: i64) -> Stop {
    if error.is_io() {
        // a call that the server took, on a connection that it then ended: its last word says more than the end
        error = driven.broken.take().filter(h2::Error::is_go_away).unwrap_or(error);
    }
    if driven.looks_like_1() {
        return Stop::Status(Status::unreadable("the server answers in HTTP/1"));
    }
    if error.is_io() {
        let lost = Failure::new(Outcome::Closed, "Socket closed");
        return Stop::Status(if driven.has_heard() { Status::disconnected(None) } else { Status::unconnected(&lost) });
    }
    let reason = error.reason().unwrap_or(Reason::PROTOCOL_ERROR);
    Stop::Status(match (error.is_go_away(), error.is_remote(), reason) {
        (true, true, Reason::NO_ERROR) if call.download.is_none() => {
            return Stop::Unseen(Status::ended_by_server("the server ends the connection and did not look at the call"));
        }
        (true, true, _) => Status::ended_by_server(&name_of(reason)),
        (_, true, Reason::REFUSED_STREAM) => return Stop::Unseen(Status::reset(reason.into())),
        // a server that gives up at the deadline which it was told
        (_, true, Reason::CANCEL) if now_ns >= call.deadline_ns => Status::late(),
        (_, true, _) => Status::reset(reason.into()),
        (false, false, Reason::REFUSED_STREAM) => Status::too_much_metadata(),
        (_, false, Reason::ENHANCE_YOUR_CALM) => Status::unreadable("more header fields or empty frames than can be taken in"),
        _ => Status::unreadable(&name_of(reason)),
    })
}
