//! JSON as a message: its usual forms. What is unusual, or wrong, Python looks at: protobuf's own reader of JSON decides.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::plan::rpc::{Field, Kind, Many, Of, Rpc};
use crate::values::value::HALF;

/// Python's limit is one more.
const MOST_LEVELS: usize = 90;

/// Not of a form that is written here.
#[derive(Debug, PartialEq)]
pub struct Unusual;

pub fn push(out: &mut Vec<u8>, rpc: &Rpc, shape: usize, json: &Value) -> Result<(), Unusual> {
    let Value::Object(fields) = json else { return Err(Unusual) };
    push_message(out, rpc, shape, fields, MOST_LEVELS)
}

fn push_message(out: &mut Vec<u8>, rpc: &Rpc, at: usize, json: &Map<String, Value>, levels: usize) -> Result<(), Unusual> {
    let shape = &rpc.messages[at];
    if shape.kind != Kind::Usual || !shape.plain || levels == 0 {
        return Err(Unusual);
    }
    let mut found: Vec<(&Field, &Value)> = Vec::with_capacity(json.len());
    for (name, value) in json {
        let field = &shape.fields[shape.named(name).ok_or(Unusual)?];
        if value.is_null() {
            match field.of {
                Of::Message(inner) if rpc.messages[inner].kind == Kind::Value => return Err(Unusual),
                Of::Enum(names) if rpc.enums[names].null => return Err(Unusual),
                _ => {}
            }
        }
        let is_same = |one: &Field| one.number == field.number || (field.oneof.is_some() && one.oneof == field.oneof);
        if found.iter().any(|(one, _)| is_same(one)) {
            return Err(Unusual);
        }
        found.push((field, value));
    }
    found.sort_by_key(|(field, _)| field.number);
    for (field, value) in found.into_iter().filter(|(_, value)| !value.is_null()) {
        push_field(out, rpc, field, value, levels)?;
    }
    Ok(())
}

fn push_field(out: &mut Vec<u8>, rpc: &Rpc, field: &Field, value: &Value, levels: usize) -> Result<(), Unusual> {
    match (field.many, value) {
        (Many::One, value) => {
            let before = out.len();
            push_tag(out, field.number, kind_of(field.of));
            let begin = out.len();
            push_bare(out, rpc, field, value, levels)?;
            // what can't be told from its default is not sent where it has that: zeros, or a length of none
            if !field.presence && out[begin..].iter().all(|byte| *byte == 0) {
                out.truncate(before);
            }
        }
        (Many::List, Value::Array(items)) if field.packed && !items.is_empty() => {
            let mut packed = Vec::new();
            for item in items {
                push_bare(&mut packed, rpc, field, item, levels)?;
            }
            push_tag(out, field.number, 2);
            push_bytes(out, &packed);
        }
        (Many::List, Value::Array(items)) => {
            for item in items {
                push_tagged(out, rpc, field, item, levels)?;
            }
        }
        (Many::Map, Value::Object(entries)) => {
            let Of::Message(entry) = field.of else { return Err(Unusual) };
            let part = |number| rpc.messages[entry].fields.iter().find(|field| field.number == number).ok_or(Unusual);
            let (key_field, value_field) = (part(1)?, part(2)?);
            for (key, value) in entries {
                let key = match (key_field.of, key.as_str()) {
                    (Of::String, _) => Value::String(key.clone()),
                    (Of::Bool, "true") => Value::Bool(true),
                    (Of::Bool, "false") => Value::Bool(false),
                    (Of::Bool, _) => return Err(Unusual),
                    _ => Value::String(key.clone()), // numbers are read from text, too
                };
                let mut within = Vec::new();
                push_tagged(&mut within, rpc, key_field, &key, levels)?;
                push_tagged(&mut within, rpc, value_field, value, levels)?;
                push_tag(out, field.number, 2);
                push_bytes(out, &within);
            }
        }
        _ => return Err(Unusual),
    }
    Ok(())
}

fn kind_of(of: Of) -> u32 {
    match of {
        Of::Double | Of::Fixed64 | Of::Sfixed64 => 1,
        Of::Float | Of::Fixed32 | Of::Sfixed32 => 5,
        Of::String | Of::Bytes | Of::Message(_) => 2,
        _ => 0,
    }
}

fn push_tagged(out: &mut Vec<u8>, rpc: &Rpc, field: &Field, value: &Value, levels: usize) -> Result<(), Unusual> {
    push_tag(out, field.number, kind_of(field.of));
    push_bare(out, rpc, field, value, levels)
}

fn push_bare(out: &mut Vec<u8>, rpc: &Rpc, field: &Field, value: &Value, levels: usize) -> Result<(), Unusual> {
    match (field.of, value) {
        (Of::Message(inner), Value::Object(fields)) => {
            let mut within = Vec::new();
            push_message(&mut within, rpc, inner, fields, levels - 1)?;
            push_bytes(out, &within);
        }
        (Of::String, Value::String(text)) if text.is_ascii() || !text.contains(HALF) => push_bytes(out, text.as_bytes()),
        (Of::Bytes, Value::String(text)) => push_bytes(out, &STANDARD.decode(text).map_err(|_| Unusual)?),
        (Of::Bool, Value::Bool(flag)) => out.push((*flag).into()),
        (Of::Enum(names), Value::String(name)) => {
            let found = rpc.enums[names].values.iter().find(|(_, one)| one == name).ok_or(Unusual)?;
            push_varint(out, i64::from(found.0) as u64);
        }
        (Of::Enum(names), Value::Number(_)) => {
            let number = whole::<i32>(value)?;
            rpc.enums[names].of(number).ok_or(Unusual)?;
            push_varint(out, i64::from(number) as u64);
        }
        (Of::Double, Value::Number(_)) => out.extend_from_slice(&float(value)?.to_le_bytes()),
        (Of::Float, Value::Number(_)) => {
            let number = float(value)?;
            if number.abs() >= f64::from(f32::MAX) {
                return Err(Unusual);
            }
            out.extend_from_slice(&(number as f32).to_le_bytes());
        }
        (Of::Int32, _) => push_varint(out, i64::from(whole::<i32>(value)?) as u64),
        (Of::Int64, _) => push_varint(out, whole::<i64>(value)? as u64),
        (Of::Uint32, _) => push_varint(out, whole::<u32>(value)?.into()),
        (Of::Uint64, _) => push_varint(out, whole(value)?),
        (Of::Sint32, _) => {
            let number = whole::<i32>(value)?;
            push_varint(out, (((number << 1) ^ (number >> 31)) as u32).into());
        }
        (Of::Sint64, _) => {
            let number = whole::<i64>(value)?;
            push_varint(out, ((number << 1) ^ (number >> 63)) as u64);
        }
        (Of::Fixed32, _) => out.extend_from_slice(&whole::<u32>(value)?.to_le_bytes()),
        (Of::Fixed64, _) => out.extend_from_slice(&whole::<u64>(value)?.to_le_bytes()),
        (Of::Sfixed32, _) => out.extend_from_slice(&whole::<i32>(value)?.to_le_bytes()),
        (Of::Sfixed64, _) => out.extend_from_slice(&whole::<i64>(value)?.to_le_bytes()),
        _ => return Err(Unusual),
    }
    Ok(())
}

/// A whole number, or its digits as text, with nothing else in it.
fn whole<T: std::str::FromStr>(value: &Value) -> Result<T, Unusual> {
    let text = match value {
        Value::Number(number) => number.as_str(),
        Value::String(text) => text,
        _ => return Err(Unusual),
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain =
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if !is_plain || text == "-0" {
        return Err(Unusual);
    }
    text.parse().map_err(|_| Unusual)
}

fn float(value: &Value) -> Result<f64, Unusual> {
    let Value::Number(number) = value else { return Err(Unusual) };
    if number.as_str() == "-0" {
        return Ok(0.0); // a whole number, which has one zero
    }
    number.as_str().parse().ok().filter(|number: &f64| number.is_finite()).ok_or(Unusual)
}

fn push_tag(out: &mut Vec<u8>, number: u32, kind: u32) {
    push_varint(out, (number << 3 | kind).into());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
