//! run_if and skip_if.

use serde::Deserialize;
use serde_json::Value;

use crate::values::data::Data;
use crate::values::node::{Node, Scope};
use crate::values::value::{alike, is_in, truthy};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Truthy(Node),
    Equals(Node, Node),
    In(Node, Node),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

impl Condition {
    pub fn holds(&self, scope: &mut Scope, data: &mut Data) -> bool {
        // a placeholder without a value is null: false, and equal to nothing else
        let mut value = |node: &Node| node.value(scope, data).unwrap_or(Value::Null);
        match self {
            Condition::Truthy(node) => truthy(&value(node)),
            Condition::Equals(left, right) => alike(&value(left), &value(right)),
            Condition::In(needle, haystack) => {
                let needle = value(needle);
                is_in(&needle, &value(haystack))
            }
            Condition::Not(inner) => !inner.holds(scope, data),
            Condition::And(parts) => parts.iter().all(|part| part.holds(scope, data)),
            Condition::Or(parts) => parts.iter().any(|part| part.holds(scope, data)),
        }
    }
}
