//! Patterns of scripts: RE2's syntax with RE2's meaning, matched by the `regex` crate, whose time is linear in the text too.
//!
//! The two read most patterns alike, but not all: `\d` is a class of Unicode here and of ASCII there, `[a&&b]` an intersection here
//! and four characters there. So a pattern is read as RE2 reads it (re2/parse.cc) and written down anew in words that can be taken
//! in one way only. What has no such words is refused by its name, and Locust makes the load.

use std::fmt::Write;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

/// What a pattern may come to when it is compiled; RE2 refuses those that come to more than 8 MiB in its own reckoning.
const MOST_BYTES: usize = 32 << 20;

/// Over bytes, as RE2: `\B` also matches inside of a character. All else that is matched is whole characters.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// `pattern` is one that RE2 has taken. Err: which of its features is not taken here.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let words = rewritten(pattern)?;
        let compiled = RegexBuilder::new(&words).size_limit(MOST_BYTES).build();
        compiled.map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "its size".into(),
            error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })
    }

    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// What the group holds in the first match; None where nothing matches, or the match leaves the group out.
    pub fn find(&self, text: &str, group: usize) -> Option<String> {
        let found = if group == 0 { self.0.find(text.as_bytes()) } else { self.0.captures(text.as_bytes())?.get(group) };
        found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Pattern::new(&String::deserialize(reader)?).map_err(serde::de::Error::custom)
    }
}

/// The same pattern for the `regex` crate.
fn rewritten(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(2 * pattern.len());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '\\' => escape(rest, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' => group(rest, &mut out)?,
            '{' => repetition(rest, &mut out),
            '*' | '+' | '?' | '|' | ')' | '^' | '$' | '.' => {
                out.push(first);
                &rest[1..]
            }
            _ => {
                push_literal(&mut out, first);
                &rest[first.len_utf8()..]
            }
        };
    }
    Ok(out)
}

/// Outside of brackets.
fn escape<'p>(rest: &'p str, out: &mut String) -> Result<&'p str, String> {
    if let Some(after) = set(rest, out)? {
        return Ok(after);
    }
    let letter = rest[1..].chars().next();
    let known = match letter {
        Some('b') => r"(?-u:\b)", // ASCII's, in a bracket of its own: `\b{start}` would be another thing
        Some('B') => r"(?-u:\B)",
        Some('A') => r"\A",
        Some('z') => r"\z",
        Some('Q') => {
            let text = &rest[2..];
            let (quoted, after) = text.split_once(r"\E").unwrap_or((text, ""));
            quoted.chars().for_each(|one| push_literal(out, one));
            return Ok(after);
        }
        _ => {
            let (one, after) = character(rest)?;
            push_literal(out, one);
            return Ok(after);
        }
    };
    out.push_str(known);
    Ok(&rest[2..])
}

/// One of many characters, `\d` or `\p{Greek}`, in brackets or not.
fn set<'p>(rest: &'p str, out: &mut String) -> Result<Option<&'p str>, String> {
    let known = match rest[1..].chars().next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('s') => r"[\t\n\f\r ]", // without \v
        Some('S') => r"[^\t\n\f\r ]",
        Some('p' | 'P') => return Err(r"\p".into()), // of another version of Unicode, and `\p{C}` of another meaning
        _ => return Ok(None),
    };
    out.push_str(known);
    Ok(Some(&rest[2..]))
}

/// A plain character or an escaped one, and what follows it.
fn character(rest: &str) -> Result<(char, &str), String> {
    let mut following = rest.chars();
    let first = following.next().unwrap_or_default();
    if first != '\\' {
        return Ok((first, following.as_str()));
    }
    let letter = following.next().unwrap_or_default();
    let after = following.as_str();
    let (number, after) = match letter {
        'a' => return Ok(('\x07', after)),
        'f' => return Ok(('\x0c', after)),
        'n' => return Ok(('\n', after)),
        'r' => return Ok(('\r', after)),
        't' => return Ok(('\t', after)),
        'v' => return Ok(('\x0b', after)),
        'x' => match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((digits, after)) => (u32::from_str_radix(digits, 16), after),
            None => (u32::from_str_radix(after.get(..2).unwrap_or_default(), 16), after.get(2..).unwrap_or_default()),
        },
        '0'..='7' => {
            let digits = rest[1..].bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            (u32::from_str_radix(&rest[1..=digits], 8), &rest[1 + digits..])
        }
        _ if letter.is_ascii_punctuation() || letter.is_ascii_control() || letter == ' ' => return Ok((letter, after)),
        _ => return Err(format!("\\{letter}")),
    };
    let made = number.ok().and_then(char::from_u32);
    made.map(|one| (one, after)).ok_or_else(|| format!("{}, which is not a character", &rest[..rest.len() - after.len()]))
}

/// A class in brackets: no class in a class, no operators between classes.
fn class<'p>(rest: &'p str, out: &mut String) -> Result<&'p str, String> {
    let mut rest = &rest[1..];
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_first = true;
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if rest.is_empty() {
            return Err("a class without an end".into());
        }
        if rest.starts_with("[:")
            && let Some(length) = rest[2..].find(":]").map(|at| at + 4)
        {
            out.push_str(&rest[..length]); // the names are the same
            rest = &rest[length..];
            continue;
        }
        if rest.starts_with('\\')
            && let Some(after) = set(rest, out)?
        {
            rest = after;
            continue;
        }
        let (low, after) = character(rest)?;
        push_literal(out, low);
        rest = after;
        if let Some(after) = rest.strip_prefix('-')
            && !after.starts_with(']')
            && !after.is_empty()
        {
            let (high, after) = character(after)?;
            out.push('-');
            push_literal(out, high);
            rest = after;
        }
    }
    out.push(']');
    Ok(&rest[1..])
}

/// An opening bracket with what it says of itself. Groups are known by their numbers alone.
fn group<'p>(rest: &'p str, out: &mut String) -> Result<&'p str, String> {
    let Some(about) = rest.strip_prefix("(?") else {
        out.push('(');
        return Ok(&rest[1..]);
    };
    if let Some(name) = about.strip_prefix("P<").or_else(|| about.strip_prefix('<')) {
        out.push('(');
        return name.split_once('>').map(|(_, after)| after).ok_or_else(|| "a group without a name".into());
    }
    let length = about.bytes().take_while(|byte| b"imsU-".contains(byte)).count();
    let (flags, after) = about.split_at(length);
    if flags.is_empty() && !after.starts_with(':') {
        return Err("(?)".into());
    }
    let _ = write!(out, "(?{flags}");
    Ok(after)
}

/// `{2,5}` repeats; a brace that does not is one.
fn repetition<'p>(rest: &'p str, out: &mut String) -> &'p str {
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let inner = rest[1..].split_once('}').filter(|(inner, _)| match inner.split_once(',') {
        None => is_number(inner),
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
    });
    match inner {
        Some((inner, after)) => {
            let _ = write!(out, "{{{inner}}}");
            after
        }
        None => {
            out.push_str(r"\{");
            &rest[1..]
        }
    }
}

fn push_literal(out: &mut String, one: char) {
    let mut buffer = [0; 4];
    out.push_str(&regex::escape(one.encode_utf8(&mut buffer)));
}
