//! A document of HTML or XML as XPath sees it: its nodes in the order in which they begin, each with the number behind its last one below.

/// Of the root, which is the document itself.
pub const ROOT: u32 = 0;

#[derive(Debug, Default, PartialEq)]
pub struct Attribute {
    pub namespace: String,
    pub name: String,
    /// With its prefix, as it is written.
    pub whole: String,
    pub value: String,
}

#[derive(Debug, PartialEq)]
pub enum Kind {
    Root,
    Element { namespace: String, name: String, whole: String, attributes: Vec<Attribute> },
    Text(String),
}

#[derive(Debug, PartialEq)]
pub struct Node {
    pub parent: u32,
    pub end: u32,
    pub kind: Kind,
}

#[derive(Debug)]
pub struct Document {
    pub nodes: Vec<Node>,
}

/// Puts a document together in its order.
pub struct Builder {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder { nodes: vec![Node { parent: ROOT, end: 0, kind: Kind::Root }], open: vec![ROOT] }
    }
}

impl Builder {
    pub fn open(&mut self, namespace: String, name: String, whole: String, attributes: Vec<Attribute>) {
        let at = self.nodes.len() as u32;
        self.nodes.push(Node { parent: self.parent(), end: 0, kind: Kind::Element { namespace, name, whole, attributes } });
        self.open.push(at);
    }

    /// Texts that follow one another are one.
    pub fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let parent = self.parent();
        if let Some(Node { kind: Kind::Text(before), parent: its, .. }) = self.nodes.last_mut()
            && *its == parent
        {
            before.push_str(text);
            return;
        }
        let end = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { parent, end, kind: Kind::Text(text.to_owned()) });
    }

    pub fn close(&mut self) {
        if let Some(at) = self.open.pop() {
            self.nodes[at as usize].end = self.nodes.len() as u32;
        }
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.open.len() - 1
    }

    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn finish(mut self) -> Document {
        while !self.open.is_empty() {
            self.close();
        }
        Document { nodes: self.nodes }
    }

    fn parent(&self) -> u32 {
        self.open.last().copied().unwrap_or(ROOT)
    }
}

impl Document {
    pub fn attributes(&self, at: u32) -> &[Attribute] {
        match &self.nodes[at as usize].kind {
            Kind::Element { attributes, .. } => attributes,
            _ => &[],
        }
    }

    /// All text in a node.
    pub fn text(&self, at: u32) -> String {
        let node = &self.nodes[at as usize];
        let parts = self.nodes[at as usize..node.end as usize].iter();
        parts.filter_map(|one| if let Kind::Text(text) = &one.kind { Some(text.as_str()) } else { None }).collect()
    }
}
