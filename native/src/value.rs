//! JSON values with Python's meaning: how they are written, compared, held for true, and found by a path.

use serde_json::{Number, Value};

/// Stands for half a surrogate pair, which JSON may hold and UTF-8 can't: such a text can be kept, and not be sent.
pub const HALF: char = '\u{10fffe}';

/// How a value stands inside of a longer string: text as it is, all else as compact JSON.
pub fn push_text(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(text),
        _ => push_json(out, value),
    }
}

pub fn text_of(value: &Value) -> String {
    let mut out = String::new();
    push_text(&mut out, value);
    out
}

/// As `json.dumps(value, ensure_ascii=False, separators=(",", ":"))`.
pub fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => push_number(out, number),
        Value::String(text) => push_json_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_json(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, item)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_json_string(out, key);
                out.push(':');
                push_json(out, item);
            }
            out.push('}');
        }
    }
}

pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        done = at + 1;
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// A number as Python writes it: whole ones with all their digits, others as the shortest text that gives the same float.
fn push_number(out: &mut String, number: &Number) {
    let text = number.as_str();
    if is_whole(text) {
        out.push_str(if text == "-0" { "0" } else { text });
    } else {
        push_float(out, text.parse().unwrap_or(f64::NAN), "Infinity", "NaN");
    }
}

fn is_whole(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

fn push_float(out: &mut String, value: f64, infinity: &str, nan: &str) {
    if value.is_nan() {
        out.push_str(nan);
        return;
    }
    if value.is_infinite() {
        if value < 0.0 {
            out.push('-');
        }
        out.push_str(infinity);
        return;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{digits}e{sign}{:02}", exponent.abs()));
    }
}

/// As Python's `repr`, for messages.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    push_repr(&mut out, value);
    out
}

fn push_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(flag) => out.push_str(if *flag { "True" } else { "False" }),
        Value::Number(number) if is_whole(number.as_str()) => push_number(out, number),
        Value::Number(number) => push_float(out, number.as_str().parse().unwrap_or(f64::NAN), "inf", "nan"),
        Value::String(text) => push_repr_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, item)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_repr_text(out, key);
                out.push_str(": ");
                push_repr(out, item);
            }
            out.push('}');
        }
    }
}

fn push_repr_text(out: &mut String, text: &str) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for one in text.chars() {
        match one {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if one == mark => {
                out.push('\\');
                out.push(one);
            }
            _ if (one as u32) < 0x20 || (0x7f..=0xa0).contains(&(one as u32)) || one as u32 == 0xad => {
                out.push_str(&format!("\\x{:02x}", one as u32));
            }
            _ => out.push(one),
        }
    }
    out.push(mark);
}

/// The repr in a message: not too long.
pub fn shown(value: &Value) -> String {
    cut(repr(value))
}

pub fn shown_text(text: &str) -> String {
    let mut out = String::new();
    push_repr_text(&mut out, text);
    cut(out)
}

const SHOWN: usize = 200;

fn cut(text: String) -> String {
    if text.len() <= SHOWN || text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}

/// JSON equality: true is not 1, at any depth; 1 is 1.0.
pub fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(one), Value::Number(other)) => same_number(one.as_str(), other.as_str()),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, a)| other.get(key).is_some_and(|b| same(a, b)))
        }
        _ => found == wanted,
    }
}

fn same_number(one: &str, other: &str) -> bool {
    if one == other || (is_whole(one) && is_whole(other)) {
        return one == other || (one.trim_start_matches('-') == "0" && other.trim_start_matches('-') == "0");
    }
    one.parse::<f64>().ok().zip(other.parse::<f64>().ok()).is_some_and(|(a, b)| a == b)
}

/// Python's truth, but for text: blank and the words false, 0, no, none, null (in any case) are false.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_str().parse::<f64>() != Ok(0.0),
        Value::String(text) => !matches!(text.trim().to_lowercase().as_str(), "" | "false" | "0" | "no" | "none" | "null"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Python's `needle in haystack`; false where Python raises TypeError.
pub fn is_in(needle: &Value, haystack: &Value) -> bool {
    match haystack {
        Value::String(text) => matches!(needle, Value::String(part) if text.contains(part.as_str())),
        Value::Array(items) => items.iter().any(|item| python_equal(item, needle)),
        Value::Object(fields) => matches!(needle, Value::String(key) if fields.contains_key(key)),
        _ => false,
    }
}

/// Python's `==`, where True is 1.
fn python_equal(one: &Value, other: &Value) -> bool {
    let as_number = |value: &Value| match value {
        Value::Bool(flag) => Some(if *flag { "1" } else { "0" }.to_owned()),
        Value::Number(number) => Some(number.as_str().to_owned()),
        _ => None,
    };
    match (as_number(one), as_number(other)) {
        (Some(a), Some(b)) => same_number(&a, &b),
        _ => same(one, other),
    }
}

/// `float(value)` of Python for a number or a text; None where it raises.
pub fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(*flag)),
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (json, python) in [
            ("1", "1"),
            ("-0", "0"),
            ("1.0", "1.0"),
            ("1.50", "1.5"),
            ("1e2", "100.0"),
            ("1e16", "1e+16"),
            ("123456789012345680.0", "1.2345678901234568e+17"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e999", "Infinity"),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            assert_eq!(text_of(&value(json)), python, "{json}");
        }
    }

    #[test]
    fn equality_knows_json_kinds() {
        for (one, other, equal) in [
            ("1", "1.0", true),
            ("true", "1", false),
            ("[1,{\"a\":2}]", "[1.0,{\"a\":2}]", true),
            ("\"1\"", "1", false),
            ("12345678901234567890", "12345678901234567891", false),
            ("null", "null", true),
        ] {
            assert_eq!(same(&value(one), &value(other)), equal, "{one} {other}");
        }
    }

    #[test]
    fn texts_are_shown_as_python_shows_them() {
        for (text, python) in [("a", "'a'"), ("it's", "\"it's\""), ("\"'", "'\"\\''"), ("a\n\u{1}é", "'a\\n\\x01é'")] {
            assert_eq!(shown_text(text), python);
        }
    }
}
