//! The chunked coding (RFC 9112 section 7.1), from pieces of any size.

/// In the words of `answer_reader.py`.
const NO_CHUNK: &str = "an invalid chunk";
const NO_FIELD: &str = "a trailer that is not a header field";
pub const MOST_LINE_BYTES: usize = 16 * 1024;
pub const MOST_TRAILER_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Default)]
enum At {
    #[default]
    Size,
    /// Blanks behind the size, which some servers put there.
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastLf,
    Done,
}

#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    left: u64,
    digits: usize,
    line_bytes: usize,
    trailer: Trailer,
}

/// How far a line of trailers is a header field.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Trailer {
    #[default]
    Name,
    Value,
}

impl Chunks {
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The next piece of the body in `rest`, which is moved behind it; None when all of `rest` was used, or at the end.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
        while let Some((&byte, after)) = rest.split_first() {
            if self.at == At::Data {
                let taken = self.left.min(rest.len() as u64) as usize;
                let (part, behind) = rest.split_at(taken);
                *rest = behind;
                self.left -= taken as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Some(part));
            }
            if self.at == At::Done {
                return Ok(None);
            }
            *rest = after;
            self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        self.line_bytes += 1;
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digits += 1;
                if self.digits > 15 {
                    return Err(NO_CHUNK);
                }
                self.left = self.left * 16 + u64::from((byte as char).to_digit(16).unwrap_or(0));
                At::Size
            }
            (At::Size, _) if self.digits == 0 => return Err(NO_CHUNK),
            (At::Size | At::Blank | At::Extension, b'\r') => At::SizeEnd,
            (At::Size | At::Blank, b' ' | b'\t') if self.line_bytes <= MOST_LINE_BYTES => At::Blank,
            (At::Size | At::Blank, b';') => At::Extension,
            (At::Extension, b'\n') => return Err(NO_CHUNK),
            (At::Extension, _) if self.line_bytes <= MOST_LINE_BYTES => At::Extension,
            (At::SizeEnd, b'\n') => {
                self.digits = 0;
                self.line_bytes = 0;
                self.trailer = Trailer::Name;
                if self.left == 0 { At::TrailerStart } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.line_bytes = 0;
                At::Size
            }
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::TrailerStart | At::Trailer, _) if self.line_bytes > MOST_TRAILER_BYTES => return Err("over 262,144 bytes of trailers"),
            (At::Trailer, b'\r') if self.trailer == Trailer::Value => At::TrailerEnd,
            (At::Trailer, b':') if self.trailer == Trailer::Name => {
                self.trailer = Trailer::Value;
                At::Trailer
            }
            (At::TrailerStart | At::Trailer, _) if self.trailer == Trailer::Name && is_token(byte) => At::Trailer,
            (At::Trailer, b'\t' | 0x20..=0x7e | 0x80..) if self.trailer == Trailer::Value => At::Trailer,
            (At::TrailerStart | At::Trailer, _) => return Err(NO_FIELD),
            (At::TrailerEnd, b'\n') => {
                self.trailer = Trailer::Name;
                At::TrailerStart
            }
            (At::LastLf, b'\n') => At::Done,
            (At::TrailerEnd | At::LastLf, _) => return Err(NO_FIELD),
            _ => return Err(NO_CHUNK),
        };
        Ok(())
    }
}

/// What the name of a field may hold (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
