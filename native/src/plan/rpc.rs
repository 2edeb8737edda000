//! A method and what its messages look like, as the descriptors of its service say; made by `loadflow/engine/protocols/grpc/shape.py`.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde::Deserialize;

/// What is the same for all hits of a request, made when it is first sent.
#[derive(Debug, Clone, Default)]
pub struct Laid {
    pub head: OnceLock<Option<(Uri, HeaderMap)>>,
    pub body: OnceLock<Bytes>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Rpc {
    /// As it is asked for, `/package.Service/Method`.
    pub path: String,
    pub client_streams: bool,
    pub server_streams: bool,
    /// Places among the messages.
    pub request: usize,
    pub reply: usize,
    pub messages: Vec<Shape>,
    pub enums: Vec<Names>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(from = "Written")]
pub struct Shape {
    pub name: String,
    pub kind: Kind,
    /// Whether its JSON is of a form that is written here.
    pub plain: bool,
    /// In the order of their declaration.
    pub fields: Vec<Field>,
    /// Their places by their numbers, in ascending order.
    numbers: Vec<(u32, usize)>,
}

#[derive(Deserialize)]
struct Written {
    name: String,
    kind: Kind,
    plain: bool,
    fields: Vec<Field>,
}

/// How a message is written as JSON: https://protobuf.dev/programming-guides/json/
#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Usual,
    Any,
    Duration,
    Mask,
    List,
    Struct,
    Timestamp,
    Value,
    Wrapper,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Field {
    pub number: u32,
    /// As the .proto file has it, and as JSON usually has it.
    pub name: String,
    pub json: String,
    pub of: Of,
    pub many: Many,
    /// Whether numbers of it are sent together.
    pub packed: bool,
    /// Whether it can be left out, which is then not its default.
    pub presence: bool,
    /// Those with the same number can't be there together.
    pub oneof: Option<usize>,
    /// A text is UTF-8, or the message is none.
    pub utf8: bool,
}

#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Many {
    One,
    List,
    Map,
}

/// `Group` is a message between two marks.
#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
    Group(usize),
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Names {
    /// `google.protobuf.NullValue`
    pub null: bool,
    /// What has no name counts as a field that nobody knows.
    pub closed: bool,
    pub values: Vec<(i32, String)>,
}

impl From<Written> for Shape {
    fn from(written: Written) -> Self {
        let Written { name, kind, plain, fields } = written;
        let mut numbers: Vec<(u32, usize)> = fields.iter().enumerate().map(|(at, field)| (field.number, at)).collect();
        numbers.sort_unstable();
        Shape { name, kind, plain, fields, numbers }
    }
}

impl Shape {
    pub fn at(&self, number: u32) -> Option<usize> {
        let found = self.numbers.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.numbers[found].1)
    }

    /// Where JSON may call it by either of its names.
    pub fn named(&self, name: &str) -> Option<usize> {
        let by_json = self.fields.iter().position(|field| field.json == name);
        by_json.or_else(|| self.fields.iter().position(|field| field.name == name))
    }
}

impl Names {
    pub fn of(&self, number: i32) -> Option<&str> {
        self.values.iter().find(|(one, _)| *one == number).map(|(_, name)| name.as_str())
    }
}
