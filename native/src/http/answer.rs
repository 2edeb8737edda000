//! An answer as assertions and extracts see it: fields, text, JSON. The body is decoded when it is first needed.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use serde_json::Value;

use crate::http::reading::{Field, Reader, slice};
use crate::http::work::LARGE_BYTES;
use crate::markup::{Page, Trouble as NoPage, is_xml};
use crate::plan::host::Host;
use crate::plan::outcome::{Failure, Outcome};
use crate::values::found::{NoJson, Path};
use crate::values::words::with_commas;

/// Of one gzip body; each takes a decoder of its own, and may hold nothing.
const MOST_MEMBERS: usize = 1_000;
/// Bytes of max_body_bytes per value that a JSON body may contain.
const BYTES_PER_VALUE: u64 = 16;
/// Of XML, before its text; Python looks as far.
const MOST_DECLARATION: usize = 256;
pub const MOST_CODINGS: usize = 5;
/// Codings that change a body and that no request accepts (the registry of RFC 9110 section 8.4.1).
pub const OTHER_CODINGS: [&str; 9] = ["aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"];

pub struct Answer<'a> {
    /// 0: there is none.
    status: u16,
    head: &'a [u8],
    /// Places in the head.
    fields: &'a [Field],
    /// What a message says of itself, with names that mean what they are: they say nothing of how it is to be read.
    said: &'a [(String, String)],
    raw: &'a [u8],
    reason: &'a [u8],
    max_body_bytes: u64,
    decoded: OnceCell<Cow<'a, [u8]>>,
    /// in a charset that only Python knows
    other_text: OnceCell<String>,
    /// JSON that only Python could read; Some(None): nor could Python
    other_json: Option<Option<String>>,
    /// The body as HTML or XML, once something looked at it as such
    page: Option<Result<Page, NoPage>>,
    /// What it is beside its bytes, where it was made of a message.
    told: Option<Told<'a>>,
}

/// Of a message whose bytes are not what the peer sent, but the text and the JSON of it.
pub struct Told<'a> {
    pub fields: &'a [Field],
    pub head: &'a [u8],
    pub reason: &'a str,
    /// None: the text is no JSON, though it may look like it.
    pub json: Option<&'a [u8]>,
    /// What its status means, unless a step expects it.
    pub refusal: Option<&'a Failure>,
}

impl<'a> Answer<'a> {
    pub fn new(reader: &'a Reader, block: &'a [u8], max_body_bytes: u64) -> Self {
        Answer {
            status: reader.status,
            head: reader.head(block),
            fields: &reader.fields,
            said: &[],
            raw: reader.body(block),
            reason: reader.reason(block),
            max_body_bytes,
            decoded: OnceCell::new(),
            other_text: OnceCell::new(),
            other_json: None,
            page: None,
            told: None,
        }
    }

    /// A message by itself. `said`: what it says of itself by name; `about`: what else its protocol shows of it.
    pub fn of_message(data: &'a [u8], status: u16, said: &'a [(String, String)], about: &'a str, max_body_bytes: u64) -> Self {
        Answer {
            status,
            head: b"",
            fields: &[],
            said,
            raw: data,
            reason: about.as_bytes(),
            max_body_bytes,
            decoded: OnceCell::new(),
            other_text: OnceCell::new(),
            other_json: None,
            page: None,
            told: None,
        }
    }

    /// A message of a protocol that has statuses and header fields of its own.
    pub fn of_told(data: &'a [u8], status: u16, told: Told<'a>) -> Self {
        let made = Self::of_message(data, status, &[], "", u64::MAX);
        Answer { head: told.head, fields: told.fields, reason: told.reason.as_bytes(), told: Some(told), ..made }
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// What its status means, unless the step expects it.
    pub fn refusal(&self) -> Option<Failure> {
        if let Some(told) = &self.told {
            return told.refusal.cloned();
        }
        let text = || format!("status {} {}", self.status, latin1(self.reason));
        (self.status >= 400).then(|| Failure::new(Outcome::Status, text().trim_end()))
    }

    pub fn reason(&self) -> &'a [u8] {
        self.reason
    }

    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.of_http().chain(self.said.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    fn of_http(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let head = self.head;
        self.fields.iter().map(move |field| (slice(head, &field.name), slice(head, &field.value)))
    }

    /// Whether it can make much work: it is large, or may become so when it is decoded.
    pub fn may_cost(&self) -> bool {
        let codings = [&b"content-encoding"[..], b"transfer-encoding"];
        let is_coded = |name: &[u8]| codings.iter().any(|one| name.eq_ignore_ascii_case(one));
        self.raw.len() >= LARGE_BYTES || self.head.len() >= LARGE_BYTES || self.of_http().any(|(name, _)| is_coded(name))
    }

    /// The body as the text and the JSON that it is by all that is said of it: UTF-8 as it came. None for all others.
    /// The value of a header field, repeated fields joined by a comma.
    pub fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut found: Option<Cow<'a, [u8]>> = None;
        for (_, value) in self.of_http().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())) {
            found = Some(match found {
                None => Cow::Borrowed(value),
                Some(before) => Cow::Owned([&before, &b", "[..], value].concat()),
            });
        }
        found
    }

    /// The same as text, also of what a message says.
    pub fn header_text(&self, name: &str) -> Option<String> {
        let said: Vec<&str> = self.said.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        if said.is_empty() { self.header(name).map(|found| latin1(&found)) } else { Some(said.join(", ")) }
    }

    /// The body, decoded by Content-Encoding.
    pub fn body(&self) -> Result<&[u8], Failure> {
        if self.decoded.get().is_none() {
            let body = self.decode()?;
            return Ok(self.decoded.get_or_init(|| body));
        }
        Ok(self.decoded.get().map_or(&[], |body| body))
    }

    pub fn contains(&self, text: &str, host: &mut dyn Host) -> Result<bool, Failure> {
        let body = self.body()?;
        // invalid UTF-8 is U+FFFD in the text; the two can't differ anywhere else
        if charset(&self.header("content-type").unwrap_or_default(), body) == Charset::Utf8 && !text.contains(char::REPLACEMENT_CHARACTER) {
            return Ok(memchr::memmem::find(body, text.as_bytes()).is_some());
        }
        Ok(self.text(host)?.contains(text))
    }

    /// The body as text in its charset, with U+FFFD for invalid bytes.
    pub fn text(&self, host: &mut dyn Host) -> Result<Cow<'_, str>, Failure> {
        let body = self.body()?;
        let content_type = self.header("content-type").unwrap_or_default();
        Ok(match charset(&content_type, body) {
            Charset::Utf8 => String::from_utf8_lossy(body),
            Charset::Ascii if body.is_ascii() => String::from_utf8_lossy(body),
            _ => Cow::Borrowed(self.other_text.get_or_init(|| host.text(body, &content_type))),
        })
    }

    /// The value that the answer gives to a cookie: the last one counts, as in a jar.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.of_http().filter(|(key, _)| key.eq_ignore_ascii_case(b"set-cookie"));
        let found = lines.filter_map(|(_, line)| {
            let line = latin1(line);
            let (key, value) = line.split(';').next().unwrap_or_default().split_once('=')?;
            let blank = [' ', '\t'];
            (key.trim_matches(blank) == name).then(|| value.trim_matches(blank).to_owned())
        });
        found.last()
    }

    /// The value at a path; Ok(None): nothing is there. Err(None): the body is not JSON.
    pub fn find(&mut self, path: &Path, host: &mut dyn Host) -> Result<Option<Value>, Option<Failure>> {
        if let Some(told) = &self.told {
            let text = told.json.and_then(|json| std::str::from_utf8(json).ok()).ok_or(None)?;
            return path.find(text).map_err(|_| None);
        }
        if self.other_json.is_none() {
            let body = self.body().map_err(Some)?;
            let most = self.max_body_bytes / BYTES_PER_VALUE;
            if body.len() as u64 > most && holds_more(body, most) {
                let most = with_commas(most);
                let noun = if most == "1" { "value" } else { "values" };
                let text = format!("the JSON holds more than {most} {noun}, one for every {BYTES_PER_VALUE} bytes of max_body_bytes");
                return Err(Some(Failure::new(Outcome::TooLarge, text)));
            }
            let found = std::str::from_utf8(body).map_err(|_| NoJson).and_then(|text| path.find(text));
            match found {
                Ok(value) => return Ok(value),
                Err(NoJson) => {
                    let content_type = self.header("content-type").unwrap_or_default();
                    self.other_json = Some(host.json(body, &content_type));
                }
            }
        }
        match &self.other_json {
            Some(Some(text)) => path.find(text).map_err(|_| None),
            _ => Err(None),
        }
    }

    /// The body as a document.
    pub fn page(&mut self, host: &mut dyn Host) -> Result<&Result<Page, NoPage>, Failure> {
        if self.page.is_none() {
            let content_type = self.header_text("content-type").unwrap_or_default();
            let text = self.text(host)?;
            self.page = Some(Page::read(&text, is_xml(&content_type, &text)));
        }
        Ok(self.page.get_or_insert_with(|| Page::read("", false)))
    }

    /// The codings of the body in the order in which they were applied, and whether they are those of its transfer.
    fn codings(&self) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        if self.told.is_some() {
            return found; // its fields say nothing of the text
        }
        for (name, of_transfer) in [("content-encoding", false), ("transfer-encoding", true)] {
            for (_, value) in self.of_http().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())) {
                let listed = value.split(|byte| *byte == b',').map(|one| latin1(one.trim_ascii()).to_ascii_lowercase());
                found.extend(listed.filter(|one| !one.is_empty() && one != "identity").map(|one| (one, of_transfer)));
            }
        }
        found.retain(|(one, of_transfer)| !of_transfer || one != "chunked");
        found
    }

    fn decode(&self) -> Result<Cow<'a, [u8]>, Failure> {
        let mut body = Cow::Borrowed(self.raw);
        let codings = if body.is_empty() { Vec::new() } else { self.codings() };
        if codings.len() > MOST_CODINGS {
            return Err(Failure::new(Outcome::Protocol, format!("over {MOST_CODINGS} codings, one within the other")));
        }
        for (coding, of_transfer) in codings.iter().rev() {
            let decoded = match coding.as_str() {
                "gzip" | "x-gzip" => self.gunzip(&body),
                "deflate" => {
                    // many servers mean raw deflate, not the zlib format of RFC 9110
                    match self.inflate(ZlibDecoder::new(&*body)) {
                        Err(Trouble::Invalid) => self.inflate(DeflateDecoder::new(&*body)),
                        other => other,
                    }
                }
                other if *of_transfer || OTHER_CODINGS.contains(&other) => {
                    let kind = if *of_transfer { "transfer-encoding" } else { "content-encoding" };
                    let shown = crate::values::value::shown_text(other);
                    return Err(Failure::new(Outcome::Protocol, format!("{kind} {shown} was not asked for and can't be decoded")));
                }
                _ => continue, // the name of no coding, like utf-8: nothing was done to the body
            };
            body = Cow::Owned(decoded.map_err(|trouble| self.failure(trouble, coding))?);
        }
        Ok(body)
    }

    fn failure(&self, trouble: Trouble, coding: &str) -> Failure {
        match trouble {
            Trouble::Invalid => Failure::new(Outcome::Protocol, format!("the body is not valid {coding}")),
            Trouble::Members => {
                let most = with_commas(MOST_MEMBERS as u64);
                Failure::new(Outcome::Protocol, format!("the body is gzip of more than {most} members"))
            }
            Trouble::Early => Failure::new(Outcome::Closed, "the compressed body ends early"),
            Trouble::TooLarge => {
                let most = with_commas(self.max_body_bytes);
                Failure::new(Outcome::TooLarge, format!("the decoded body is over max_body_bytes ({most})"))
            }
        }
    }

    fn gunzip(&self, raw: &[u8]) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let mut rest = raw;
        for _ in 0..MOST_MEMBERS {
            let magic = &b"\x1f\x8b"[..rest.len().min(2)];
            if !rest.starts_with(magic) {
                return Err(Trouble::Invalid);
            }
            let mut member = GzDecoder::new(rest);
            self.read_into(&mut member, &mut body)?;
            rest = member.into_inner();
            if !rest.starts_with(b"\x1f\x8b") {
                return Ok(body); // RFC 1952 section 2.2: a file may have several members
            }
        }
        Err(Trouble::Members)
    }

    fn inflate(&self, mut decoder: impl Read) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        self.read_into(&mut decoder, &mut body)?;
        Ok(body)
    }

    fn read_into(&self, decoder: &mut impl Read, body: &mut Vec<u8>) -> Result<(), Trouble> {
        let room = self.max_body_bytes + 1 - body.len() as u64;
        match decoder.take(room).read_to_end(body) {
            Ok(_) if body.len() as u64 > self.max_body_bytes => Err(Trouble::TooLarge),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Trouble::Early),
            Err(_) => Err(Trouble::Invalid),
        }
    }
}

/// The body as the text and the JSON that it is by all that its fields say of it: UTF-8 as it came. None for all others.
pub fn plain_text_of<'a, 'b>(fields: impl Iterator<Item = (&'b [u8], &'b [u8])>, raw: &'a [u8]) -> Option<&'a str> {
    let is = |name: &[u8], one: &str| name.len() == one.len() && name.eq_ignore_ascii_case(one.as_bytes());
    let mut is_named = false;
    for (name, value) in fields {
        let is_coded = is(name, "content-encoding") || (is(name, "transfer-encoding") && !value.eq_ignore_ascii_case(b"chunked"));
        if is_coded || (is(name, "content-type") && charset(value, raw) != Charset::Utf8) {
            return None;
        }
        is_named |= is(name, "content-type");
    }
    if !is_named && charset(b"", raw) != Charset::Utf8 {
        return None;
    }
    // JSON with zeros may be UTF-16
    let is_plain = !raw.starts_with(b"\xef\xbb\xbf") && memchr::memchr(0, raw).is_none();
    is_plain.then(|| std::str::from_utf8(raw).ok()).flatten()
}

enum Trouble {
    Invalid,
    Early,
    TooLarge,
    Members,
}

/// Whether JSON may hold more values than that: each but the first stands behind one of these marks.
fn holds_more(json: &[u8], most: u64) -> bool {
    let marks = memchr::memchr3_iter(b'[', b'{', b',', json).count() + memchr::memchr_iter(b':', json).count();
    marks as u64 > most
}

#[derive(PartialEq)]
enum Charset {
    Utf8,
    Ascii,
    Other,
}

fn charset(content_type: &[u8], body: &[u8]) -> Charset {
    let lower = content_type.to_ascii_lowercase();
    let Some(at) = memchr::memmem::find(&lower, b"charset=") else {
        // what XML says of itself Python reads
        return if is_html(&lower) || !may_declare(body) { Charset::Utf8 } else { Charset::Other };
    };
    let name = lower[at + 8..].strip_prefix(b"\"").or(lower[at + 8..].strip_prefix(b"'")).unwrap_or(&lower[at + 8..]);
    let name = name.split(|byte| !(byte.is_ascii_alphanumeric() || b"_.:-".contains(byte))).next().unwrap_or(b"");
    match name {
        b"" | b"utf-8" | b"utf8" => Charset::Utf8,
        b"us-ascii" | b"ascii" => Charset::Ascii,
        _ => Charset::Other,
    }
}

fn is_html(lower: &[u8]) -> bool {
    lower.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii() == b"text/html"
}

/// Whether a body that is XML names another charset than UTF-8, by its declaration or its first bytes.
fn may_declare(body: &[u8]) -> bool {
    if body.starts_with(b"\xff\xfe<\0") || body.starts_with(b"\xfe\xff\0<") {
        return true;
    }
    if !body.starts_with(b"<?xml") {
        return false;
    }
    let begin = body[..body.len().min(MOST_DECLARATION)].to_ascii_lowercase();
    let declaration = begin.split(|byte| *byte == b'>').next().unwrap_or_default();
    memchr::memmem::find(declaration, b"encoding").is_some_and(|at| memchr::memmem::find(&declaration[at..], b"utf-8").is_none())
}

/// A field's value as Python reads it: Latin-1.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
