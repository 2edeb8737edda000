//! Transfer codings of an answer, as its fields name them.

/// The transfer codings of an answer, from all of its fields (RFC 9110 section 5.3).
#[derive(Clone, Copy, Default)]
pub struct Codings {
    pub count: usize,
    pub chunked: usize,
    pub ends_chunked: bool,
}

impl Codings {
    pub fn add(&mut self, one: &[u8]) {
        let name = one.trim_ascii();
        if name.is_empty() {
            return;
        }
        self.count += 1;
        self.ends_chunked = name.eq_ignore_ascii_case(b"chunked");
        self.chunked += usize::from(self.ends_chunked);
    }
}
