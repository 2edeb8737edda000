//! Reads one answer from whatever pieces the network gives (RFC 9112), as strictly as `fast_http_user` does.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::http::chunks::Chunks;
use crate::http::codings::Codings;
use crate::http::events::Events;
use crate::http::lines::{blank_lines, is_blank, is_field, is_status_line, unfold, whole_number};
use crate::plan::stream::Format;

pub const MAX_HEAD_BYTES: usize = 256 * 1024;
const USUAL_FIELDS: usize = 64;
const MOST_FIELDS: usize = 32_768;

/// Why an answer can't be used.
#[derive(Debug, PartialEq)]
pub enum Broken {
    Protocol(String),
    /// The connection ended before this was there.
    Closed(&'static str),
    /// More body than may be; the head is whole.
    TooLarge,
}

#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Progress {
    More,
    Whole,
}

/// Name and value as places in the head's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Range<u32>,
    pub value: Range<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Head,
    Length(u64),
    Chunked,
    UntilClose,
    Done,
}

/// One for each connection, used again for each answer.
pub struct Reader {
    phase: Phase,
    chunks: Chunks,
    /// bytes of a head that came in pieces, and where the search for its end goes on
    head: Vec<u8>,
    searched: usize,
    body: Vec<u8>,
    body_bytes: u64,
    /// where head and body lie in the block that was read, where all of the answer was in one block
    direct: Option<(usize, usize)>,
    /// The head with its folded fields on one line each (RFC 9112 section 5.2), where it has such.
    unfolded: Option<Vec<u8>>,
    pub fields: Vec<Field>,
    pub status: u16,
    reason: Range<u32>,
    /// Whether the connection can be used for another request.
    pub keep: bool,
    /// Bytes of the last block that stand behind a whole answer.
    pub behind: usize,
    no_body: bool,
    kept_bytes: usize,
    max_body_bytes: u64,
    /// Where the body is read as events: in which format, if that is not for the answer to say, and the events.
    pub streams: Option<Option<Format>>,
    pub events: Option<Box<Events>>,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            phase: Phase::Head,
            chunks: Chunks::default(),
            head: Vec::new(),
            searched: 0,
            body: Vec::new(),
            body_bytes: 0,
            direct: None,
            unfolded: None,
            fields: Vec::new(),
            status: 0,
            reason: 0..0,
            keep: true,
            behind: 0,
            no_body: false,
            kept_bytes: 0,
            max_body_bytes: 0,
            streams: None,
            events: None,
        }
    }
}

impl Reader {
    /// Before a request is sent. `is_head`: the answer to HEAD has no body. Of a body `kept_bytes` are kept.
    pub fn begin(&mut self, is_head: bool, kept_bytes: usize, max_body_bytes: u64) {
        self.phase = Phase::Head;
        self.head.clear();
        self.searched = 0;
        self.body.clear();
        self.head.shrink_to(4096);
        self.body.shrink_to(65_536);
        self.body_bytes = 0;
        self.direct = None;
        self.unfolded = None;
        self.status = 0;
        self.keep = true;
        self.no_body = is_head;
        self.streams = None;
        self.events = None;
        self.kept_bytes = kept_bytes;
        self.max_body_bytes = max_body_bytes;
    }

    /// Takes the next block. After `Whole` or an error no more may be given.
    pub fn feed(&mut self, block: &[u8]) -> Result<Progress, Broken> {
        let mut rest = block;
        while self.phase == Phase::Head {
            let own = !self.head.is_empty();
            let head_len = if own { self.gather(&mut rest)? } else { self.first(rest)? };
            let Some(head_len) = head_len else { return Ok(Progress::More) };
            let unfolded = self.unfolded.take();
            if !own {
                let (head, after) = rest.split_at(head_len);
                if let Phase::Length(length) = self.phase
                    && unfolded.is_none()
                    && self.body_bytes == 0
                    && self.streams.is_none()
                    && length <= self.max_body_bytes
                    && after.len() as u64 >= length
                {
                    let at = block.len() - rest.len();
                    self.direct = Some((at, at + head_len));
                    self.body_bytes = length;
                    self.behind = after.len() - length as usize;
                    self.keep &= is_blank(&after[length as usize..]);
                    self.phase = Phase::Done;
                    return Ok(Progress::Whole);
                }
                rest = after;
                if self.phase != Phase::Head {
                    self.head.extend_from_slice(head);
                }
            }
            if self.phase == Phase::Head {
                // an interim answer; the next may be behind it
                self.head.clear();
                self.searched = 0;
                if rest.is_empty() {
                    return Ok(Progress::More);
                }
            } else if let Some(text) = unfolded {
                self.head = text;
            }
        }
        self.body_block(rest)
    }

    /// The head of an answer whose framing is another's (HTTP/2): its body comes by `take_body`.
    pub fn take_head<'a>(&mut self, status: u16, reason: &str, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), Broken> {
        self.head.clear();
        self.fields.clear();
        self.head.extend_from_slice(reason.as_bytes());
        (self.status, self.reason, self.phase) = (status, 0..reason.len() as u32, Phase::Done);
        for (name, value) in fields {
            let at = self.head.len() as u32;
            let value_at = at + name.len() as u32;
            self.head.extend_from_slice(name);
            self.head.extend_from_slice(value);
            if self.head.len() > MAX_HEAD_BYTES {
                return Err(Broken::Protocol("over 262,144 bytes of header fields".into()));
            }
            self.fields.push(Field { name: at..value_at, value: value_at..self.head.len() as u32 });
        }
        Ok(())
    }

    /// The peer has closed the connection.
    pub fn ended(&mut self) -> Result<Progress, Broken> {
        match self.phase {
            Phase::UntilClose => {
                self.phase = Phase::Done;
                Ok(Progress::Whole)
            }
            Phase::Head if self.head.is_empty() => Err(Broken::Closed("an answer")),
            Phase::Head => Err(Broken::Closed("the header fields were whole")),
            _ => Err(Broken::Closed("the body was whole")),
        }
    }

    /// The bytes of the head; `block` is the last one that was fed.
    pub fn head<'a>(&'a self, block: &'a [u8]) -> &'a [u8] {
        self.direct.map_or(&self.head, |(at, body_at)| &block[at..body_at])
    }

    /// What was kept of the body, without its chunks' framing.
    pub fn body<'a>(&'a self, block: &'a [u8]) -> &'a [u8] {
        self.direct.map_or(&self.body, |(_, body_at)| &block[body_at..body_at + self.body_bytes as usize])
    }

    /// Bytes of the body so far, without its framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    pub fn reason<'a>(&'a self, block: &'a [u8]) -> &'a [u8] {
        slice(self.head(block), &self.reason)
    }

    /// The first block of an answer: usually all of its head. Some(bytes of the head), or None when more is needed.
    fn first(&mut self, block: &[u8]) -> Result<Option<usize>, Broken> {
        if let Some(length) = self.parse(block)? {
            return Ok(Some(length));
        }
        self.head.extend_from_slice(block);
        self.check_lines()?;
        Ok(None)
    }

    /// Another block of a head in pieces; what is behind the head stays in `rest`.
    fn gather(&mut self, rest: &mut &[u8]) -> Result<Option<usize>, Broken> {
        let before = self.head.len();
        self.head.extend_from_slice(rest);
        let from = self.searched.saturating_sub(3);
        let from = from.max(blank_lines(&self.head));
        let Some(at) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else {
            self.check_lines()?;
            *rest = &[];
            return Ok(None);
        };
        let head_len = from + at + 4;
        *rest = &rest[head_len - before..];
        self.head.truncate(head_len);
        let head = std::mem::take(&mut self.head);
        let parsed = self.parse(&head);
        self.head = head;
        match parsed? {
            Some(length) if length == head_len => Ok(Some(length)),
            _ => Err(broken_head(&self.head, "the head of the answer has no clear end")),
        }
    }

    /// What can be said of a head that is not whole: it begins as one, its lines end with CRLF, it has bounds.
    fn check_lines(&mut self) -> Result<(), Broken> {
        let begin = b"HTTP/1.";
        let start = blank_lines(&self.head);
        let known = (self.head.len() - start).min(begin.len());
        if self.head[start..start + known] != begin[..known] && self.head[start..] != *b"\r" {
            return Err(no_answer(&self.head[start..]));
        }
        let bare = memchr::memchr_iter(b'\n', &self.head[self.searched..]).any(|at| {
            let at = self.searched + at;
            at == 0 || self.head[at - 1] != b'\r'
        });
        if bare {
            return Err(Broken::Protocol("a line of the head ends without CR".into()));
        }
        if self.head.len() > MAX_HEAD_BYTES {
            return Err(Broken::Protocol("over 262,144 bytes of header fields".into()));
        }
        self.searched = self.head.len();
        Ok(())
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let status = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut usual) {
            Err(httparse::Error::TooManyHeaders) => {
                let mut many = vec![httparse::EMPTY_HEADER; MOST_FIELDS];
                let mut response = httparse::Response::new(&mut many);
                let status = config.parse_response(&mut response, bytes).map_err(|error| broken_head(bytes, &error.to_string()))?;
                return self.accept(bytes, &response, status);
            }
            other => other.map_err(|error| broken_head(bytes, &error.to_string()))?,
        };
        self.accept(bytes, &response, status)
    }

    fn accept(&mut self, bytes: &[u8], response: &httparse::Response, status: httparse::Status<usize>) -> Result<Option<usize>, Broken> {
        let httparse::Status::Complete(length) = status else { return Ok(None) };
        let head = &bytes[..length];
        let mut folded = false;
        for at in memchr::memchr_iter(b'\n', head) {
            if at == 0 || head[at - 1] != b'\r' {
                return Err(broken_head(bytes, "a line of the head ends without CR"));
            }
            folded |= matches!(head.get(at + 1), Some(b' ' | b'\t'));
        }
        if folded && self.unfolded.is_none() {
            let text = self.unfolded.insert(unfold(head)).clone();
            return Ok(self.parse(&text)?.map(|_| length));
        }
        if length > MAX_HEAD_BYTES {
            return Err(Broken::Protocol("over 262,144 bytes of header fields".into()));
        }
        let place = |part: &[u8]| {
            let start = (part.as_ptr() as usize - bytes.as_ptr() as usize) as u32;
            start..start + part.len() as u32
        };
        self.status = response.code.unwrap_or(0);
        self.reason = response.reason.filter(|reason| !reason.is_empty()).map_or(0..0, |reason| place(reason.as_bytes()));
        self.fields.clear();
        for field in response.headers.iter() {
            let value = if field.value.is_empty() { 0..0 } else { place(field.value) };
            self.fields.push(Field { name: place(field.name.as_bytes()), value });
        }
        self.frame(head, response.version.unwrap_or(1))?;
        Ok(Some(length))
    }

    /// How long the body is (RFC 9112 section 6.3), and whether the connection lives on.
    fn frame(&mut self, head: &[u8], minor: u8) -> Result<(), Broken> {
        let mut length: Option<u64> = None;
        let mut codings = Codings::default();
        let (mut keep, mut kept) = (minor == 1, false);
        for field in &self.fields {
            let name = slice(head, &field.name);
            let value = slice(head, &field.value);
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    for one in value.split(|byte| *byte == b',') {
                        let found = whole_number(one).ok_or_else(|| Broken::Protocol("an invalid Content-Length".into()))?;
                        if length.is_some_and(|before| before != found) {
                            return Err(Broken::Protocol("more than one Content-Length".into()));
                        }
                        length = Some(found);
                    }
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    value.split(|byte| *byte == b',').for_each(|one| codings.add(one));
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        if token.eq_ignore_ascii_case(b"close") {
                            (keep, kept) = (false, true);
                        } else if minor == 0 && !kept && token.eq_ignore_ascii_case(b"keep-alive") {
                            keep = true;
                        }
                    }
                }
                _ => {}
            }
        }
        if length.is_some() && codings.count > 0 {
            return Err(Broken::Protocol("both Content-Length and Transfer-Encoding".into()));
        }
        if codings.chunked > 1 {
            return Err(Broken::Protocol("chunks within chunks".into()));
        }
        match self.status {
            101 => return Err(Broken::Protocol("an unexpected 101 Switching Protocols".into())),
            100..200 => return Ok(()), // the phase stays: another head follows
            ..100 => return Err(Broken::Protocol(format!("status {}", self.status))),
            _ => {}
        }
        self.keep = keep && (minor == 1 || codings.count == 0);
        self.phase = if self.no_body || matches!(self.status, 204 | 304) {
            Phase::Length(0)
        } else {
            match (codings, length) {
                (Codings { ends_chunked: true, .. }, _) => {
                    self.chunks = Chunks::default();
                    Phase::Chunked
                }
                (Codings { count: 0, .. }, Some(length)) => Phase::Length(length),
                _ => {
                    self.keep = false;
                    Phase::UntilClose
                }
            }
        };
        Ok(())
    }

    fn body_block(&mut self, mut rest: &[u8]) -> Result<Progress, Broken> {
        match self.phase {
            Phase::Length(left) => {
                let taken = left.min(rest.len() as u64);
                self.take_body(&rest[..taken as usize])?;
                self.phase = Phase::Length(left - taken);
                if left > taken {
                    return Ok(Progress::More);
                }
                rest = &rest[taken as usize..];
            }
            Phase::Chunked => {
                while let Some(part) = self.chunks.next(&mut rest).map_err(|text| Broken::Protocol(text.into()))? {
                    self.take_body(part)?;
                }
                if !self.chunks.is_done() {
                    return Ok(Progress::More);
                }
            }
            _ => {
                self.take_body(rest)?;
                return Ok(Progress::More);
            }
        }
        self.keep &= is_blank(rest);
        self.behind = rest.len();
        self.phase = Phase::Done;
        Ok(Progress::Whole)
    }

    pub fn take_body(&mut self, part: &[u8]) -> Result<(), Broken> {
        self.body_bytes += part.len() as u64;
        if self.body_bytes > self.max_body_bytes {
            return Err(Broken::TooLarge);
        }
        if let Some(format) = self.streams.filter(|_| (200..300).contains(&self.status)) {
            self.stream(format, part)?;
        }
        let room = self.kept_bytes.saturating_sub(self.body.len());
        self.body.extend_from_slice(&part[..part.len().min(room)]);
        Ok(())
    }
}

impl Reader {
    fn stream(&mut self, format: Option<Format>, part: &[u8]) -> Result<(), Broken> {
        if self.events.is_none() {
            let coding = self.field(b"content-encoding").trim_ascii();
            if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
                return Err(Broken::Protocol("a stream of events in a content coding".into()));
            }
            let format = format.unwrap_or_else(|| Format::of(self.field(b"content-type")));
            self.events = Some(Box::new(Events::new(format)));
        }
        if let Some(events) = &mut self.events {
            events.feed(part);
        }
        Ok(())
    }

    /// Of a head that is kept.
    fn field(&self, name: &[u8]) -> &[u8] {
        let found = self.fields.iter().find(|field| slice(&self.head, &field.name).eq_ignore_ascii_case(name));
        found.map_or(b"", |field| slice(&self.head, &field.value))
    }
}

pub fn slice<'a>(bytes: &'a [u8], place: &Range<u32>) -> &'a [u8] {
    &bytes[place.start as usize..place.end as usize]
}

fn no_answer(bytes: &[u8]) -> Broken {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    Broken::Protocol(format!("no HTTP answer: {}", crate::values::value::shown_text(&shown)))
}

/// What is wrong with a whole head, in the words of `answer_reader.py`, which looks in the same order; `otherwise`: where it finds nothing.
fn broken_head(bytes: &[u8], otherwise: &str) -> Broken {
    let behind = &bytes[blank_lines(bytes)..];
    if !behind.starts_with(b"HTTP/1.") {
        return no_answer(behind);
    }
    let head = memchr::memmem::find(behind, b"\r\n\r\n").map_or(behind, |at| &behind[..at + 4]);
    let is_bare = |at: usize| at == 0 || head[at - 1] != b'\r';
    let head_without_end = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let latin = |line: &[u8]| crate::values::value::shown_text(&line.iter().take(80).map(|byte| char::from(*byte)).collect::<String>());
    let unfolded = unfold(head_without_end);
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rest = &unfolded[..];
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    let first_end = memchr::memmem::find(head_without_end, b"\r\n");
    let text = if memchr::memchr_iter(b'\n', head).any(is_bare) {
        "a line of the head ends without CR".to_owned()
    } else if head.len() > MAX_HEAD_BYTES {
        "over 262,144 bytes of header fields".to_owned()
    } else if first_end.is_some_and(|at| matches!(head_without_end.get(at + 2), Some(b' ' | b'\t'))) {
        "a header field without a name".to_owned()
    } else if !is_status_line(lines[0]) {
        format!("no status line: {}", latin(lines[0]))
    } else if let Some(line) = lines[1..].iter().find(|line| !is_field(line)) {
        format!("no header field: {}", latin(line))
    } else {
        otherwise.to_owned()
    };
    Broken::Protocol(text)
}
