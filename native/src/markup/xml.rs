//! XML with namespaces (https://www.w3.org/TR/xml-names/), by quick-xml; what that lets pass and the standard does not is refused here.
//! A document type with declarations is refused, too: nothing is expanded that a document declares itself.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::markup::document::{Attribute, Builder, Document};
use crate::markup::{MOST_NODES, Trouble, too_many};

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// A prefix ("" is that of elements without one), its namespace, and how deep it was declared.
type Binding = (String, String, usize);

pub fn read(text: &str) -> Result<Document, Trouble> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    reader.config_mut().trim_markup_names_in_closing_tags = true;
    let mut made = Made { bindings: vec![("xml".into(), XML.into(), 0)], builder: Builder::default(), size: 0, has_root: false };
    let mut is_first = true;
    loop {
        let event = reader.read_event().map_err(|_| broken("it is not well-formed"))?;
        match event {
            Event::Start(tag) => made.open(&tag, false)?,
            Event::Empty(tag) => made.open(&tag, true)?,
            Event::End(_) => made.close(),
            Event::Text(text) => made.text(&text.xml10_content())?,
            Event::CData(text) => {
                if made.builder.depth() == 0 {
                    return Err(broken("there is text outside of its element"));
                }
                made.checked(&text.xml10_content())?;
            }
            Event::GeneralRef(name) => {
                let found = match name.resolve_char_ref() {
                    Ok(Some(letter)) => letter.to_string(),
                    Ok(None) => {
                        predefined(&name.xml10_content()).ok_or_else(|| broken("it has an entity that is not declared"))?.to_owned()
                    }
                    Err(_) => return Err(broken("it has a character that is none")),
                };
                if made.builder.depth() == 0 {
                    return Err(broken("there is text outside of its element"));
                }
                made.checked(&found)?;
            }
            Event::Comment(text) => legal(&text.xml10_content())?,
            Event::PI(instruction) => {
                let target = instruction.target();
                if !is_name(target) || target.contains(':') || target.eq_ignore_ascii_case("xml") {
                    return Err(broken("it has a processing instruction without a name of its own"));
                }
                legal(instruction.content())?;
            }
            Event::Decl(declared) => {
                if !is_first || !declaration(&declared) {
                    return Err(broken("its declaration is none"));
                }
            }
            Event::DocType(kind) => {
                if made.has_root || kind.xml10_content().contains('[') {
                    return Err(broken("it declares a document type, which is not read"));
                }
            }
            Event::Eof => break,
        }
        is_first = false;
    }
    if made.builder.depth() > 0 || !made.has_root {
        return Err(broken("it ends too early"));
    }
    Ok(made.builder.finish())
}

struct Made {
    bindings: Vec<Binding>,
    builder: Builder,
    size: usize,
    has_root: bool,
}

impl Made {
    fn open(&mut self, tag: &BytesStart, is_empty: bool) -> Result<(), Trouble> {
        if self.builder.depth() == 0 && self.has_root {
            return Err(broken("it has two roots"));
        }
        self.has_root = true;
        let depth = self.builder.depth() + 1;
        let mut fields: Vec<(&str, String)> = Vec::new();
        let raw = tag.attributes_raw();
        if !raw.is_empty() && !raw.starts_with(BLANK) || lacks_blanks(raw) {
            return Err(broken("it has attributes without blanks between them"));
        }
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| broken("it has attributes that are none"))?;
            let value = attribute.value.as_ref();
            if value.contains('<') {
                return Err(broken("it has an attribute with a < in it"));
            }
            legal(value)?;
            fields.push((attribute.key.0, value_of(value)?));
            self.count(1)?;
        }
        for (name, value) in &fields {
            match name.split_once(':') {
                None if *name == "xmlns" => {
                    if value == XML || value == XMLNS {
                        return Err(broken("it binds a name that is bound"));
                    }
                    self.bindings.push((String::new(), value.clone(), depth));
                }
                Some(("xmlns", prefix)) => {
                    let is_bound = prefix == "xmlns" || (prefix == "xml") != (value == XML) || value == XMLNS || value.is_empty();
                    if is_bound || !is_name(prefix) || prefix.contains(':') {
                        return Err(broken("it binds a prefix that can't be bound so"));
                    }
                    self.bindings.push((prefix.to_owned(), value.clone(), depth));
                }
                _ => {}
            }
        }
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(broken("it has an attribute twice"));
        }
        for (whole, value) in fields {
            if whole == "xmlns" || whole.starts_with("xmlns:") {
                continue;
            }
            let (namespace, name) = self.expanded(whole, false)?;
            attributes.push(Attribute { namespace, name, whole: whole.to_owned(), value });
        }
        let mut names: Vec<_> = attributes.iter().map(|one| (&one.namespace, &one.name)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(broken("it has an attribute twice"));
        }
        let whole = tag.name().0;
        let (namespace, name) = self.expanded(whole, true)?;
        self.count(1)?;
        self.builder.open(namespace, name, whole.to_owned(), attributes);
        if is_empty {
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        let depth = self.builder.depth();
        self.builder.close();
        while self.bindings.last().is_some_and(|(_, _, at)| *at == depth && depth > 0) {
            self.bindings.pop();
        }
    }

    /// Between tags.
    fn text(&mut self, text: &str) -> Result<(), Trouble> {
        if self.builder.depth() == 0 {
            return if text.trim_matches(BLANK).is_empty() { Ok(()) } else { Err(broken("there is text outside of its element")) };
        }
        if text.contains("]]>") {
            return Err(broken("it has the end of a section of text without its begin"));
        }
        self.checked(text)
    }

    fn checked(&mut self, text: &str) -> Result<(), Trouble> {
        legal(text)?;
        let before = self.builder.nodes();
        self.builder.text(text);
        self.count(self.builder.nodes() - before)
    }

    fn count(&mut self, more: usize) -> Result<(), Trouble> {
        self.size += more;
        if self.size > MOST_NODES { Err(too_many()) } else { Ok(()) }
    }

    fn expanded(&self, whole: &str, is_element: bool) -> Result<(String, String), Trouble> {
        let (prefix, name) = whole.split_once(':').unwrap_or(("", whole));
        if !is_name(name) || name.contains(':') || (whole.contains(':') && !is_name(prefix)) || prefix == "xmlns" {
            return Err(broken("it has a name that is none"));
        }
        if prefix.is_empty() && !is_element {
            return Ok((String::new(), name.to_owned()));
        }
        let bound = self.bindings.iter().rev().find(|(one, _, _)| one == prefix);
        match bound {
            Some((_, namespace, _)) => Ok((namespace.clone(), name.to_owned())),
            None if prefix.is_empty() => Ok((String::new(), name.to_owned())),
            None => Err(broken("it has a prefix that is bound to nothing")),
        }
    }
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

fn broken(what: &str) -> Trouble {
    Trouble::Broken(format!("the body is not XML: {what}"))
}

/// Whether an attribute begins where another has just ended.
fn lacks_blanks(raw: &str) -> bool {
    let mut quote = None;
    let mut ended = false;
    for letter in raw.chars() {
        match quote {
            Some(sign) => {
                ended = letter == sign;
                if ended {
                    quote = None;
                }
            }
            None if ended && !BLANK.contains(&letter) => return true,
            None => {
                ended = false;
                if letter == '"' || letter == '\'' {
                    quote = Some(letter);
                }
            }
        }
    }
    false
}

/// With its references replaced, blanks as spaces.
fn value_of(raw: &str) -> Result<String, Trouble> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        value.push_str(&rest[..at]);
        let sign = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if sign != b'&' {
            value.push(' ');
            if sign == b'\r' {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
            continue;
        }
        let (name, after) = rest.split_once(';').ok_or_else(|| broken("it has an & that begins nothing"))?;
        match name.strip_prefix('#') {
            Some(number) => value.push(character(number)?),
            None => value.push_str(predefined(name).ok_or_else(|| broken("it has an entity that is not declared"))?),
        }
        rest = after;
    }
    value.push_str(rest);
    Ok(value)
}

fn character(number: &str) -> Result<char, Trouble> {
    let (digits, base) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = u32::from_str_radix(digits, base).ok().filter(|_| is_number).and_then(char::from_u32);
    found.filter(|letter| is_legal(*letter)).ok_or_else(|| broken("it has a character that is none"))
}

fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

/// https://www.w3.org/TR/xml/#charsets
fn is_legal(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn legal(text: &str) -> Result<(), Trouble> {
    if text.chars().all(is_legal) { Ok(()) } else { Err(broken("it has a character that is none")) }
}

/// https://www.w3.org/TR/xml/#NT-Name
fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(begins_name) && letters.all(is_in_name)
}

fn begins_name(letter: char) -> bool {
    matches!(letter,
        ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}'
        | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn is_in_name(letter: char) -> bool {
    begins_name(letter) || matches!(letter, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// `<?xml version="1.0" encoding="…" standalone="…"?>`
fn declaration(declared: &quick_xml::events::BytesDecl) -> bool {
    let version = declared.version().is_ok_and(|version| version.starts_with("1."));
    version && declared.encoding().is_none_or(|found| found.is_ok()) && declared.standalone().is_none_or(|found| found.is_ok())
}
