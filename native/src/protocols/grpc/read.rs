//! A message as a tree of its values; its bytes have been checked.

use std::collections::HashMap;

use crate::plan::rpc::{Field, Many, Of, Rpc};
use crate::protocols::grpc::wire::{Bad, Fields, Held, MOST_LEVELS, each_packed, is_for};

#[derive(Debug)]
pub struct Tree<'a> {
    pub shape: usize,
    /// By the places of their fields.
    pub values: Vec<(usize, Values<'a>)>,
}

#[derive(Debug)]
pub enum Values<'a> {
    One(Value<'a>),
    List(Vec<Value<'a>>),
    Map(Map<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
    Text(&'a [u8]),
}

#[derive(Debug, Default)]
pub struct Map<'a> {
    pub entries: Vec<(Key<'a>, Value<'a>)>,
    places: HashMap<Key<'a>, usize>,
}

#[derive(Debug)]
pub enum Value<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Bool(bool),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Enum(i32),
    Message(Tree<'a>),
}

pub fn read<'a>(rpc: &Rpc, shape: usize, bytes: &'a [u8]) -> Result<Tree<'a>, Bad> {
    let mut tree = Tree { shape, values: Vec::new() };
    read_into(rpc, &mut tree, bytes, MOST_LEVELS)?;
    Ok(tree)
}

fn read_into<'a>(rpc: &Rpc, tree: &mut Tree<'a>, bytes: &'a [u8], levels: usize) -> Result<(), Bad> {
    let shape = &rpc.messages[tree.shape];
    let mut fields = Fields::new(bytes, levels);
    while let Some((number, held)) = fields.next()? {
        let Some(at) = shape.at(number) else { continue };
        let field = &shape.fields[at];
        if !is_for(field.of, field.many, held) {
            continue;
        }
        match field.many {
            Many::One => {
                if let (Of::Message(inner) | Of::Group(inner), Held::Bytes(within) | Held::Group(within)) = (field.of, held) {
                    // parts of one message may come in several pieces
                    let slot = tree.slot(at, || Values::One(Value::Message(Tree { shape: inner, values: Vec::new() })));
                    if let Values::One(Value::Message(found)) = slot {
                        read_into(rpc, found, within, levels.checked_sub(1).ok_or(Bad)?)?;
                    }
                } else {
                    let Some(value) = value_of(rpc, field, held, levels)? else { continue };
                    match tree.values.iter_mut().find(|(one, _)| *one == at) {
                        Some((_, slot)) => *slot = Values::One(value),
                        None => tree.values.push((at, Values::One(value))),
                    }
                }
                if let Some(oneof) = field.oneof {
                    tree.values.retain(|(one, _)| *one == at || shape.fields[*one].oneof != Some(oneof));
                }
            }
            Many::List => {
                let mut found = Vec::new();
                let is_packed = !matches!(field.of, Of::String | Of::Bytes | Of::Message(_) | Of::Group(_));
                match held {
                    Held::Bytes(packed) if is_packed => {
                        each_packed(field.of, packed, |one| found.extend(number_of(rpc, field.of, one)))?;
                    }
                    held => found.extend(value_of(rpc, field, held, levels)?),
                }
                if let Values::List(list) = tree.slot(at, || Values::List(Vec::new())) {
                    list.append(&mut found);
                }
            }
            Many::Map => {
                let (Of::Message(inner), Held::Bytes(within)) = (field.of, held) else { continue };
                let Some((key, value)) = entry_of(rpc, inner, within, levels.checked_sub(1).ok_or(Bad)?)? else { continue };
                if let Values::Map(map) = tree.slot(at, || Values::Map(Map::default())) {
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

impl<'a> Tree<'a> {
    fn slot(&mut self, at: usize, new: impl FnOnce() -> Values<'a>) -> &mut Values<'a> {
        let place = match self.values.iter().rposition(|(one, _)| *one == at) {
            Some(place) => place,
            None => {
                self.values.push((at, new()));
                self.values.len() - 1
            }
        };
        &mut self.values[place].1
    }

    pub fn value(&self, at: usize) -> Option<&Value<'a>> {
        self.values.iter().find(|(one, _)| *one == at).and_then(|(_, values)| match values {
            Values::One(value) => Some(value),
            _ => None,
        })
    }
}

impl<'a> Map<'a> {
    fn insert(&mut self, key: Key<'a>, value: Value<'a>) {
        match self.places.get(&key) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(key, self.entries.len());
                self.entries.push((key, value));
            }
        }
    }
}

/// None: an enum's value that counts as a field that nobody knows.
fn entry_of<'a>(rpc: &Rpc, shape: usize, bytes: &'a [u8], levels: usize) -> Result<Option<(Key<'a>, Value<'a>)>, Bad> {
    let fields = &rpc.messages[shape].fields;
    let mut parts = Fields::new(bytes, levels);
    let (mut key, mut value) = (None, None);
    while let Some((number, held)) = parts.next()? {
        let Some(field) = rpc.messages[shape].at(number).map(|at| &fields[at]) else { continue };
        if !is_for(field.of, field.many, held) {
            continue;
        }
        let found = value_of(rpc, field, held, levels)?;
        match number {
            1 => key = found,
            _ if found.is_none() => return Ok(None),
            _ => value = found,
        }
    }
    let key_field = fields.iter().find(|field| field.number == 1).ok_or(Bad)?;
    let value_field = fields.iter().find(|field| field.number == 2).ok_or(Bad)?;
    let key = match key.unwrap_or_else(|| default_of(rpc, key_field.of)) {
        Value::Signed(number) => Key::Signed(number),
        Value::Unsigned(number) => Key::Unsigned(number),
        Value::Bool(flag) => Key::Bool(flag),
        Value::Text(text) => Key::Text(text),
        _ => return Err(Bad),
    };
    Ok(Some((key, value.unwrap_or_else(|| default_of(rpc, value_field.of)))))
}

fn value_of<'a>(rpc: &Rpc, field: &Field, held: Held<'a>, levels: usize) -> Result<Option<Value<'a>>, Bad> {
    Ok(match (field.of, held) {
        (Of::Message(inner) | Of::Group(inner), Held::Bytes(within) | Held::Group(within)) => {
            let mut tree = Tree { shape: inner, values: Vec::new() };
            read_into(rpc, &mut tree, within, levels.checked_sub(1).ok_or(Bad)?)?;
            Some(Value::Message(tree))
        }
        (Of::String, Held::Bytes(text)) => Some(Value::Text(text)),
        (Of::Bytes, Held::Bytes(bytes)) => Some(Value::Bytes(bytes)),
        (of, held) => number_of(rpc, of, held),
    })
}

fn number_of<'a>(rpc: &Rpc, of: Of, held: Held<'a>) -> Option<Value<'a>> {
    Some(match (of, held) {
        (Of::Double, Held::Eight(bits)) => Value::Double(f64::from_bits(bits)),
        (Of::Float, Held::Four(bits)) => Value::Float(f32::from_bits(bits)),
        (Of::Fixed64, Held::Eight(bits)) => Value::Unsigned(bits),
        (Of::Sfixed64, Held::Eight(bits)) => Value::Signed(bits as i64),
        (Of::Fixed32, Held::Four(bits)) => Value::Unsigned(bits.into()),
        (Of::Sfixed32, Held::Four(bits)) => Value::Signed((bits as i32).into()),
        (Of::Int32, Held::Varint(bits)) => Value::Signed((bits as i32).into()),
        (Of::Int64, Held::Varint(bits)) => Value::Signed(bits as i64),
        (Of::Uint32, Held::Varint(bits)) => Value::Unsigned((bits as u32).into()),
        (Of::Uint64, Held::Varint(bits)) => Value::Unsigned(bits),
        (Of::Sint32, Held::Varint(bits)) => {
            let bits = bits as u32;
            Value::Signed(((bits >> 1) as i32 ^ -((bits & 1) as i32)).into())
        }
        (Of::Sint64, Held::Varint(bits)) => Value::Signed((bits >> 1) as i64 ^ -((bits & 1) as i64)),
        (Of::Bool, Held::Varint(bits)) => Value::Bool(bits != 0),
        (Of::Enum(names), Held::Varint(bits)) => {
            let (names, number) = (&rpc.enums[names], bits as i32);
            if names.closed && names.of(number).is_none() {
                return None;
            }
            Value::Enum(number)
        }
        _ => return None,
    })
}

pub fn default_of<'a>(rpc: &Rpc, of: Of) -> Value<'a> {
    match of {
        Of::Double => Value::Double(0.0),
        Of::Float => Value::Float(0.0),
        Of::Int32 | Of::Int64 | Of::Sint32 | Of::Sint64 | Of::Sfixed32 | Of::Sfixed64 => Value::Signed(0),
        Of::Uint32 | Of::Uint64 | Of::Fixed32 | Of::Fixed64 => Value::Unsigned(0),
        Of::Bool => Value::Bool(false),
        Of::String => Value::Text(b""),
        Of::Bytes => Value::Bytes(b""),
        // of a closed one, its first
        Of::Enum(names) => Value::Enum(rpc.enums[names].values.first().map_or(0, |(number, _)| *number)),
        Of::Message(shape) | Of::Group(shape) => Value::Message(Tree { shape, values: Vec::new() }),
    }
}

/// How many values there are: as `holds_more` of `loadflow/engine/protocols/grpc/reply.py` counts.
pub fn count(rpc: &Rpc, tree: &Tree) -> usize {
    let mut found = 0;
    for (at, values) in &tree.values {
        let field = &rpc.messages[tree.shape].fields[*at];
        match values {
            Values::One(value) if is_left_out(field, value) => {}
            Values::One(value) => found += 1 + within(rpc, value),
            Values::List(list) => found += list.len() + list.iter().map(|value| within(rpc, value)).sum::<usize>(),
            Values::Map(map) => found += map.entries.len() + map.entries.iter().map(|(_, value)| within(rpc, value)).sum::<usize>(),
        }
    }
    found
}

fn within(rpc: &Rpc, value: &Value) -> usize {
    if let Value::Message(tree) = value { count(rpc, tree) } else { 0 }
}

/// A field that can't be told from its default is not there where it has that.
pub fn is_left_out(field: &Field, value: &Value) -> bool {
    !field.presence
        && match value {
            Value::Signed(number) => *number == 0,
            Value::Unsigned(number) => *number == 0,
            Value::Float(number) => number.to_bits() == 0,
            Value::Double(number) => number.to_bits() == 0,
            Value::Bool(flag) => !flag,
            Value::Text(bytes) | Value::Bytes(bytes) => bytes.is_empty(),
            Value::Enum(number) => *number == 0,
            Value::Message(_) => false,
        }
}
