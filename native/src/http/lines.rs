//! The lines of an answer's head, as RFC 9112 has them.

fn is_shown(byte: &u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

/// RFC 9112 section 4.
pub fn is_status_line(line: &[u8]) -> bool {
    let Some([version, b' ', status @ ..]) = line.strip_prefix(b"HTTP/1.") else { return false };
    let Some((status, phrase)) = status.split_at_checked(3) else { return false };
    let ends = phrase.is_empty() || (phrase[0] == b' ' && phrase[1..].iter().all(is_shown));
    matches!(version, b'0' | b'1') && status.iter().all(u8::is_ascii_digit) && ends
}

/// RFC 9112 section 5.
pub fn is_field(line: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b':', line) else { return false };
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    at > 0 && line[..at].iter().all(is_token) && line[at + 1..].iter().all(is_shown)
}

pub fn whole_number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Of bytes behind an answer: whether they are none, but for empty lines, which are skipped before an answer too.
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// How many bytes of empty lines stand before the status line; they are skipped, as a server does before a request (section 2.2).
pub fn blank_lines(bytes: &[u8]) -> usize {
    bytes.chunks(2).take_while(|pair| *pair == b"\r\n").count() * 2
}

/// Each fold, with the blanks around it, as one blank (section 5.2).
pub fn unfold(head: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut out = Vec::with_capacity(head.len());
    let mut rest = head;
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        let (line, behind) = (&rest[..at], &rest[at + 2..]);
        out.extend_from_slice(line);
        rest = behind;
        if !behind.first().is_some_and(blank) {
            out.extend_from_slice(b"\r\n");
            continue;
        }
        while out.last().is_some_and(blank) {
            out.pop();
        }
        out.push(b' ');
        rest = &behind[behind.iter().take_while(|byte| blank(byte)).count()..];
    }
    out.extend_from_slice(rest);
    out
}
