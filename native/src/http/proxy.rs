//! The way by a proxy: what its answer to CONNECT means, and requests that name their whole URL.
//! `loadflow/engine/protocols/http/tunnel.py` says the same.

use crate::http::reading::{Broken, Progress, Reader};
use crate::http::request::Outgoing;
use crate::os::turn::is_endless;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome};

/// What fails at a proxy says so: else it would look like a fault of the target.
pub fn trouble(proxy: &Proxy, text: &str) -> Failure {
    Failure::new(Outcome::Connect, format!("{}: {text}", proxy.name))
}

/// Its answer was 407.
pub fn no_credentials(proxy: &Proxy, reason: &[u8]) -> Failure {
    let hint = "write user and password before its host, as USER:PASSWORD@HOST";
    trouble(proxy, &format!("{}; {hint}", status_line(407, reason)))
}

fn status_line(status: u16, reason: &[u8]) -> String {
    format!("{status} {}", String::from_utf8_lossy(if reason.is_ascii() { reason } else { b"" })).trim_end().to_owned()
}

/// A tunnel that is asked for.
#[derive(Default)]
pub struct Tunnel {
    pub reader: Reader,
    pub sent: usize,
    received: u64,
}

impl Tunnel {
    pub fn new() -> Self {
        let mut tunnel = Tunnel::default();
        // an answer without a body: whatever its header fields say, the tunnel begins behind them
        tunnel.reader.begin(true, 0, 0);
        tunnel
    }

    /// The next block that came, an empty one at the end. None: more is needed; else the tunnel is there, and so many bytes at the end of
    /// the block came by it.
    pub fn feed(&mut self, block: &[u8], proxy: &Proxy) -> Result<Option<usize>, Failure> {
        self.received += block.len() as u64;
        let read = if block.is_empty() { self.reader.ended() } else { self.reader.feed(block) };
        match read {
            Ok(Progress::More) if is_endless(self.received, 0) => {
                return Err(trouble(proxy, "over 1,048,576 bytes beside the body, and no end"));
            }
            Ok(Progress::More) => return Ok(None),
            Ok(Progress::Whole) => {}
            Err(Broken::Protocol(text)) => return Err(trouble(proxy, &text)),
            Err(Broken::Closed(what)) => return Err(trouble(proxy, &format!("the connection was closed before {what}"))),
            Err(Broken::TooLarge) => return Err(trouble(proxy, "a body where there is none")),
        }
        match (self.reader.status, self.reader.reason(block)) {
            (407, reason) => Err(no_credentials(proxy, reason)),
            (status @ 300.., reason) => Err(trouble(proxy, &status_line(status, reason))),
            _ => Ok(Some(self.reader.behind)),
        }
    }
}

/// The bytes of a request for a proxy that makes no tunnel (RFC 9112 section 3.2.2): the whole URL in its first line, and our credentials.
pub fn lay_out(request: &Outgoing, proxy: &Proxy, out: &mut Vec<u8>) {
    let bytes = &request.bytes;
    let target = memchr::memchr(b' ', bytes).map_or(0, |at| at + 1);
    let fields = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    out.clear();
    for part in [&bytes[..target], proxy.origin.as_bytes(), &bytes[target..fields], proxy.credentials.as_bytes(), &bytes[fields..]] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> Proxy {
        Proxy {
            name: "the proxy p:1".into(),
            credentials: "Proxy-Authorization: x\r\n".into(),
            origin: "http://a:8".into(),
            ..Proxy::default()
        }
    }

    type Means = Result<Option<usize>, &'static str>;

    fn fed(answer: &[u8], size: usize) -> Result<Option<usize>, String> {
        let mut tunnel = Tunnel::new();
        let mut last = Ok(None);
        for block in answer.chunks(size.max(1)) {
            last = tunnel.feed(block, &proxy()).map_err(|failure| failure.text);
            if last != Ok(None) {
                break;
            }
        }
        last
    }

    #[test]
    fn an_answer_means_the_same_in_one_piece_and_byte_by_byte() {
        let table: [(&[u8], Means); 7] = [
            (b"HTTP/1.1 200 Connection established\r\n\r\n", Ok(Some(0))),
            (
                b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
                Err("the proxy p:1: both Content-Length and Transfer-Encoding"),
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Ok(Some(0))),
            (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok(Some(0))),
            (b"HTTP/1.1 503 Not now\r\nContent-Length: 5\r\n\r\n", Err("the proxy p:1: 503 Not now")),
            (b"SSH-2.0-x", Err(r#"the proxy p:1: no HTTP answer: "SSH-2.0-x""#)),
            (b"HTTP/1.1 200 OK\r\n", Ok(None)),
        ];
        for (answer, wanted) in table {
            let wanted = wanted.map_err(str::to_owned);
            let (whole, pieces) = (fed(answer, answer.len()), fed(answer, 1));
            assert_eq!(whole, wanted, "{answer:?}");
            assert_eq!(pieces.is_ok(), wanted.is_ok(), "{answer:?}");
        }
    }

    #[test]
    fn what_is_behind_the_answer_came_by_the_tunnel() {
        assert_eq!(fed(b"HTTP/1.1 200 OK\r\n\r\nabc", 1000), Ok(Some(3)));
        assert_eq!(fed(b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc", 1000), Ok(Some(3)));
    }

    #[test]
    fn a_request_for_a_proxy_names_the_whole_url() {
        let request = Outgoing { bytes: b"GET /x HTTP/1.1\r\nHost: a:8\r\n\r\nbody".to_vec(), ..Outgoing::default() };
        let mut out = Vec::new();
        lay_out(&request, &proxy(), &mut out);
        assert_eq!(out, b"GET http://a:8/x HTTP/1.1\r\nProxy-Authorization: x\r\nHost: a:8\r\n\r\nbody");
    }
}
