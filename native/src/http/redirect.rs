//! The request that follows a redirect (RFC 9110 section 15.4), as browsers make it.

use crate::http::answer::latin1;
use crate::http::place::{authority, is_plain_target, split_plain, url_of};
use crate::http::request::Outgoing;
use crate::plan::host::Host;
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::{Assembled, Place};

pub const MOST: u32 = 30;

pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; Err for a place that can't be asked.
pub fn resolve(from: &Place, request: &Outgoing, location: &[u8], host: &mut dyn Host) -> Result<(Place, String), Failure> {
    if let Ok(text) = std::str::from_utf8(location) {
        let dots = text.contains("/.") || text.contains("//");
        if text.starts_with('/') && !dots && is_plain_target(text) {
            return Ok((from.clone(), text.to_owned()));
        }
        if let Some((place, target)) = split_plain(text)
            && !target.contains("/.")
        {
            let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
            return Ok((seen_from(from, place), target));
        }
    }
    let refused = |text: String| Failure::new(Outcome::Redirect, text);
    let url = host.join(&url_of(from, request.target()), location).map_err(refused)?;
    let asked = host.place(&url).map_err(refused)?;
    Ok((seen_from(from, asked.place), asked.target))
}

/// TLS trusts whom it trusted before, and calls the peer what it called it as long as that is the same.
fn seen_from(from: &Place, to: Place) -> Place {
    let sni = if is_away(from, &to) { None } else { from.sni.clone() };
    Place { tls: from.tls, sni, ..to }
}

fn is_away(from: &Place, to: &Place) -> bool {
    (from.https, &from.host, from.port) != (to.https, &to.host, to.port)
}

/// 303, and 301 and 302 after POST, go on with GET and without a body; credentials stay with the host they were meant for.
pub fn follow(request: &Outgoing, from: &Place, status: u16, to: &Place, target: &str) -> Assembled {
    let mut lines = request.head().split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let method = latin1(lines.next().and_then(|line| line.split(|byte| *byte == b' ').next()).unwrap_or(b"GET"));
    let to_get = (status == 303 && method != "HEAD") || (matches!(status, 301 | 302) && method == "POST");
    let (method, body): (&str, &[u8]) = if to_get { ("GET", b"") } else { (&method, request.body()) };
    let away = is_away(from, to);
    let own_host = request.own_host && !away;
    let own_length = request.own_length && !to_get;
    let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    if !own_host {
        head.extend_from_slice(format!("Host: {}\r\n", authority(to)).as_bytes());
    }
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or(b"").to_ascii_lowercase();
        let left_out = match name.as_slice() {
            b"host" => !own_host,
            b"content-length" => !own_length,
            b"content-type" | b"transfer-encoding" => to_get,
            b"authorization" | b"proxy-authorization" | b"cookie" => away,
            _ => false,
        };
        if !left_out {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
    }
    if !own_length && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    Assembled {
        place: to.clone(),
        head,
        body: body.to_vec(),
        cookies: if away { String::new() } else { request.cookies.clone() },
        own_host,
        own_length,
        closes: request.closes,
        limits: request.limits,
        tls: None,
        digest: if away { None } else { request.digest.clone() },
    }
}
