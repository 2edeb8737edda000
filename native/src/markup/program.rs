//! An expression of XPath 1.0, as Python has read it.

use serde::Deserialize;

/// As `xpath.py` reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    Text(String),
    Number(f64),
    Path { from: Option<Box<Program>>, rooted: bool, steps: Vec<Step> },
    Filter { of: Box<Program>, keep: Vec<Condition> },
    Union(Vec<Program>),
    Negative(Box<Program>),
    Call(Function, Vec<Program>),
    Binary(Sign, Box<Program>, Box<Program>),
}

#[derive(Debug, Deserialize)]
pub struct Step {
    pub axis: Axis,
    pub test: Test,
    pub keep: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
pub struct Condition {
    pub test: Program,
    /// It depends on the place of a node among the others.
    pub placed: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    Child,
    Descendant,
    DescendantOrSelf,
    #[serde(rename = "self")]
    Own,
    Parent,
    Ancestor,
    AncestorOrSelf,
    Attribute,
    FollowingSibling,
    PrecedingSibling,
    Following,
    Preceding,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    Node,
    Text,
    Element,
    /// A name in any namespace.
    Local(String),
    Name(String, String),
    /// Any name of a namespace.
    Of(String),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    Last,
    Position,
    True,
    False,
    LocalName,
    Name,
    NamespaceUri,
    String,
    StringLength,
    NormalizeSpace,
    Number,
    Count,
    Boolean,
    Not,
    Sum,
    Floor,
    Ceiling,
    Round,
    StartsWith,
    Contains,
    SubstringBefore,
    SubstringAfter,
    Concat,
    Substring,
    Translate,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub enum Sign {
    #[serde(rename = "or")]
    Or,
    #[serde(rename = "and")]
    And,
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    Unequal,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = ">")]
    More,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = "+")]
    Plus,
    #[serde(rename = "-")]
    Minus,
    #[serde(rename = "*")]
    Times,
    #[serde(rename = "div")]
    Div,
    #[serde(rename = "mod")]
    Mod,
}
