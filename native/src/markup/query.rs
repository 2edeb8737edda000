//! What an extract looks for, and a document that is looked at.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::markup::document::Document;
use crate::markup::evaluate::{TooMuch, evaluate, text_of_node};
use crate::markup::found::Found;
use crate::markup::program::Program;
use crate::markup::{Trouble, html, xml};

/// As `query.py` gives it.
#[derive(Debug, Deserialize)]
pub struct Query {
    html: Program,
    xml: Program,
    /// Of the first element that is found; None: its text, if `bare` without the blanks around it.
    attribute: Option<String>,
    bare: bool,
}

/// What a query gave.
#[derive(Debug, PartialEq)]
pub enum Taken {
    Value(Value),
    Nothing,
    /// It looks at too many nodes.
    TooMuch,
}

/// A document that was read.
#[derive(Debug)]
pub struct Page {
    document: Document,
    is_xml: bool,
}

impl Page {
    pub fn read(text: &str, is_xml: bool) -> Result<Self, Trouble> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = if is_xml { xml::read(text) } else { html::read(text) }?;
        Ok(Page { document, is_xml })
    }

    pub fn find(&self, query: &Query) -> Taken {
        let found = match evaluate(if self.is_xml { &query.xml } else { &query.html }, &self.document) {
            Ok(found) => found,
            Err(TooMuch) => return Taken::TooMuch,
        };
        let nodes = match found {
            Found::Nodes(nodes) => nodes,
            Found::Text(text) => return Taken::Value(Value::String(text)),
            Found::Truth(held) => return Taken::Value(Value::Bool(held)),
            Found::Number(number) => return number_of(number).map_or(Taken::Nothing, |number| Taken::Value(Value::Number(number))),
        };
        let Some(first) = nodes.first() else { return Taken::Nothing };
        if let Some(wanted) = &query.attribute {
            let is_it = |name: &str| if self.is_xml { name == wanted } else { name == wanted.to_lowercase() };
            let found = self.document.attributes(first.0).iter().find(|one| is_it(&one.whole));
            return found.map_or(Taken::Nothing, |one| Taken::Value(Value::String(one.value.clone())));
        }
        let text = text_of_node(&self.document, *first);
        let blank = [' ', '\t', '\r', '\n', '\u{c}'];
        Taken::Value(Value::String(if query.bare { text.trim_matches(blank).to_owned() } else { text }))
    }
}

/// A whole one without a point.
fn number_of(number: f64) -> Option<Number> {
    if number == number.trunc() && number.abs() < 9_007_199_254_740_992.0 {
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

/// By the media type; where that does not say it, by how the text begins.
pub fn is_xml(content_type: &str, text: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
    if kind.ends_with("/xml") || kind.ends_with("+xml") {
        return true;
    }
    kind != "text/html" && text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with("<?xml")
}
