//! An answer that is read as events.

use serde::Deserialize;

use crate::values::found::Path;

/// What a step says of its stream.
#[derive(Debug, Deserialize)]
pub struct StreamPlan {
    /// The data, or the name, of the event that ends it.
    pub until: Option<String>,
    pub max_events: Option<u64>,
    pub format: Option<Format>,
    /// Where the tokens of an event are: a text is one, a number is so many.
    pub tokens: Option<Path>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Sse,
    Lines,
}

impl Format {
    /// What a media type says.
    pub fn of(content_type: &[u8]) -> Self {
        let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case(b"text/event-stream") { Format::Sse } else { Format::Lines }
    }
}
