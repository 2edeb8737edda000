//! Calls of `grpc_user` as tests make them, and the frames that answer them.
#![allow(dead_code)] // each test uses some

use std::sync::Arc;

use _native::plan::Place;
use _native::plan::message::{Asked, GrpcMessage, GrpcRequest};
use _native::plan::outcome::Outcome;
use _native::plan::rpc::Rpc;
use _native::protocols::orders::{Lost, Reply};

pub const MOST_BYTES: usize = 1_000;
pub const STREAM: u32 = 1;
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// `message Item { string name = 1; int64 id = 2; repeated Item more = 3; }`
pub fn rpc(server_streams: bool) -> Arc<Rpc> {
    let field = |number: u32, name: &str, of: &str, many: &str| {
        let presence = name == "more" && many == "one";
        format!(
            r#"{{"number":{number},"name":"{name}","json":"{name}","of":{of},"many":"{many}","packed":false,"presence":{presence},"oneof":null,"utf8":true}}"#
        )
    };
    let fields = [field(1, "name", "\"string\"", "one"), field(2, "id", "\"int64\"", "one"), field(3, "more", "{\"message\":0}", "list")];
    let text = format!(
        r#"{{"path":"/shop.Shop/Get","client_streams":false,"server_streams":{server_streams},"request":0,"reply":0,"enums":[],
            "messages":[{{"name":"shop.Item","kind":"usual","plain":true,"fields":[{}]}}]}}"#,
        fields.join(",")
    );
    Arc::new(serde_json::from_str(&text).unwrap())
}

pub fn place(port: u16) -> Place {
    Place { host: "127.0.0.1".into(), port, ..Place::default() }
}

pub fn asked_with(server_streams: bool, change: impl FnOnce(&mut GrpcRequest)) -> Asked {
    let mut request = GrpcRequest {
        rpc: Some(rpc(server_streams)),
        place: place(7),
        target: "127.0.0.1:7".into(),
        authority: "127.0.0.1:7".into(),
        messages: vec![GrpcMessage(b"\x0a\x02hi".to_vec())],
        metadata: vec![("x-token".into(), "abc".into())],
        timeout_s: 2.0,
        channels: None,
        max_messages: None,
        first_name: String::new(),
        laid: Default::default(),
    };
    change(&mut request);
    Asked::Grpc(Arc::new(request))
}

pub fn asked(server_streams: bool) -> Asked {
    asked_with(server_streams, |_| {})
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields, each as a literal that is not remembered (RFC 7541 section 6.2.2).
pub fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.bytes());
        }
    }
    bytes
}

pub fn head(pairs: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, STREAM, &[b"\x88", &fields(pairs)[..]].concat())
}

/// Whole, with one message.
pub fn answer(stream: u32, data: &[u8]) -> Vec<u8> {
    let begun = frame(HEADERS, END_HEADERS, stream, b"\x88");
    let ended = frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[("grpc-status", "0")]));
    [begun, frame(DATA, 0, stream, &framed(data)), ended].concat()
}

pub fn trailers(pairs: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, STREAM, &fields(pairs))
}

pub fn framed(data: &[u8]) -> Vec<u8> {
    [&[0][..], &(data.len() as u32).to_be_bytes(), data].concat()
}

pub fn message(data: &[u8]) -> Vec<u8> {
    frame(DATA, 0, STREAM, &framed(data))
}

pub fn settings() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])].concat()
}

/// Kind, status and text: the failure's, or the JSON of the answer.
pub fn shown(result: &Result<Reply, Lost>) -> (Outcome, u16, String) {
    match result {
        Ok(reply) => {
            let beside = reply.beside.as_ref().unwrap();
            match &beside.refusal {
                Some(failure) => (failure.outcome, reply.status, failure.text.clone()),
                None => (Outcome::Ok, reply.status, String::from_utf8(beside.told.seen(&beside.reason).unwrap().text).unwrap()),
            }
        }
        Err(lost) => (lost.failure.outcome, 0, lost.failure.text.clone()),
    }
}
