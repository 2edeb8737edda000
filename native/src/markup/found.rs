//! What an expression gives, and what becomes of it in another one.

use crate::markup::program::{Function, Sign};

pub const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Of a node: its number, and 0, or of its attributes the first is 1.
pub type Place = (u32, u32);

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Each once, in the order of the document.
    Nodes(Vec<Place>),
    Text(String),
    Number(f64),
    Truth(bool),
}

pub fn truth(value: &Found) -> bool {
    match value {
        Found::Nodes(nodes) => !nodes.is_empty(),
        Found::Text(text) => !text.is_empty(),
        Found::Number(number) => *number != 0.0 && !number.is_nan(),
        Found::Truth(held) => *held,
    }
}

pub fn ordered(sign: Sign, one: f64, other: f64) -> bool {
    match sign {
        Sign::Less => one < other,
        Sign::AtMost => one <= other,
        Sign::More => one > other,
        _ => one >= other,
    }
}

pub fn rounded(function: Function, number: f64) -> f64 {
    if number.is_nan() || number.is_infinite() || number == 0.0 {
        return number;
    }
    let found = match function {
        Function::Floor => number.floor(),
        Function::Ceiling => number.ceil(),
        _ if number.abs() >= 4_503_599_627_370_496.0 => number,
        _ => (number + 0.5).floor(), // of two that are as near, the greater
    };
    found.abs().copysign(number)
}

pub fn of_texts(function: Function, texts: &[String]) -> Found {
    let one = &texts[0];
    let other = texts.get(1).map_or("", String::as_str);
    Found::Text(match function {
        Function::StringLength => return Found::Number(one.chars().count() as f64),
        Function::StartsWith => return Found::Truth(one.starts_with(other)),
        Function::Contains => return Found::Truth(one.contains(other)),
        Function::NormalizeSpace => one.split(BLANKS).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        Function::Concat => texts.concat(),
        Function::SubstringBefore => one.split_once(other).map_or("", |(before, _)| before).to_owned(),
        Function::SubstringAfter => one.split_once(other).map_or("", |(_, after)| after).to_owned(),
        Function::Translate => {
            let to: Vec<char> = texts.get(2).map_or("", String::as_str).chars().collect();
            let mut table = std::collections::HashMap::new();
            for (place, letter) in other.chars().enumerate() {
                table.entry(letter).or_insert(to.get(place).copied());
            }
            one.chars().filter_map(|letter| table.get(&letter).copied().unwrap_or(Some(letter))).collect()
        }
        _ => one.clone(),
    })
}

/// As XPath reads a number: digits with a point, a minus sign, blanks around; all else is not a number.
pub fn number_in(text: &str) -> f64 {
    let bare = text.trim_matches(BLANKS);
    let digits = bare.strip_prefix('-').unwrap_or(bare);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !(whole.is_empty() && rest.is_empty()) && whole.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_digit());
    if is_number { bare.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

pub fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else if number == 0.0 {
        "0".into()
    } else {
        number.to_string()
    }
}
