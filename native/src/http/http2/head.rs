//! The head of a request as HTTP/2 has it: from the lines of HTTP/1.1 that every request is laid out as.

use http::header::{HOST, TE};
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::http::place::authority;
use crate::plan::Place;
use crate::plan::outcome::{Failure, Outcome};

/// A request has User-Agent, Accept, Accept-Encoding, and some of its own.
const USUAL_FIELDS: usize = 6;

/// What a request looks like in HTTP/2: no request line, `:authority` for Host, names in lower case, and no field about the
/// connection (RFC 9113 section 8.2.2). `lines` are those of the head, the empty one behind them left out or not.
pub fn head_of(lines: &[u8], place: &Place) -> Result<Request<()>, Failure> {
    let mut lines = lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next().unwrap_or_default()).map_err(|_| unsendable("the method"))?;
    let target = PathAndQuery::try_from(words.next().unwrap_or(b"/")).map_err(|_| unsendable("the path"))?;
    let mut fields = HeaderMap::with_capacity(USUAL_FIELDS);
    let mut host = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| unsendable("the name of a header"))?;
        let value = line[colon + 1..].trim_ascii();
        if name == HOST {
            host = Some(Authority::try_from(value).map_err(|_| unsendable("the header Host"))?);
        } else if !is_of_connection(&name, value) {
            let shown = HeaderValue::from_bytes(value).map_err(|_| unsendable("the value of a header"))?;
            fields.try_append(name, shown).map_err(|_| unsendable("too many headers"))?;
        }
    }
    let host = match host {
        Some(host) => host,
        None => Authority::try_from(authority(place)).map_err(|_| unsendable("the host"))?,
    };
    let scheme = if place.https { Scheme::HTTPS } else { Scheme::HTTP };
    let mut parts = uri::Parts::default();
    (parts.scheme, parts.authority, parts.path_and_query) = (Some(scheme), Some(host), Some(target));
    let uri = Uri::from_parts(parts).map_err(|_| unsendable("the URL"))?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, fields);
    Ok(request)
}

fn is_of_connection(name: &HeaderName, value: &[u8]) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        _ => name == TE && !value.eq_ignore_ascii_case(b"trailers"),
    }
}

fn unsendable(what: &str) -> Failure {
    Failure::new(Outcome::Template, format!("{what} can't be sent in HTTP/2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &str) -> Result<String, String> {
        let place = Place { https: true, host: "shop.example".into(), port: 8443, ..Place::default() };
        let request = head_of(lines.as_bytes(), &place).map_err(|failure| failure.text)?;
        let fields: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap_or("?"))).collect();
        Ok(format!("{} {} {}", request.method(), request.uri(), fields.join(" ")))
    }

    #[test]
    fn a_head_of_http_1_becomes_one_of_http_2() {
        let usual = "GET /a?b=[1] HTTP/1.1\r\nHost: shop.example:8443\r\nX-A:  1 \r\nCookie: a=1\r\n\r\n";
        assert_eq!(shown(usual), Ok("GET https://shop.example:8443/a?b=[1] x-a=1 cookie=a=1".into()));
        let other = "POST / HTTP/1.1\r\nConnection: close\r\nTE: gzip\r\nUpgrade: x\r\nContent-Length: 0\r\n";
        assert_eq!(shown(other), Ok("POST https://shop.example:8443/ content-length=0".into()));
        assert_eq!(shown("GET / HTTP/1.1\r\nTE: trailers\r\n"), Ok("GET https://shop.example:8443/ te=trailers".into()));
    }

    #[test]
    fn what_http_2_can_not_say_is_a_failure_of_the_request() {
        for lines in ["GET / HTTP/1.1\r\nHost: a b\r\n", "GET / HTTP/1.1\r\nX Y: 1\r\n", "GET / HTTP/1.1\r\nX: a\x00b\r\n"] {
            assert!(shown(lines).is_err_and(|text| text.ends_with("can't be sent in HTTP/2")), "{lines}");
        }
    }
}
