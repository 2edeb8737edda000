//! Values of scripts: JSON, templates, conditions, rows of data, patterns.

pub mod condition;
pub mod data;
pub mod found;
pub mod node;
pub mod pattern;
pub mod table;
pub mod value;
pub mod words;
