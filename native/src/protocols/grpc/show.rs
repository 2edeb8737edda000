//! A message as JSON, in the words of Python's `json_format`: https://protobuf.dev/programming-guides/json/
//!
//! Fields stand under the names of the .proto file, those that are there first, then those at their default that can't be left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::plan::rpc::{Field, Kind, Many, Of, Rpc};
use crate::protocols::grpc::read::{Key, Tree, Value, Values, default_of, is_left_out, read};
use crate::protocols::grpc::wire::check;
use crate::values::value::{push_float, push_json_string};

const DAY_S: i64 = 86_400;
const MOST_DURATION_S: i64 = 315_576_000_000; // of duration.proto, as the times below are of timestamp.proto
const YEAR_1_S: i64 = -62_135_596_800;
const YEAR_9999_S: i64 = 253_402_300_799;
const NANOS: i64 = 1_000_000_000;

/// The message holds what JSON can't say: a time out of range, an Any of a type that nobody knows.
#[derive(Debug, PartialEq)]
pub struct Unsayable;

type Said = Result<(), Unsayable>;

pub fn push(out: &mut String, rpc: &Rpc, tree: &Tree) -> Said {
    let shape = &rpc.messages[tree.shape];
    match shape.kind {
        Kind::Usual => {
            out.push('{');
            push_fields(out, rpc, tree, true)?;
            out.push('}');
        }
        Kind::Wrapper => push_value(out, rpc, &shape.fields[0], &one_of(rpc, tree, 0))?,
        Kind::Timestamp => push_timestamp(out, rpc, tree)?,
        Kind::Duration => push_duration(out, rpc, tree)?,
        Kind::Mask => push_mask(out, tree)?,
        Kind::Any => push_any(out, rpc, tree)?,
        Kind::Struct => match tree.values.first() {
            Some((at, Values::Map(map))) => {
                let value = value_of_map(rpc, &shape.fields[*at])?;
                push_map(out, rpc, value, &map.entries)?;
            }
            _ => out.push_str("{}"),
        },
        Kind::List => match tree.values.first() {
            Some((at, Values::List(list))) => push_list(out, rpc, &shape.fields[*at], list)?,
            _ => out.push_str("[]"),
        },
        Kind::Value => match tree.values.first() {
            Some((_, Values::One(Value::Double(number)))) if !number.is_finite() => return Err(Unsayable),
            Some((at, Values::One(value))) => push_value(out, rpc, &shape.fields[*at], value)?,
            _ => out.push_str("null"),
        },
    }
    Ok(())
}

/// `is_first`: nothing stands before them.
fn push_fields(out: &mut String, rpc: &Rpc, tree: &Tree, mut is_first: bool) -> Said {
    let shape = &rpc.messages[tree.shape];
    let is_there = |at: usize, values: &Values| match values {
        Values::One(value) => !is_left_out(&shape.fields[at], value),
        Values::List(list) => !list.is_empty(),
        Values::Map(map) => !map.entries.is_empty(),
    };
    let mut there: Vec<&(usize, Values)> = tree.values.iter().filter(|(at, values)| is_there(*at, values)).collect();
    there.sort_by_key(|(at, _)| shape.fields[*at].number);
    let mut begin = |out: &mut String, field: &Field| {
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        push_json_string(out, &field.name);
        out.push(':');
    };
    for (at, values) in &there {
        let field = &shape.fields[*at];
        begin(out, field);
        match values {
            Values::One(value) => push_value(out, rpc, field, value)?,
            Values::List(list) => push_list(out, rpc, field, list)?,
            Values::Map(map) => push_map(out, rpc, value_of_map(rpc, field)?, &map.entries)?,
        }
    }
    for (at, field) in shape.fields.iter().enumerate() {
        if field.presence || there.iter().any(|(one, _)| *one == at) {
            continue;
        }
        begin(out, field);
        match field.many {
            Many::One => push_value(out, rpc, field, &default_of(rpc, field.of))?,
            Many::List => out.push_str("[]"),
            Many::Map => out.push_str("{}"),
        }
    }
    Ok(())
}

fn push_list(out: &mut String, rpc: &Rpc, field: &Field, list: &[Value]) -> Said {
    out.push('[');
    for (index, value) in list.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_value(out, rpc, field, value)?;
    }
    out.push(']');
    Ok(())
}

fn value_of_map<'r>(rpc: &'r Rpc, field: &Field) -> Result<&'r Field, Unsayable> {
    let Of::Message(entry) = field.of else { return Err(Unsayable) };
    rpc.messages[entry].fields.iter().find(|one| one.number == 2).ok_or(Unsayable)
}

fn push_map(out: &mut String, rpc: &Rpc, field: &Field, entries: &[(Key, Value)]) -> Said {
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match key {
            Key::Signed(number) => push_json_string(out, &number.to_string()),
            Key::Unsigned(number) => push_json_string(out, &number.to_string()),
            Key::Bool(flag) => push_json_string(out, if *flag { "true" } else { "false" }),
            Key::Text(text) => push_json_string(out, &String::from_utf8_lossy(text)),
        }
        out.push(':');
        push_value(out, rpc, field, value)?;
    }
    out.push('}');
    Ok(())
}

fn push_value(out: &mut String, rpc: &Rpc, field: &Field, value: &Value) -> Said {
    let is_long = matches!(field.of, Of::Int64 | Of::Uint64 | Of::Sint64 | Of::Fixed64 | Of::Sfixed64);
    match value {
        Value::Signed(number) if is_long => out.push_str(&format!("\"{number}\"")),
        Value::Unsigned(number) if is_long => out.push_str(&format!("\"{number}\"")),
        Value::Signed(number) => out.push_str(&number.to_string()),
        Value::Unsigned(number) => out.push_str(&number.to_string()),
        Value::Float(number) => push_number(out, if number.is_finite() { shortest(*number) } else { (*number).into() }),
        Value::Double(number) => push_number(out, *number),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Text(text) => push_json_string(out, &String::from_utf8_lossy(text)),
        Value::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        Value::Enum(number) => {
            let Of::Enum(names) = field.of else { return Err(Unsayable) };
            let names = &rpc.enums[names];
            match names.of(*number) {
                _ if names.null => out.push_str("null"),
                Some(name) => push_json_string(out, name),
                None => out.push_str(&number.to_string()),
            }
        }
        Value::Message(tree) => push(out, rpc, tree)?,
    }
    Ok(())
}

fn push_number(out: &mut String, number: f64) {
    if number.is_finite() {
        return push_float(out, number);
    }
    out.push_str(match number {
        _ if number.is_nan() => "\"NaN\"",
        _ if number < 0.0 => "\"-Infinity\"",
        _ => "\"Infinity\"",
    });
}

/// The number of the fewest digits, six at least, that is the same in four bytes: `type_checkers.ToShortestFloat`.
fn shortest(number: f32) -> f64 {
    let wide = f64::from(number);
    (5..17).filter_map(|digits| format!("{wide:.digits$e}").parse::<f64>().ok()).find(|found| *found as f32 == number).unwrap_or(wide)
}

/// A field's value, or its default.
fn one_of<'t>(rpc: &Rpc, tree: &'t Tree, at: usize) -> Value<'t> {
    match tree.value(at) {
        Some(Value::Signed(number)) => Value::Signed(*number),
        Some(Value::Unsigned(number)) => Value::Unsigned(*number),
        Some(Value::Float(number)) => Value::Float(*number),
        Some(Value::Double(number)) => Value::Double(*number),
        Some(Value::Bool(flag)) => Value::Bool(*flag),
        Some(Value::Text(text)) => Value::Text(text),
        Some(Value::Bytes(bytes)) => Value::Bytes(bytes),
        _ => default_of(rpc, rpc.messages[tree.shape].fields[at].of),
    }
}

/// The whole number in the field with this number of its own.
fn number_at(rpc: &Rpc, tree: &Tree, number: u32) -> i64 {
    let found = rpc.messages[tree.shape].at(number).and_then(|at| tree.value(at));
    if let Some(Value::Signed(number)) = found { *number } else { 0 }
}

fn push_timestamp(out: &mut String, rpc: &Rpc, tree: &Tree) -> Said {
    let (seconds, nanos) = (number_at(rpc, tree, 1), number_at(rpc, tree, 2));
    if !(YEAR_1_S..=YEAR_9999_S).contains(&seconds) || !(0..NANOS).contains(&nanos) {
        return Err(Unsayable);
    }
    let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = date_of(days);
    out.push_str(&format!("\"{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60));
    push_nanos(out, nanos);
    out.push_str("Z\"");
    Ok(())
}

/// Of a day since 1970: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Three, six or nine digits, or none.
fn push_nanos(out: &mut String, nanos: i64) {
    match nanos {
        0 => {}
        _ if nanos % 1_000_000 == 0 => out.push_str(&format!(".{:03}", nanos / 1_000_000)),
        _ if nanos % 1_000 == 0 => out.push_str(&format!(".{:06}", nanos / 1_000)),
        _ => out.push_str(&format!(".{nanos:09}")),
    }
}

fn push_duration(out: &mut String, rpc: &Rpc, tree: &Tree) -> Said {
    let (seconds, nanos) = (number_at(rpc, tree, 1), number_at(rpc, tree, 2));
    let is_odd = (nanos < 0 && seconds > 0) || (nanos > 0 && seconds < 0);
    if !(-MOST_DURATION_S..=MOST_DURATION_S).contains(&seconds) || nanos.abs() >= NANOS || is_odd {
        return Err(Unsayable);
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    out.push_str(&format!("\"{sign}{}", seconds.abs()));
    push_nanos(out, nanos.abs());
    out.push_str("s\"");
    Ok(())
}

fn push_mask(out: &mut String, tree: &Tree) -> Said {
    let Some((_, Values::List(paths))) = tree.values.first() else {
        out.push_str("\"\"");
        return Ok(());
    };
    let mut written = Vec::with_capacity(paths.len());
    for path in paths {
        let Value::Text(path) = path else { return Err(Unsayable) };
        let mut camel = String::new();
        let mut is_behind = false;
        for letter in String::from_utf8_lossy(path).chars() {
            match letter {
                _ if letter.is_uppercase() => return Err(Unsayable),
                _ if is_behind && letter.is_lowercase() => {
                    camel.extend(letter.to_uppercase());
                    is_behind = false;
                }
                _ if is_behind => return Err(Unsayable),
                '_' => is_behind = true,
                _ => camel.push(letter),
            }
        }
        if is_behind {
            return Err(Unsayable);
        }
        written.push(camel);
    }
    push_json_string(out, &written.join(","));
    Ok(())
}

fn push_any(out: &mut String, rpc: &Rpc, tree: &Tree) -> Said {
    let field = |number| rpc.messages[tree.shape].at(number).map(|at| one_of(rpc, tree, at));
    let (Some(Value::Text(url)), Some(Value::Bytes(bytes))) = (field(1), field(2)) else { return Err(Unsayable) };
    if url.is_empty() && bytes.is_empty() {
        out.push_str("{}");
        return Ok(());
    }
    let url = std::str::from_utf8(url).map_err(|_| Unsayable)?;
    let name = url.rsplit('/').next().unwrap_or_default();
    let shape = rpc.messages.iter().position(|shape| shape.name == name).ok_or(Unsayable)?;
    check(rpc, shape, bytes).map_err(|_| Unsayable)?;
    let held = read(rpc, shape, bytes).map_err(|_| Unsayable)?;
    out.push_str("{\"@type\":");
    push_json_string(out, url);
    if rpc.messages[shape].kind == Kind::Usual {
        push_fields(out, rpc, &held, false)?;
    } else {
        out.push_str(",\"value\":");
        push(out, rpc, &held)?;
    }
    out.push('}');
    Ok(())
}
