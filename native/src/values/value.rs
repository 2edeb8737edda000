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
        push_float(out, text.parse().unwrap_or(f64::NAN));
    }
}

/// Of what is not finite.
pub const NOT_JSON: &str = "the JSON body would hold an infinite number or NaN, which JSON has not";

/// Whether every number in it is one that JSON can hold: `1e999` is read as an infinite one.
pub fn is_finite(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_whole(number.as_str()) || number.as_str().parse::<f64>().is_ok_and(f64::is_finite),
        Value::Array(items) => items.iter().all(is_finite),
        Value::Object(fields) => fields.values().all(is_finite),
        _ => true,
    }
}

/// Longer whole numbers are floats, and infinite: Python turns no text of more digits into a whole number.
pub const MOST_DIGITS: usize = 4300;

fn is_whole(text: &str) -> bool {
    text.len() <= MOST_DIGITS && !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

pub fn push_float(out: &mut String, value: f64) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value < 0.0 {
            "-Infinity"
        } else {
            "Infinity"
        });
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

/// A value in a message: compact JSON, not too long.
pub fn shown(value: &Value) -> String {
    let mut out = String::new();
    push_json(&mut out, value);
    cut(out)
}

pub fn shown_text(text: &str) -> String {
    let mut out = String::new();
    push_json_string(&mut out, text);
    cut(out)
}

pub const SHOWN: usize = 200;

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

/// Exact, as Python compares: 10^30 is not the float 1e30, which is 1000000000000000019884624838656.
fn same_number(one: &str, other: &str) -> bool {
    match (is_whole(one), is_whole(other)) {
        (true, true) => unsigned_zero(one) == unsigned_zero(other),
        (true, false) => whole_of(other).is_some_and(|whole| whole == unsigned_zero(one)),
        (false, true) => whole_of(one).is_some_and(|whole| whole == unsigned_zero(other)),
        (false, false) => one.parse::<f64>().ok().zip(other.parse::<f64>().ok()).is_some_and(|(a, b)| a == b),
    }
}

fn unsigned_zero(whole: &str) -> &str {
    if whole == "-0" { "0" } else { whole }
}

/// The digits of a float that is a whole number.
fn whole_of(float: &str) -> Option<String> {
    let value: f64 = float.parse().ok()?;
    let whole = value.is_finite() && value.fract() == 0.0;
    whole.then(|| if value == 0.0 { "0".to_owned() } else { format!("{value:.0}") })
}

/// What is cut off around words and numbers.
const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// Python's truth, but for text: blank and the words false, 0, no, none, null (in any case) are false.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_str().parse::<f64>() != Ok(0.0),
        Value::String(text) => !matches!(text.trim_matches(SPACES).to_lowercase().as_str(), "" | "false" | "0" | "no" | "none" | "null"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Equality in conditions: JSON's, and text equals a number or boolean that is written like it, a boolean in any case.
pub fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(text), value @ Value::Bool(_)) | (value @ Value::Bool(_), Value::String(text)) => {
            text.to_lowercase() == text_of(value)
        }
        (Value::String(text), value @ Value::Number(_)) | (value @ Value::Number(_), Value::String(text)) => *text == text_of(value),
        _ => same(one, other),
    }
}

/// Whether a list, or the keys of an object, hold something alike, or a text has the needle as a part; false for all else.
pub fn is_in(needle: &Value, haystack: &Value) -> bool {
    match (haystack, needle) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::String(text), Value::Number(_)) => text.contains(&text_of(needle)),
        (Value::String(text), Value::Bool(_)) => text.to_lowercase().contains(&text_of(needle)),
        (Value::Array(items), _) => items.iter().any(|item| alike(item, needle)),
        (Value::Object(fields), Value::String(key)) => fields.contains_key(key),
        (Value::Object(fields), Value::Number(_) | Value::Bool(_)) => fields.keys().any(|key| alike(&Value::String(key.clone()), needle)),
        _ => false,
    }
}

/// The number that a value is, or that its text says in decimal digits.
pub fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(text) => {
            let text = text.trim_matches(SPACES);
            let decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
            text.parse().ok().filter(|_| text.bytes().all(decimal))
        }
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
    fn no_number_past_a_float_is_finite_at_any_depth() {
        let digits = |count| "9".repeat(count);
        for (json, finite) in [
            ("1e308", true),
            ("-1e309", false),
            ("[{\"n\": [1, 1e999]}]", false),
            ("\"1e999\"", true),
            (&digits(MOST_DIGITS), true),
            (&digits(MOST_DIGITS + 1), false),
        ] {
            assert_eq!(is_finite(&value(json)), finite, "{json}");
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
            ("1000000000000000000000000000000", "1e30", false),
            ("1000000000000000019884624838656", "1e30", true),
            ("-0.0", "0", true),
        ] {
            assert_eq!(same(&value(one), &value(other)), equal, "{one} {other}");
        }
    }

    #[test]
    fn conditions_compare_text_with_what_is_written_like_it() {
        for (one, other, equal) in [
            ("\"5\"", "5", true),
            ("5", "\"5.0\"", false),
            ("1.50", "\"1.5\"", true),
            ("\"False\"", "false", true),
            ("true", "1", false),
            ("null", "\"null\"", false),
            ("[5]", "[\"5\"]", false),
        ] {
            assert_eq!(alike(&value(one), &value(other)), equal, "{one} {other}");
        }
    }

    #[test]
    fn values_are_shown_as_json() {
        for (text, shown) in [("a", "\"a\""), ("it's", "\"it's\""), ("a\n\u{1}é", "\"a\\n\\u0001é\"")] {
            assert_eq!(shown_text(text), shown);
        }
        assert_eq!(super::shown(&value("[true, null, 1.50]")), "[true,null,1.5]");
    }

    #[test]
    fn numbers_are_read_from_text_in_decimal_digits() {
        for (json, number) in [("200.0", Some(200.0)), ("\" 200 \"", Some(200.0)), ("\"inf\"", None), ("true", None), ("\"1_0\"", None)] {
            assert_eq!(number_of(&value(json)), number, "{json}");
        }
    }
}
