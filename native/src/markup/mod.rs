//! Documents of HTML and XML, and what expressions of XPath, or selectors written as such, find in them.

mod document;
mod evaluate;
mod found;
mod html;
mod program;
mod query;
mod xml;

pub use query::{Page, Query, Taken, is_xml};

/// Elements, their attributes, and texts of a document.
const MOST_NODES: usize = 100_000;
/// Of the loop's processor, for one document.
const MOST_MS: i64 = 1_000;

/// Why a document is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// It is no such document.
    Broken(String),
    TooLarge(String),
}

fn too_many() -> Trouble {
    let most = crate::values::words::with_commas(MOST_NODES as u64);
    Trouble::TooLarge(format!("the document in the body has over {most} elements, attributes and texts"))
}
