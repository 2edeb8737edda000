//! What answers say of the target's build: each distinct value of one header field is reported to Python once.

use crate::http::answer::Answer;
use crate::load::engine::Loop;
use crate::plan::host::Fatal;

/// Values that are reported: one more than a run keeps, so that it knows of more. `MOST_REVISIONS` in `loadflow/engine/records/names.py`.
const MOST: usize = 11;
/// Bytes of one value; Python cuts it shorter after it has masked secrets.
const BYTES: usize = 800;

pub struct Revisions<'p> {
    header: &'p str,
    told: Vec<Vec<u8>>,
    /// The value that came last: most answers have the same.
    last: usize,
}

impl<'p> Revisions<'p> {
    pub fn new(header: &'p str) -> Self {
        Revisions { header, told: Vec::new(), last: 0 }
    }

    /// The part of the value that is to be reported; None where it was reported already, or is one too many.
    fn news<'v>(&mut self, value: &'v [u8]) -> Option<&'v [u8]> {
        let value = value[..value.len().min(BYTES)].trim_ascii();
        if value.is_empty() || self.told.get(self.last).is_some_and(|last| last == value) {
            return None;
        }
        if let Some(known) = self.told.iter().position(|one| one == value) {
            self.last = known;
            return None;
        }
        if self.told.len() == MOST {
            return None;
        }
        self.last = self.told.len();
        self.told.push(value.to_owned());
        Some(value)
    }
}

impl Loop<'_> {
    /// Looks at the answer that a hit ends with.
    pub fn note_revision(&mut self, answer: &Answer) -> Result<(), Fatal> {
        let Some(revisions) = self.revisions.as_mut() else { return Ok(()) };
        let Some(value) = answer.header(revisions.header) else { return Ok(()) };
        match revisions.news(&value) {
            Some(value) => self.host.revision(value),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_told_once_and_no_more_than_a_few() {
        let mut revisions = Revisions::new("x-revision");
        let told: Vec<_> = ["a", "a", " b ", "a", "b", "", " "].iter().map(|value| revisions.news(value.as_bytes())).collect();
        assert_eq!(told, [Some(&b"a"[..]), None, Some(b"b"), None, None, None, None]);
        let more = (0..1_000).filter(|number| revisions.news(number.to_string().as_bytes()).is_some()).count();
        assert_eq!(more, MOST - 2);
    }

    #[test]
    fn a_long_value_is_cut_and_known_again() {
        let mut revisions = Revisions::new("x-revision");
        assert_eq!(revisions.news(&[b'x'; 5_000]).map(<[u8]>::len), Some(BYTES));
        assert_eq!(revisions.news(&[b'x'; 6_000]), None);
    }
}
