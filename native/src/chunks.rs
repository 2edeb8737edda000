//! The chunked coding (RFC 9112 section 7.1), from pieces of any size.

const MOST_LINE_BYTES: usize = 16 * 1024;
const MOST_TRAILER_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Default)]
enum At {
    #[default]
    Size,
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
                    return Err("a chunk that is too long");
                }
                self.left = self.left * 16 + u64::from((byte as char).to_digit(16).unwrap_or(0));
                At::Size
            }
            (At::Size, _) if self.digits == 0 => return Err("a chunk without a length"),
            (At::Size | At::Extension, b'\r') => At::SizeEnd,
            (At::Size, b';' | b' ' | b'\t') => At::Extension,
            (At::Extension, b'\n') => return Err("a line of a chunk ends without CR"),
            (At::Extension, _) if self.line_bytes <= MOST_LINE_BYTES => At::Extension,
            (At::SizeEnd, b'\n') => {
                self.digits = 0;
                self.line_bytes = 0;
                if self.left == 0 { At::TrailerStart } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.line_bytes = 0;
                At::Size
            }
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::TrailerStart | At::Trailer, b'\n' | 0) => return Err("a trailer that is no header field"),
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerStart | At::Trailer, _) if self.line_bytes <= MOST_TRAILER_BYTES => At::Trailer,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::LastLf, b'\n') => At::Done,
            _ => return Err("a chunk that is none"),
        };
        Ok(())
    }
}
