//! Header fields as HTTP/3 has them (QPACK, RFC 9204), without a dynamic table: this side allows the peer none, and uses none itself.

use super::huffman::unpack;
use super::known_fields::{FIELDS, number_of};

/// What each field counts beside its bytes (RFC 9114 section 4.2.2).
const FIELD_BYTES: usize = 32;

#[derive(Debug, PartialEq)]
pub enum Trouble {
    /// QPACK_DECOMPRESSION_FAILED.
    Invalid,
    TooLarge,
}

/// Fields of one section; used again for the next.
#[derive(Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Where name and value end.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut from = 0;
        self.ends.iter().map(move |(name, value)| {
            let field = (&self.bytes[from..*name], &self.bytes[*name..*value]);
            from = *value;
            field
        })
    }

    /// Reads a whole section; `most`: of bytes, as a peer is told them.
    pub fn read(&mut self, section: &[u8], most: usize) -> Result<(), Trouble> {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(16 * 1024);
        let mut rest = section;
        if number(&mut rest, 8)? != 0 {
            return Err(Trouble::Invalid); // it wants fields of a table that there is not
        }
        number(&mut rest, 7)?; // the base, which matters to such fields only
        while let Some(first) = rest.first().copied() {
            if first & 0x80 != 0 {
                let field = known(number(&mut rest, 6)?, first & 0x40 != 0)?;
                self.bytes.extend_from_slice(field.0.as_bytes());
                let name = self.bytes.len();
                self.bytes.extend_from_slice(field.1.as_bytes());
                self.ends.push((name, self.bytes.len()));
            } else {
                if first & 0x40 != 0 {
                    let field = known(number(&mut rest, 4)?, first & 0x10 != 0)?;
                    self.bytes.extend_from_slice(field.0.as_bytes());
                } else if first & 0x20 != 0 {
                    text(&mut rest, 3, &mut self.bytes)?;
                } else {
                    return Err(Trouble::Invalid); // as above
                }
                let name = self.bytes.len();
                text(&mut rest, 7, &mut self.bytes)?;
                self.ends.push((name, self.bytes.len()));
            }
            if self.bytes.len() + self.ends.len() * FIELD_BYTES > most {
                return Err(Trouble::TooLarge);
            }
        }
        Ok(())
    }
}

fn known(number: u64, is_static: bool) -> Result<&'static (&'static str, &'static str), Trouble> {
    let found = usize::try_from(number).ok().filter(|_| is_static).and_then(|number| FIELDS.get(number));
    found.ok_or(Trouble::Invalid)
}

/// A number in the last `bits` of a byte, and where it is too large for them, in bytes behind (RFC 7541 section 5.1).
fn number(rest: &mut &[u8], bits: u32) -> Result<u64, Trouble> {
    let most = (1u64 << bits) - 1;
    let (first, behind) = rest.split_first().ok_or(Trouble::Invalid)?;
    *rest = behind;
    let mut value = u64::from(*first) & most;
    if value < most {
        return Ok(value);
    }
    for shift in (0..56).step_by(7) {
        let (next, behind) = rest.split_first().ok_or(Trouble::Invalid)?;
        *rest = behind;
        value += u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Trouble::Invalid)
}

/// A text behind its length, of which the sign above its bits says whether it is packed.
fn text(rest: &mut &[u8], bits: u32, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let is_packed = rest.first().is_some_and(|first| first & (1 << bits) != 0);
    let length = usize::try_from(number(rest, bits)?).map_err(|_| Trouble::Invalid)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Trouble::Invalid)?;
    *rest = behind;
    if is_packed {
        return unpack(text, out).map_err(|()| Trouble::Invalid);
    }
    out.extend_from_slice(text);
    Ok(())
}

/// What stands before the fields of a section that needs no table.
pub fn begin_section(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field.
pub fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match number_of(name, value) {
        Some(Ok(known)) => return push_number(out, 0xc0, 6, known),
        Some(Err(known)) => push_number(out, 0x50, 4, known),
        None => {
            push_number(out, 0x20, 3, name.len());
            out.extend_from_slice(name);
        }
    }
    push_number(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

fn push_number(out: &mut Vec<u8>, signs: u8, bits: u32, value: usize) {
    let most = (1usize << bits) - 1;
    if value < most {
        return out.push(signs | value as u8);
    }
    out.push(signs | most as u8);
    let mut left = value - most;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &[u8]) -> Result<Vec<(String, String)>, Trouble> {
        let mut fields = Fields::default();
        fields.read(section, 4096)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(fields.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let long = "x".repeat(700);
        let fields = [
            (":method", "GET"),
            (":path", "/"),
            (":path", "/a?b"),
            ("user-agent", "loadflow"),
            ("x-a", ""),
            (&long[..300], &long),
            ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
        ];
        let mut section = Vec::new();
        begin_section(&mut section);
        fields.iter().for_each(|(name, value)| push_field(&mut section, name.as_bytes(), value.as_bytes()));
        let wanted: Vec<(String, String)> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(&section), Ok(wanted));
        for length in 3..section.len() {
            let _ = read(&section[..length]); // a part of it is an error or fewer fields, never more than an error
        }
    }

    #[test]
    fn the_example_of_the_rfc_and_packed_text() {
        // RFC 9204 appendix B.1
        let one = [&[0, 0, 0x51, 0x0b][..], b"/index.html"].concat();
        assert_eq!(read(&one), Ok(vec![(":path".into(), "/index.html".into())]));
        let packed = [0, 0, 0x2d, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0x82, 0x64, 0x02];
        assert!(read(&packed).is_err() || read(&packed).is_ok_and(|fields| fields.len() == 1));
        assert_eq!(read(&[0, 0, 0x5f, 0x09, 0x82, 0x64, 0x02]), Ok(vec![(":status".into(), "302".into())]));
    }

    #[test]
    fn what_needs_a_table_or_is_cut_is_refused() {
        let sections: [&[u8]; 11] = [
            b"",
            &[0],
            &[1, 0],
            &[0, 0, 0x80],                                                             // of the table
            &[0, 0, 0x40, 0x00],                                                       // its name there
            &[0, 0, 0x10],                                                             // behind its base
            &[0, 0, 0x00, 0x00],                                                       // the same of a name
            &[0, 0, 0xff, 0x24],                                                       // number 99
            &[0, 0, 0x51, 0x0b, b'/'],                                                 // shorter than it says
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // no number
            &[0, 0, 0x51, 0x81, 0xff],                                                 // badly packed
        ];
        for section in sections {
            assert_eq!(read(section), Err(Trouble::Invalid), "{section:?}");
        }
    }

    #[test]
    fn a_few_bytes_can_not_mean_many() {
        let mut section = vec![0, 0];
        section.extend([0xc0 | 58; 60]);
        assert_eq!(read(&section), Err(Trouble::TooLarge));
    }
}
