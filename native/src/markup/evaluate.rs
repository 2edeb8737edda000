//! What an expression of XPath 1.0 gives of a document; `loadflow/engine/markup/evaluate.py` is the same, step by step.

use crate::markup::document::{Attribute, Document, Kind, ROOT};
use crate::markup::found::{Found, Place, number_in, number_text, of_texts, ordered, rounded, truth};
use crate::markup::program::{Axis, Condition, Function, Program, Sign, Step, Test};

/// Nodes looked at, and 64 bytes of text count as one.
const MOST_VISITS: i64 = 10_000_000;

/// The expression looks at more nodes than `MOST_VISITS`.
#[derive(Debug, PartialEq)]
pub struct TooMuch;

type Got<T> = Result<T, TooMuch>;

pub fn evaluate(program: &Program, document: &Document) -> Got<Found> {
    Evaluation { document, left: MOST_VISITS }.value(program, At { node: (ROOT, 0), place: 1, size: 1 })
}

/// Where an expression is evaluated.
#[derive(Clone, Copy)]
struct At {
    node: Place,
    place: usize,
    size: usize,
}

struct Evaluation<'d> {
    document: &'d Document,
    left: i64,
}

impl<'d> Evaluation<'d> {
    fn spend(&mut self, count: usize) -> Got<()> {
        self.left -= count as i64;
        if self.left < 0 { Err(TooMuch) } else { Ok(()) }
    }

    fn value(&mut self, program: &Program, at: At) -> Got<Found> {
        Ok(match program {
            Program::Text(text) => Found::Text(text.clone()),
            Program::Number(number) => Found::Number(*number),
            Program::Path { from, rooted, steps } => {
                let mut nodes = match from {
                    Some(begin) => self.nodes(begin, at)?,
                    None => vec![if *rooted { (ROOT, 0) } else { at.node }],
                };
                for step in steps {
                    nodes = self.step(step, &nodes)?;
                }
                Found::Nodes(nodes)
            }
            Program::Filter { of, keep } => {
                let mut nodes = self.nodes(of, at)?;
                for condition in keep {
                    nodes = self.kept(condition, nodes)?;
                }
                Found::Nodes(nodes)
            }
            Program::Union(parts) => {
                let mut nodes = Vec::new();
                for part in parts {
                    nodes.extend(self.nodes(part, at)?);
                }
                Found::Nodes(in_order(nodes))
            }
            Program::Negative(of) => {
                let value = self.value(of, at)?;
                Found::Number(-self.number(&value)?)
            }
            Program::Call(function, arguments) => self.call(*function, arguments, at)?,
            Program::Binary(sign, left, right) => self.binary(*sign, left, right, at)?,
        })
    }

    fn nodes(&mut self, program: &Program, at: At) -> Got<Vec<Place>> {
        match self.value(program, at)? {
            Found::Nodes(nodes) => Ok(nodes),
            _ => Ok(Vec::new()), // refused before the load
        }
    }

    fn step(&mut self, step: &Step, begin: &[Place]) -> Got<Vec<Place>> {
        if !step.keep.iter().any(|condition| condition.placed) {
            let mut found = self.along_all(step, begin)?;
            for condition in &step.keep {
                found = self.kept(condition, found)?;
            }
            return Ok(found);
        }
        let mut result = Vec::new();
        for one in begin {
            let mut nodes = Vec::new();
            self.along(step, *one, &mut nodes)?;
            for condition in &step.keep {
                nodes = self.kept(condition, nodes)?;
            }
            result.extend(nodes);
        }
        Ok(in_order(result))
    }

    /// `nodes` in the order in which they are counted.
    fn kept(&mut self, condition: &Condition, nodes: Vec<Place>) -> Got<Vec<Place>> {
        let size = nodes.len();
        let mut kept = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let at = if condition.placed { At { node, place: index + 1, size } } else { At { node, place: 1, size: 1 } };
            let found = self.value(&condition.test, at)?;
            let holds = match found {
                Found::Number(number) if condition.placed => number == at.place as f64,
                found => truth(&found),
            };
            if holds {
                kept.push(node);
            }
        }
        Ok(kept)
    }

    /// From all of them, each once, in the order of the document.
    fn along_all(&mut self, step: &Step, begin: &[Place]) -> Got<Vec<Place>> {
        let mut found = Vec::new();
        if !matches!(step.axis, Axis::Descendant | Axis::DescendantOrSelf) {
            for one in begin {
                self.along(step, *one, &mut found)?;
            }
            return Ok(if matches!(step.axis, Axis::Own | Axis::Attribute) { found } else { in_order(found) });
        }
        let with_self = step.axis == Axis::DescendantOrSelf;
        let mut done = 0; // up to here all is given
        for (number, attribute) in begin {
            if *attribute > 0 {
                if with_self {
                    self.meet(step, (*number, *attribute), &mut found)?;
                }
                continue;
            }
            let end = self.document.nodes[*number as usize].end;
            for node in done.max(if with_self { *number } else { number + 1 })..end {
                self.meet(step, (node, 0), &mut found)?;
            }
            done = done.max(end);
        }
        Ok(found)
    }

    /// Looks at a node that the axis leads to.
    fn meet(&mut self, step: &Step, node: Place, found: &mut Vec<Place>) -> Got<()> {
        self.spend(1)?;
        if self.is(&step.test, node, step.axis) {
            found.push(node);
        }
        Ok(())
    }

    /// In the order of the axis: away from where it begins.
    fn along(&mut self, step: &Step, one: Place, found: &mut Vec<Place>) -> Got<()> {
        let nodes = &self.document.nodes;
        let (number, attribute) = one;
        let own_end = if attribute > 0 { number } else { nodes[number as usize].end };
        match step.axis {
            Axis::Own => self.meet(step, one, found)?,
            Axis::Child => self.siblings_from(step, number + 1, own_end, found)?,
            Axis::Descendant | Axis::DescendantOrSelf => {
                if step.axis == Axis::DescendantOrSelf {
                    self.meet(step, one, found)?;
                }
                for at in number + 1..own_end {
                    self.meet(step, (at, 0), found)?;
                }
            }
            Axis::Parent => {
                if let Some(parent) = self.parent(one) {
                    self.meet(step, parent, found)?;
                }
            }
            Axis::Ancestor | Axis::AncestorOrSelf => {
                let mut above = if step.axis == Axis::AncestorOrSelf { Some(one) } else { self.parent(one) };
                while let Some(node) = above {
                    self.meet(step, node, found)?;
                    above = self.parent(node);
                }
            }
            Axis::Attribute => {
                if attribute == 0 {
                    for at in 1..=self.document.attributes(number).len() as u32 {
                        self.meet(step, (number, at), found)?;
                    }
                }
            }
            Axis::FollowingSibling => {
                if attribute == 0 && number != ROOT {
                    let end = nodes[nodes[number as usize].parent as usize].end;
                    self.siblings_from(step, own_end, end, found)?;
                }
            }
            Axis::PrecedingSibling => {
                if attribute == 0 && number != ROOT {
                    let first = found.len();
                    let mut at = nodes[number as usize].parent + 1;
                    while at < number {
                        self.spend(1)?;
                        self.meet(step, (at, 0), found)?;
                        at = nodes[at as usize].end;
                    }
                    self.spend(1)?;
                    found[first..].reverse();
                }
            }
            Axis::Following => {
                let begin = if attribute > 0 { number + 1 } else { own_end };
                for at in begin..nodes.len() as u32 {
                    self.meet(step, (at, 0), found)?;
                }
            }
            Axis::Preceding => {
                let mut next_above = self.parent((number, 0));
                let mut above = Vec::new();
                while let Some((node, _)) = next_above {
                    self.spend(1)?;
                    above.push(node);
                    next_above = self.parent((node, 0));
                }
                let mut above = above.into_iter().peekable(); // from the nearest: the greatest number first
                for at in (1..number).rev() {
                    if above.peek() == Some(&at) {
                        above.next();
                        continue;
                    }
                    self.meet(step, (at, 0), found)?;
                }
            }
        }
        Ok(())
    }

    fn siblings_from(&mut self, step: &Step, mut at: u32, end: u32, found: &mut Vec<Place>) -> Got<()> {
        while at < end {
            self.meet(step, (at, 0), found)?;
            at = self.document.nodes[at as usize].end;
        }
        Ok(())
    }

    fn parent(&self, (number, attribute): Place) -> Option<Place> {
        match (number, attribute) {
            (_, 1..) => Some((number, 0)),
            (ROOT, 0) => None,
            _ => Some((self.document.nodes[number as usize].parent, 0)),
        }
    }

    fn is(&self, test: &Test, (number, attribute): Place, axis: Axis) -> bool {
        let kind = &self.document.nodes[number as usize].kind;
        match test {
            Test::Node => return true,
            // an attribute of a node is none of its texts
            Test::Text => return matches!(kind, Kind::Text(_)),
            _ => {}
        }
        let Kind::Element { namespace, name, attributes, .. } = kind else { return false };
        if (attribute > 0) != (axis == Axis::Attribute) {
            return false; // a name is one of the kind of nodes that the axis leads along first
        }
        let (namespace, name) = match attributes.get(attribute as usize - usize::from(attribute > 0)) {
            Some(Attribute { namespace, name, .. }) if attribute > 0 => (namespace, name),
            _ => (namespace, name),
        };
        match test {
            Test::Local(wanted) => name == wanted,
            Test::Name(uri, wanted) => namespace == uri && name == wanted,
            Test::Of(uri) => namespace == uri,
            _ => true,
        }
    }

    fn text(&mut self, value: &Found) -> Got<String> {
        Ok(match value {
            Found::Nodes(nodes) => nodes.first().map_or(Ok(String::new()), |node| self.node_text(*node))?,
            Found::Text(text) => text.clone(),
            Found::Number(number) => number_text(*number),
            Found::Truth(held) => held.to_string(),
        })
    }

    fn node_text(&mut self, one: Place) -> Got<String> {
        if one.1 == 0 {
            self.spend((self.document.nodes[one.0 as usize].end - one.0) as usize)?;
        }
        let text = text_of_node(self.document, one);
        self.spend(text.chars().count() / 64)?;
        Ok(text)
    }

    fn number(&mut self, value: &Found) -> Got<f64> {
        Ok(match value {
            Found::Number(number) => *number,
            Found::Truth(held) => f64::from(u8::from(*held)),
            other => number_in(&self.text(other)?),
        })
    }

    fn binary(&mut self, sign: Sign, left: &Program, right: &Program, at: At) -> Got<Found> {
        let one = self.value(left, at)?;
        if matches!(sign, Sign::Or | Sign::And) {
            let is_or = sign == Sign::Or;
            if truth(&one) == is_or {
                return Ok(Found::Truth(is_or));
            }
            return Ok(Found::Truth(truth(&self.value(right, at)?)));
        }
        let other = self.value(right, at)?;
        if matches!(sign, Sign::Plus | Sign::Minus | Sign::Times | Sign::Div | Sign::Mod) {
            let (one, other) = (self.number(&one)?, self.number(&other)?);
            return Ok(Found::Number(match sign {
                Sign::Plus => one + other,
                Sign::Minus => one - other,
                Sign::Times => one * other,
                Sign::Div => one / other,
                _ => one % other,
            }));
        }
        self.compared(sign, one, other).map(Found::Truth)
    }

    /// Of sets of nodes: whether there are such in them of which it holds.
    fn compared(&mut self, sign: Sign, one: Found, other: Found) -> Got<bool> {
        if matches!(one, Found::Truth(_)) || matches!(other, Found::Truth(_)) {
            if matches!(sign, Sign::Equal | Sign::Unequal) {
                return Ok((truth(&one) == truth(&other)) == (sign == Sign::Equal));
            }
            let as_number = |value: Found| if let Found::Nodes(nodes) = value { Found::Truth(!nodes.is_empty()) } else { value };
            let (one, other) = (self.number(&as_number(one))?, self.number(&as_number(other))?);
            return Ok(ordered(sign, one, other));
        }
        let (ones, others) = (self.each(one)?, self.each(other)?);
        for first in &ones {
            for second in &others {
                self.spend(1)?;
                let holds = match (sign, first, second) {
                    (Sign::Equal, Found::Text(one), Found::Text(other)) => one == other,
                    (Sign::Unequal, Found::Text(one), Found::Text(other)) => one != other,
                    _ => {
                        let (one, other) = (self.number(first)?, self.number(second)?);
                        match sign {
                            Sign::Equal => one == other,
                            Sign::Unequal => one != other,
                            _ => ordered(sign, one, other),
                        }
                    }
                };
                if holds {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn each(&mut self, value: Found) -> Got<Vec<Found>> {
        match value {
            Found::Nodes(nodes) => nodes.into_iter().map(|node| self.node_text(node).map(Found::Text)).collect(),
            other => Ok(vec![other]),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Program], at: At) -> Got<Found> {
        match function {
            Function::Last => return Ok(Found::Number(at.size as f64)),
            Function::Position => return Ok(Found::Number(at.place as f64)),
            Function::True | Function::False => return Ok(Found::Truth(function == Function::True)),
            _ => {}
        }
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push(self.value(argument, at)?);
        }
        if given.is_empty() {
            given.push(Found::Nodes(vec![at.node])); // what those mean that may have no argument
        }
        Ok(match function {
            Function::Boolean => Found::Truth(truth(&given[0])),
            Function::Not => Found::Truth(!truth(&given[0])),
            Function::Count | Function::Sum => {
                let Found::Nodes(nodes) = &given[0] else { return Ok(Found::Number(0.0)) };
                if function == Function::Count {
                    return Ok(Found::Number(nodes.len() as f64));
                }
                let mut total = 0.0;
                for node in nodes.clone() {
                    total += number_in(&self.node_text(node)?);
                }
                Found::Number(total)
            }
            Function::LocalName | Function::Name | Function::NamespaceUri => {
                let first = if let Found::Nodes(nodes) = &given[0] { nodes.first() } else { None };
                Found::Text(first.map_or_else(String::new, |node| self.named(function, *node)))
            }
            Function::Number => Found::Number(self.number(&given[0])?),
            Function::Floor | Function::Ceiling | Function::Round => Found::Number(rounded(function, self.number(&given[0])?)),
            _ => {
                let mut texts = Vec::with_capacity(given.len());
                for one in &given {
                    texts.push(self.text(one)?);
                }
                self.spend(texts.iter().map(|text| text.chars().count()).sum::<usize>() / 64)?;
                if function == Function::Substring {
                    let first = rounded(Function::Round, self.number(&given[1])?);
                    let count = given.get(2).map_or(Ok(f64::INFINITY), |count| self.number(count))?;
                    let end = first + rounded(Function::Round, count);
                    let inside = |place: usize| first <= place as f64 && (place as f64) < end;
                    return Ok(Found::Text(texts[0].chars().enumerate().filter(|(at, _)| inside(at + 1)).map(|(_, one)| one).collect()));
                }
                of_texts(function, &texts)
            }
        })
    }

    fn named(&self, function: Function, (number, attribute): Place) -> String {
        let Kind::Element { namespace, name, whole, attributes } = &self.document.nodes[number as usize].kind else {
            return String::new();
        };
        let (namespace, name, whole) = match attribute {
            0 => (namespace, name, whole),
            at => attributes.get(at as usize - 1).map_or((namespace, name, whole), |one| (&one.namespace, &one.name, &one.whole)),
        };
        match function {
            Function::Name => whole.clone(),
            Function::LocalName => name.clone(),
            _ => namespace.clone(),
        }
    }
}

/// Of an attribute its value, of all others their text, with that of all nodes below.
pub fn text_of_node(document: &Document, (number, attribute): Place) -> String {
    match attribute {
        0 => document.text(number),
        at => document.attributes(number).get(at as usize - 1).map_or_else(String::new, |one| one.value.clone()),
    }
}

fn in_order(mut nodes: Vec<Place>) -> Vec<Place> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
