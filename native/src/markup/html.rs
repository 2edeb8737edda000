//! HTML as browsers read it, by html5ever. A document may make far more work than it has bytes (unclosed tags are opened anew in each
//! paragraph), so it is fed tag by tag, and given up where it has become too large or took too long.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{Attribute as Field, ExpandedName, ParseOpts, QualName, parse_document};

use crate::markup::document::{Attribute, Builder, Document};
use crate::markup::{MOST_MS, MOST_NODES, Trouble, too_many};
use crate::os::socket::thread_cpu_ns;
use crate::values::words::with_commas;

/// Bytes that are fed at once, and how often between two looks at the clock.
const PIECE_BYTES: usize = 1_024;
const PIECES: usize = 64;

pub fn read(text: &str) -> Result<Document, Trouble> {
    let until_ns = thread_cpu_ns() + MOST_MS * 1_000_000;
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let mut parser = parse_document(Tree::default(), ParseOpts { tree_builder, ..ParseOpts::default() });
    let mut rest = text;
    let mut pieces = 0;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_end(rest));
        parser.process(StrTendril::from(piece));
        rest = after;
        pieces += 1;
        if parser.tokenizer.sink.sink.inner.borrow().size > MOST_NODES {
            return Err(too_many());
        }
        if pieces % PIECES == 0 && thread_cpu_ns() > until_ns {
            return Err(Trouble::TooLarge(format!("the body took over {} ms to be read as HTML", with_commas(MOST_MS as u64))));
        }
    }
    Ok(parser.finish())
}

/// Up to the next tag.
fn piece_end(text: &str) -> usize {
    let mut end = text.len().min(PIECE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    memchr::memchr(b'<', &text.as_bytes()[1..end.max(1)]).map_or(end.max(text.chars().next().map_or(0, char::len_utf8)), |at| at + 1)
}

/// A node by its number; `name` is empty of what is no element.
#[derive(Clone)]
struct Handle {
    at: usize,
    name: Rc<QualName>,
}

enum Data {
    Element(Rc<QualName>, Vec<Field>),
    Text(StrTendril),
    /// The document itself, and what is not looked at: comments.
    Nothing,
}

struct Node {
    data: Data,
    parent: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    before: Option<usize>,
    after: Option<usize>,
}

impl Node {
    fn new(data: Data) -> Self {
        Node { data, parent: None, first: None, last: None, before: None, after: None }
    }
}

struct Inner {
    nodes: Vec<Node>,
    /// What counts for `MOST_NODES`.
    size: usize,
}

struct Tree {
    inner: RefCell<Inner>,
    no_name: Rc<QualName>,
}

impl Default for Tree {
    fn default() -> Self {
        let no_name = Rc::new(QualName::new(None, "".into(), "".into()));
        Tree { inner: RefCell::new(Inner { nodes: vec![Node::new(Data::Nothing)], size: 0 }), no_name }
    }
}

impl Inner {
    fn add(&mut self, data: Data) -> usize {
        self.size += if let Data::Element(_, fields) = &data { 1 + fields.len() } else { 1 };
        self.nodes.push(Node::new(data));
        self.nodes.len() - 1
    }

    fn detach(&mut self, at: usize) {
        let Node { parent, before, after, .. } = self.nodes[at];
        match before {
            Some(before) => self.nodes[before].after = after,
            None => parent.into_iter().for_each(|parent| self.nodes[parent].first = after),
        }
        match after {
            Some(after) => self.nodes[after].before = before,
            None => parent.into_iter().for_each(|parent| self.nodes[parent].last = before),
        }
        let node = &mut self.nodes[at];
        (node.parent, node.before, node.after) = (None, None, None);
    }

    /// `next` None: as the last one.
    fn insert(&mut self, parent: usize, at: usize, next: Option<usize>) {
        self.detach(at);
        let before = next.map_or(self.nodes[parent].last, |next| self.nodes[next].before);
        let node = &mut self.nodes[at];
        (node.parent, node.before, node.after) = (Some(parent), before, next);
        match before {
            Some(before) => self.nodes[before].after = Some(at),
            None => self.nodes[parent].first = Some(at),
        }
        match next {
            Some(next) => self.nodes[next].before = Some(at),
            None => self.nodes[parent].last = Some(at),
        }
    }

    fn put(&mut self, parent: usize, child: NodeOrText<Handle>, next: Option<usize>) {
        match child {
            NodeOrText::AppendNode(Handle { at, .. }) => {
                if !matches!(self.nodes[at].data, Data::Nothing) {
                    self.insert(parent, at, next);
                }
            }
            NodeOrText::AppendText(text) => {
                let before = next.map_or(self.nodes[parent].last, |next| self.nodes[next].before);
                if let Some(Data::Text(held)) = before.map(|before| &mut self.nodes[before].data) {
                    held.push_tendril(&text);
                    return;
                }
                let at = self.add(Data::Text(text));
                self.insert(parent, at, next);
            }
        }
    }
}

impl TreeSink for Tree {
    type Handle = Handle;
    type Output = Document;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Document {
        let Inner { nodes, .. } = self.inner.into_inner();
        let mut builder = Builder::default();
        let mut next = nodes[0].first;
        let mut above = Vec::new();
        while let Some(at) = next {
            let node = &nodes[at];
            match &node.data {
                Data::Element(name, fields) => {
                    let name = name.local.to_string();
                    builder.open(String::new(), name.clone(), name, fields.iter().map(attribute).collect());
                    above.push(at);
                    next = node.first;
                }
                Data::Text(text) => {
                    builder.text(text);
                    next = node.after;
                }
                Data::Nothing => next = node.after,
            }
            while next.is_none() {
                let Some(parent) = above.pop() else { break };
                builder.close();
                next = nodes[parent].after;
            }
        }
        builder.finish()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { at: 0, name: Rc::clone(&self.no_name) }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attrs: Vec<Field>, _: ElementFlags) -> Handle {
        let name = Rc::new(name);
        let at = self.inner.borrow_mut().add(Data::Element(Rc::clone(&name), attrs));
        Handle { at, name }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        Handle { at: self.inner.borrow_mut().add(Data::Nothing), name: Rc::clone(&self.no_name) }
    }

    fn create_pi(&self, target: StrTendril, _: StrTendril) -> Handle {
        self.create_comment(target)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.inner.borrow_mut().put(parent.at, child, None);
    }

    fn append_based_on_parent_node(&self, element: &Handle, prev_element: &Handle, child: NodeOrText<Handle>) {
        let mut inner = self.inner.borrow_mut();
        match inner.nodes[element.at].parent {
            Some(parent) => inner.put(parent, child, Some(element.at)),
            None => inner.put(prev_element.at, child, None),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// What a template holds is seen as what is in it.
    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.at == other.at
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, new_node: NodeOrText<Handle>) {
        let mut inner = self.inner.borrow_mut();
        if let Some(parent) = inner.nodes[sibling.at].parent {
            inner.put(parent, new_node, Some(sibling.at));
        }
    }

    fn add_attrs_if_missing(&self, target: &Handle, attrs: Vec<Field>) {
        let mut inner = self.inner.borrow_mut();
        let Inner { nodes, size } = &mut *inner;
        if let Data::Element(_, fields) = &mut nodes[target.at].data {
            for field in attrs {
                if fields.iter().all(|held| held.name != field.name) {
                    fields.push(field);
                    *size += 1;
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.inner.borrow_mut().detach(target.at);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut inner = self.inner.borrow_mut();
        while let Some(child) = inner.nodes[node.at].first {
            inner.insert(new_parent.at, child, None);
        }
    }

    fn allow_declarative_shadow_roots(&self, _: &Handle) -> bool {
        false
    }
}

fn attribute(field: &Field) -> Attribute {
    let name = match &field.name.prefix {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{}", field.name.local),
        _ => field.name.local.to_string(),
    };
    Attribute { namespace: String::new(), whole: name.clone(), name, value: field.value.to_string() }
}
