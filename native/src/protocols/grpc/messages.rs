//! Messages in the body of an answer: each behind five bytes, whether it is compressed and how long it is.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};

use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::status::Status;
use crate::values::words::with_commas;

const HEAD_BYTES: usize = 5;
/// Bytes that even an empty message of a stream takes: `MESSAGE_COSTS` of `loadflow/engine/protocols/grpc/client.py`.
const MESSAGE_COSTS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Coding {
    None,
    Gzip,
    Deflate,
    Other,
}

impl Coding {
    pub const ACCEPTED: &str = "identity, deflate, gzip";

    pub fn of(name: Option<&[u8]>) -> Self {
        match name {
            None | Some(b"identity") => Coding::None,
            Some(b"gzip") => Coding::Gzip,
            Some(b"deflate") => Coding::Deflate,
            Some(_) => Coding::Other,
        }
    }
}

/// What comes of a piece of a body.
#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// The call ends with this status.
    Status(Status),
    /// It ends without one.
    Failure(Failure),
}

#[derive(Debug)]
pub struct Messages {
    pub coding: Coding,
    /// One, or any number of them.
    streams: bool,
    most_bytes: usize,
    /// Of the message that comes, with what stands before it.
    part: Vec<u8>,
    pub whole: Vec<Vec<u8>>,
    /// Of all that are whole.
    pub bytes: usize,
}

impl Messages {
    pub fn new(streams: bool, most_bytes: usize) -> Self {
        Messages { coding: Coding::None, streams, most_bytes, part: Vec::new(), whole: Vec::new(), bytes: 0 }
    }

    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), Wrong> {
        while !piece.is_empty() {
            if self.part.len() < HEAD_BYTES {
                let missing = (HEAD_BYTES - self.part.len()).min(piece.len());
                self.part.extend_from_slice(&piece[..missing]);
                piece = &piece[missing..];
            }
            let Some([packed, length @ ..]) = self.part.first_chunk::<HEAD_BYTES>() else { return Ok(()) };
            let (packed, length) = (*packed, u32::from_be_bytes(*length));
            if packed > 1 {
                return Err(Wrong::Status(Status::bad_message(&format!("Bad GRPC frame type 0x{packed:02x}"))));
            }
            if length as usize > self.most_bytes {
                return Err(Wrong::Status(Status::too_large(length.into(), self.most_bytes)));
            }
            let missing = (HEAD_BYTES + length as usize - self.part.len()).min(piece.len());
            self.part.extend_from_slice(&piece[..missing]);
            piece = &piece[missing..];
            if self.part.len() == HEAD_BYTES + length as usize {
                self.end_message(packed == 1)?;
            }
        }
        Ok(())
    }

    fn end_message(&mut self, is_packed: bool) -> Result<(), Wrong> {
        let message = if is_packed { self.unpacked()? } else { self.part[HEAD_BYTES..].to_vec() };
        self.part.clear();
        if self.part.capacity() > 65_536 {
            self.part = Vec::new();
        }
        if !self.streams && !self.whole.is_empty() {
            return Ok(()); // the first one is the answer
        }
        self.bytes += message.len();
        self.whole.push(message);
        if self.streams && self.bytes + MESSAGE_COSTS * self.whole.len() > self.most_bytes + MESSAGE_COSTS {
            let most = with_commas(self.most_bytes as u64);
            let text = format!("the messages are over max_body_bytes ({most}), where each counts {MESSAGE_COSTS} more");
            return Err(Wrong::Failure(Failure::new(Outcome::TooLarge, text)));
        }
        Ok(())
    }

    fn unpacked(&self) -> Result<Vec<u8>, Wrong> {
        let bytes = &self.part[HEAD_BYTES..];
        let mut out = Vec::new();
        let most = self.most_bytes as u64 + 1;
        let done = match self.coding {
            Coding::Gzip => GzDecoder::new(bytes).take(most).read_to_end(&mut out),
            Coding::Deflate => ZlibDecoder::new(bytes).take(most).read_to_end(&mut out),
            Coding::None => return Err(Wrong::Status(Status::bad_message("a compressed message, and no grpc-encoding that says how"))),
            Coding::Other => return Err(Wrong::Status(Status::bad_message("a message in a grpc-encoding that was not offered"))),
        };
        match done {
            Ok(_) if out.len() as u64 == most => Err(Wrong::Status(Status::too_large(most, self.most_bytes))),
            Ok(_) => Ok(out),
            Err(_) => Err(Wrong::Status(Status::bad_message("Unexpected error decompressing data"))),
        }
    }
}
