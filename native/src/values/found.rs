//! The value at a path of a JSON text, without a tree of all of it; the whole text is read, so that it is known to be JSON.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The text is not JSON that this reader knows.
#[derive(Debug, PartialEq)]
pub struct NoJson;

/// Deeper JSON counts as none, as in `loadflow/engine/protocols/running/json_body.py`.
const MOST_LEVELS: usize = 500;

/// Values are read by recursion, so this is asked first; few texts have enough brackets to need a check of each one.
fn is_too_deep(text: &str) -> bool {
    let opens = memchr::memchr2_iter(b'[', b'{', text.as_bytes());
    text.len() > MOST_LEVELS && opens.take(MOST_LEVELS + 1).count() > MOST_LEVELS && levels(text) > MOST_LEVELS
}

/// How deeply JSON is nested.
fn levels(text: &str) -> usize {
    let (mut level, mut most) = (0usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        most = most.max(level);
    }
    most
}

/// A path as `json_path.parts_of` cuts it.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Vec<PartPlan>")]
pub struct Path {
    parts: Vec<(Option<String>, Option<i64>)>,
}

/// A place in a list; a key, which is such a place too if it is a whole number; a key and nothing else.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum PartPlan {
    Place(i64),
    Either(String),
    Key([String; 1]),
}

impl From<Vec<PartPlan>> for Path {
    fn from(parts: Vec<PartPlan>) -> Self {
        let read = |part: PartPlan| match part {
            PartPlan::Place(place) => (None, Some(place)),
            PartPlan::Either(text) => {
                let place = index(&text);
                (Some(text), place)
            }
            PartPlan::Key([text]) => (Some(text), None),
        };
        Path { parts: parts.into_iter().map(read).collect() }
    }
}

impl Path {
    /// Ok(None): nothing at the path.
    pub fn find(&self, text: &str) -> Result<Option<Value>, NoJson> {
        if is_too_deep(text) {
            return Err(NoJson);
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.disable_recursion_limit();
        let found = At(&self.parts).deserialize(&mut reader).map_err(|_| NoJson)?;
        reader.end().map_err(|_| NoJson)?;
        found.map(|raw| value_of(raw.get())).transpose()
    }
}

fn index(part: &str) -> Option<i64> {
    let digits = part.strip_prefix('-').unwrap_or(part);
    let fits = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| part.parse().ok()).flatten()
}

fn value_of(raw: &str) -> Result<Value, NoJson> {
    let read = |raw: &str| {
        let mut reader = serde_json::Deserializer::from_str(raw);
        reader.disable_recursion_limit(); // its levels were counted when all of the text was read
        Value::deserialize(&mut reader)
    };
    read(raw).or_else(|_| read(&without_halves(raw))).map_err(|_| NoJson)
}

/// Half a surrogate pair is not a character; Python keeps it, here `value::HALF` stands for it.
fn without_halves(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let length = match unit(escape) {
            Some(0xd800..0xdc00) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                out.push_str("\\udbff\\udffe");
                rest = &escape[6..];
                continue;
            }
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}

struct At<'p>(&'p [(Option<String>, Option<i64>)]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return <&RawValue>::deserialize(reader).map(Some);
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, text: &mut fmt::Formatter) -> fmt::Result {
        text.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (name, _) = &self.0[0];
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(name.as_deref()))? {
            if is_it {
                found = map.next_value_seed(At(&self.0[1..]))?; // of several the last counts
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0[0].1;
        let rest = &self.0[1..];
        let Some(wanted) = wanted.filter(|index| *index < 0) else {
            let mut found = None;
            let mut at = 0;
            loop {
                let more = if Some(at) == wanted {
                    items.next_element_seed(At(rest))?.map(|value| found = value)
                } else {
                    items.next_element::<IgnoredAny>()?.map(drop)
                };
                if more.is_none() {
                    return Ok(found);
                }
                at += 1;
            }
        };
        // from the end: only then is known which one it is
        let mut all: Vec<&'de RawValue> = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        let Some(raw) = (all.len() as i64).checked_add(wanted).and_then(|at| all.get(usize::try_from(at).ok()?)) else {
            return Ok(None);
        };
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        reader.disable_recursion_limit();
        At(rest).deserialize(&mut reader).map_err(serde::de::Error::custom)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is this name, without a copy of it.
struct Is<'n>(Option<&'n str>);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, text: &mut fmt::Formatter) -> fmt::Result {
        text.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(Some(key) == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.split('.').map(|part| PartPlan::Either(part.to_owned())).collect::<Vec<_>>().into()
    }

    #[test]
    fn a_path_finds_what_python_finds() {
        let text = r#"{"items":[{"id":7},{"id":8}],"a":{"0":"zero"},"n":null,"twice":1,"twice":2,"deep":[[1,2],[3]],"x":5}"#;
        for (parts, found) in [
            ("items.0.id", Some("7")),
            ("items.-1.id", Some("8")),
            ("items.2.id", None),
            ("items.-3", None),
            ("a.0", Some("\"zero\"")),
            ("n", Some("null")),
            ("n.more", None),
            ("x.more", None),
            ("twice", Some("2")),
            ("deep.-1.-1", Some("3")),
            ("nothing", None),
            ("items.x", None),
        ] {
            let value = path(parts).find(text).unwrap();
            assert_eq!(value.map(|value| value.to_string()).as_deref(), found, "{parts}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_apart_from_nothing() {
        for text in ["", "{", "{\"a\":1} x", "[1,]", "{\"a\":nul}", "<html>"] {
            assert!(path("a").find(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_may_be_nested_so_deeply_and_no_more_whichever_part_is_asked_for() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let inmost = ["a"; 400].join(".");
        assert_eq!(path(&inmost).find(&nested(400)).unwrap(), Some(Value::from(1)));
        assert!(path("a").find(&nested(MOST_LEVELS)).unwrap().is_some());
        for levels in [MOST_LEVELS + 1, 200_000] {
            for text in [nested(levels), format!(r#"{{"a":1,"b":{}}}"#, nested(levels)), "[".repeat(levels)] {
                assert_eq!(path("a").find(&text), Err(NoJson));
            }
        }
        let texts = format!(r#"{{"b":"{}\"[","a":1}}"#, "[".repeat(1000));
        assert_eq!(path("a").find(&texts).unwrap(), Some(Value::from(1)));
    }

    #[test]
    fn half_a_surrogate_pair_is_kept_as_one_that_can_not_be_sent() {
        let found = path("a").find(r#"{"a":"x\ud800\\ud800\ud83d\ude00","b":"\udc00"}"#).unwrap().unwrap();
        assert_eq!(found, Value::String(format!("x{}\\ud800😀", crate::values::value::HALF)));
    }
}
