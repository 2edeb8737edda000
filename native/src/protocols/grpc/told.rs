//! The messages of an answer, as assertions see them: JSON, made when one looks at it.

use std::sync::Arc;

use crate::plan::outcome::{Failure, Outcome};
use crate::plan::rpc::Rpc;
use crate::protocols::grpc::read::{count, read};
use crate::protocols::grpc::show::push;
use crate::protocols::grpc::wire::check;
use crate::values::words::with_commas;

/// Of one answer that become JSON: as `MOST_VALUES` of `loadflow/engine/protocols/grpc/reply.py`.
const MOST_VALUES: usize = 100_000;
/// On the wire a value may be sent again and again, of which the last one counts. More are not even read.
const MOST_SENT: usize = 10 * MOST_VALUES;

#[derive(Debug, PartialEq)]
pub struct Told {
    pub rpc: Arc<Rpc>,
    pub messages: Vec<Vec<u8>>,
}

/// `json` None: the text is none, though it may look like it.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub text: Vec<u8>,
    pub json: Option<Vec<u8>>,
}

impl Told {
    /// Whether each is a message of the method.
    pub fn is_right(&self) -> bool {
        self.messages.iter().all(|message| check(&self.rpc, self.rpc.reply, message).is_ok())
    }

    /// `details`: what the server said to the status, which is the text where no message came.
    pub fn seen(&self, details: &str) -> Result<Seen, Failure> {
        if self.messages.is_empty() {
            return Ok(Seen { text: details.into(), json: self.rpc.server_streams.then(|| b"[]".to_vec()) });
        }
        let json = self.json()?;
        Ok(Seen { text: json.clone().into_bytes(), json: Some(json.into_bytes()) })
    }

    fn json(&self) -> Result<String, Failure> {
        let rpc = &*self.rpc;
        let most = || {
            let text = format!("the answer holds more than {} values, too many to be looked at", with_commas(MOST_VALUES as u64));
            Failure::new(Outcome::TooLarge, text)
        };
        let unsayable = || Failure::new(Outcome::Protocol, "the answer holds what JSON can't say");
        let sent: usize = self.messages.iter().map(|message| check(rpc, rpc.reply, message).unwrap_or(0)).sum();
        if sent > MOST_SENT {
            return Err(most());
        }
        let trees = self.messages.iter().map(|message| read(rpc, rpc.reply, message));
        let trees = trees.collect::<Result<Vec<_>, _>>().map_err(|_| unsayable())?;
        if trees.iter().map(|tree| count(rpc, tree)).sum::<usize>() > MOST_VALUES {
            return Err(most());
        }
        let mut out = String::new();
        for (index, tree) in trees.iter().enumerate() {
            if rpc.server_streams {
                out.push(if index == 0 { '[' } else { ',' });
            }
            push(&mut out, rpc, tree).map_err(|_| unsayable())?;
        }
        if rpc.server_streams {
            out.push(']');
        }
        Ok(out)
    }
}
