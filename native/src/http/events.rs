//! Reads events from the body of an answer as it comes, without a socket or a clock: Server-Sent Events (WHATWG HTML section 9.2), or one
//! in each line, as newline-delimited JSON has them. `loadflow/engine/protocols/http/events.py` says the same for the users of Locust.

use crate::plan::stream::Format;
use crate::values::found::Path;

#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: String,
}

impl Event {
    /// How many tokens it has.
    pub fn tokens(&self, path: &Path) -> u32 {
        match path.find(&self.data) {
            Ok(Some(serde_json::Value::String(text))) => u32::from(!text.is_empty()),
            Ok(Some(serde_json::Value::Number(number))) => number.as_f64().map_or(0, |number| number as u32),
            _ => 0,
        }
    }

    pub fn is(&self, text: &str) -> bool {
        self.data == text || self.name == text
    }
}

pub struct Events {
    format: Format,
    line: Vec<u8>,
    name: String,
    data: Vec<String>,
    after_cr: bool,
    is_first: bool,
    /// Those that are whole and were not taken.
    pub came: Vec<Event>,
}

impl Events {
    pub fn new(format: Format) -> Self {
        Events { format, line: Vec::new(), name: String::new(), data: Vec::new(), after_cr: false, is_first: true, came: Vec::new() }
    }

    pub fn feed(&mut self, part: &[u8]) {
        let mut rest = part;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            self.line.extend_from_slice(&rest[..at]);
            let is_cr = rest[at] == b'\r';
            rest = &rest[at + 1..];
            if is_cr {
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let line = std::mem::take(&mut self.line);
            self.take_line(&line);
        }
        self.line.extend_from_slice(rest);
    }

    /// The body is whole: a last line may have no end. What is left of Server-Sent Events is no event.
    pub fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.format == Format::Lines {
            self.take_line(&line);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let mut line = String::from_utf8_lossy(line).into_owned();
        if std::mem::take(&mut self.is_first)
            && let Some(behind) = line.strip_prefix('\u{feff}')
        {
            line = behind.to_owned();
        }
        if self.format == Format::Lines {
            if !line.trim().is_empty() {
                self.came.push(Event { name: String::new(), data: line.trim().to_owned() });
            }
            return;
        }
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if !data.is_empty() {
                self.came.push(Event { name, data: data.join("\n") });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.data.push(value.to_owned()),
            "event" => value.clone_into(&mut self.name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Events::new(format);
        pieces.iter().for_each(|piece| events.feed(piece));
        events.end();
        events.came.into_iter().map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let sse = "\u{feff}: hello\ndata: one\n\nevent: add\r\ndata: two\r\ndata:  three\rid: 7\r\n\r\n\ndata\n\nretry: 5\n\nevent: x\n\ndata: ü\r\rdata: no end";
        let expected = [("", "one"), ("add", "two\n three"), ("", ""), ("", "ü")];
        let lines = "{\"a\": 1}\n\n  \r\n{\"b\": \"ü\"}\r\n[3]";
        let in_lines = [("", "{\"a\": 1}"), ("", "{\"b\": \"ü\"}"), ("", "[3]")];
        for (format, text, expected) in [(Format::Sse, sse, &expected[..]), (Format::Lines, lines, &in_lines[..])] {
            let expected: Vec<(String, String)> = expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            let bytes = text.as_bytes();
            assert_eq!(read(format, &[bytes]), expected);
            assert_eq!(read(format, &bytes.chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
            for at in 0..bytes.len() {
                assert_eq!(read(format, &[&bytes[..at], &bytes[at..]]), expected, "cut at {at}");
            }
        }
    }
}
