//! Compiled templates: what stands where a `${…}` was, and how it is filled in for one user.

use serde::Deserialize;
use serde_json::Value;

use crate::os::random::Rng;
use crate::values::data::Data;
use crate::values::value::{is_finite, push_json, push_json_string, push_text};

/// A JSON value of a step. Tokens carry their text as it stands in the script, for messages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    Static(Value),
    /// A user's variable: its place, its name, the token.
    Var(usize, String, String),
    Session(usize, String, String),
    /// source, column
    Csv(usize, usize),
    /// One of the values drawn before the load: the place of the pool.
    Faker(usize),
    Uuid,
    Now,
    Randint(i64, i64),
    /// A text of which placeholders are a part.
    Join(Vec<Node>),
    Obj(Vec<(String, Node)>),
    Arr(Vec<Node>),
    /// Never has a value: the message.
    Never(String),
}

/// The values of one virtual user, which no other user sees.
pub struct Scope {
    pub variables: Vec<Option<Value>>,
    pub session: Vec<Option<Value>>,
    /// The row of each source that this step has taken.
    pub rows: Vec<Option<usize>>,
    /// A source that hands each row out once had none left for this user.
    pub out_of_rows: bool,
    pub rng: Rng,
}

impl Scope {
    /// Where a value lies that a step extracts.
    pub fn kept_at(&mut self, session: bool, place: usize) -> &mut Option<Value> {
        if session { &mut self.session[place] } else { &mut self.variables[place] }
    }
}

/// The message of a placeholder without a value.
#[derive(Debug, PartialEq)]
pub struct Missing(pub String);

pub type Filled<T> = Result<T, Missing>;

impl Node {
    pub fn as_static(&self) -> Option<&Value> {
        match self {
            Node::Static(value) => Some(value),
            _ => None,
        }
    }

    /// The value with its own type.
    pub fn value(&self, scope: &mut Scope, data: &mut Data) -> Filled<Value> {
        Ok(match self {
            Node::Static(value) => value.clone(),
            Node::Var(..) | Node::Session(..) => self.kept(scope)?.clone(),
            Node::Csv(source, column) => Value::String(data.cell(scope, *source, *column)?.to_owned()),
            Node::Faker(pool) => data.fake(*pool, &mut scope.rng).clone(),
            Node::Uuid => Value::String(scope.rng.uuid4()),
            Node::Now => Value::String(data.now().to_owned()),
            Node::Randint(low, high) => Value::from(scope.rng.between(*low, *high)),
            Node::Join(_) => {
                let mut text = String::new();
                self.push_text(&mut text, scope, data)?;
                Value::String(text)
            }
            Node::Obj(fields) => {
                let mut made = serde_json::Map::with_capacity(fields.len());
                for (key, node) in fields {
                    made.insert(key.clone(), node.value(scope, data)?);
                }
                Value::Object(made)
            }
            Node::Arr(items) => Value::Array(items.iter().map(|item| item.value(scope, data)).collect::<Filled<_>>()?),
            Node::Never(message) => return Err(Missing(message.clone())),
        })
    }

    /// As it stands inside of a longer string.
    pub fn push_text(&self, out: &mut String, scope: &mut Scope, data: &mut Data) -> Filled<()> {
        match self {
            Node::Static(value) => push_text(out, value),
            Node::Var(..) | Node::Session(..) => push_text(out, self.kept(scope)?),
            Node::Csv(source, column) => out.push_str(data.cell(scope, *source, *column)?),
            Node::Faker(pool) => push_text(out, data.fake(*pool, &mut scope.rng)),
            Node::Uuid => out.push_str(&scope.rng.uuid4()),
            Node::Now => out.push_str(data.now()),
            Node::Randint(low, high) => out.push_str(&scope.rng.between(*low, *high).to_string()),
            Node::Join(parts) => {
                for part in parts {
                    part.push_text(out, scope, data)?;
                }
            }
            Node::Obj(_) | Node::Arr(_) => self.push_json(out, scope, data)?,
            Node::Never(message) => return Err(Missing(message.clone())),
        }
        Ok(())
    }

    /// As JSON, compact.
    pub fn push_json(&self, out: &mut String, scope: &mut Scope, data: &mut Data) -> Filled<()> {
        match self {
            Node::Static(value) => push_json(out, value),
            Node::Var(..) | Node::Session(..) => push_json(out, self.kept(scope)?),
            Node::Faker(pool) => push_json(out, data.fake(*pool, &mut scope.rng)),
            Node::Randint(..) => self.push_text(out, scope, data)?,
            Node::Obj(fields) => {
                out.push('{');
                for (index, (key, node)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_json_string(out, key);
                    out.push(':');
                    node.push_json(out, scope, data)?;
                }
                out.push('}');
            }
            Node::Arr(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.push_json(out, scope, data)?;
                }
                out.push(']');
            }
            _ => {
                let mut text = String::new();
                self.push_text(&mut text, scope, data)?;
                push_json_string(out, &text);
            }
        }
        Ok(())
    }

    /// Whether it stands for null now; only a kept value can change between that and another.
    pub fn is_null(&self, scope: &Scope) -> Filled<bool> {
        Ok(match self {
            Node::Static(value) => value.is_null(),
            Node::Var(..) | Node::Session(..) => self.kept(scope)?.is_null(),
            _ => false,
        })
    }

    /// Whether every number that it stands for now is one that JSON can hold; only a kept value can have another.
    pub fn is_finite(&self, scope: &Scope) -> Filled<bool> {
        let all = |found: bool, node: &Node| Ok(found && node.is_finite(scope)?);
        match self {
            Node::Var(..) | Node::Session(..) => self.kept(scope).map(is_finite),
            Node::Obj(fields) => fields.iter().map(|(_, node)| node).try_fold(true, all),
            Node::Arr(items) => items.iter().try_fold(true, all),
            _ => Ok(true),
        }
    }

    fn kept<'a>(&self, scope: &'a Scope) -> Filled<&'a Value> {
        match self {
            Node::Var(place, name, token) => scope.variables[*place].as_ref().ok_or_else(|| {
                Missing(format!("{token}: this user has no variable '{name}' now; register it, or let an earlier step extract it"))
            }),
            Node::Session(place, name, token) => scope.session[*place].as_ref().ok_or_else(|| {
                Missing(format!(
                    "{token}: this user has no session value '{name}' now; let an earlier step extract it with scope 'session'"
                ))
            }),
            _ => Err(Missing("not a kept value".into())),
        }
    }
}
