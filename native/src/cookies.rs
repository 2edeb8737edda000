//! One virtual user's cookies, with the rules of Python's `http.cookiejar` that the other HTTP users follow.

use crate::answer::latin1;
use crate::plan::Place;

/// RFC 6265 section 6.1 asks for 50 per domain, and a target may set new ones without end.
const MOST_COOKIES: usize = 300;

#[derive(Debug)]
struct Cookie {
    name: String,
    value: Option<String>,
    /// with a dot before it where the target named it
    domain: String,
    path: String,
    secure: bool,
    /// seconds since the epoch
    expires: Option<i64>,
}

#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Takes one Set-Cookie field of the answer to a request for `path` at `place`.
    pub fn store(&mut self, field: &[u8], place: &Place, path: &str, now_s: i64) {
        let text = latin1(field);
        let Some(cookie) = read(&text, place, path, now_s) else { return };
        let old = self.cookies.iter().position(|one| one.name == cookie.name && one.domain == cookie.domain && one.path == cookie.path);
        match (old, cookie.expires.is_some_and(|expires| expires <= now_s)) {
            (Some(at), true) => drop(self.cookies.remove(at)),
            (None, true) => {}
            (Some(at), false) => self.cookies[at] = cookie,
            (None, false) => self.cookies.push(cookie),
        }
        if self.cookies.len() > MOST_COOKIES {
            self.cookies.remove(0);
        }
    }

    /// The value of the Cookie field; "" when there is none. The step's own cookies come last and replace others of their name.
    pub fn header_for(&self, place: &Place, path: &str, own: &str, now_s: i64) -> String {
        let host = effective(&place.host);
        let mut fitting: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| {
                (!cookie.secure || place.https)
                    && cookie.expires.is_none_or(|expires| expires > now_s)
                    && domain_fits(&host, &cookie.domain)
                    && path_fits(path, &cookie.path)
                    && !own.split(';').any(|pair| pair.split('=').next().unwrap_or("").trim() == cookie.name)
            })
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut out = String::new();
        for cookie in fitting {
            if !out.is_empty() {
                out.push_str("; ");
            }
            out.push_str(&cookie.name);
            if let Some(value) = &cookie.value {
                out.push('=');
                out.push_str(value);
            }
        }
        if !out.is_empty() && !own.is_empty() {
            out.push_str("; ");
        }
        out.push_str(own);
        out
    }
}

/// A name without dots counts as one of the domain `local` (RFC 2965).
fn effective(host: &str) -> String {
    if host.contains('.') || host.contains(':') { host.to_owned() } else { format!("{host}.local") }
}

fn domain_fits(host: &str, domain: &str) -> bool {
    let bare = domain.strip_prefix('.').unwrap_or(domain);
    host == bare || host.strip_suffix(bare).is_some_and(|before| before.ends_with('.'))
}

fn path_fits(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || wanted.ends_with('/') || rest.starts_with('/'))
}

fn read(text: &str, place: &Place, path: &str, now_s: i64) -> Option<Cookie> {
    let mut parts = text.split(';').map(str::trim);
    let first = parts.next()?;
    let (name, value) = match first.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
        None => (first, None),
    };
    if name.is_empty() {
        return None;
    }
    let host = effective(&place.host);
    let mut cookie = Cookie {
        name: name.to_owned(),
        value,
        domain: host.clone(),
        path: path.rfind('/').map_or("/", |at| if at == 0 { "/" } else { &path[..at] }).to_owned(),
        secure: false,
        expires: None,
    };
    let mut lives_s = None;
    for part in parts {
        let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim().trim_matches('"')));
        match key.to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "domain" if !value.is_empty() => {
                let bare = value.trim_start_matches('.').to_ascii_lowercase();
                if !may_set(&host, &bare) {
                    return None;
                }
                cookie.domain = format!(".{bare}");
            }
            "expires" => cookie.expires = http_date(value),
            "max-age" => lives_s = Some(value.parse::<i64>().ok()?),
            _ => {}
        }
    }
    if let Some(lives_s) = lives_s {
        cookie.expires = Some(now_s.saturating_add(lives_s));
    }
    Some(cookie)
}

/// A host may set cookies for itself and the domain right above it, but not for a whole top-level domain.
fn may_set(host: &str, domain: &str) -> bool {
    if !domain.contains('.') && domain != "local" {
        return false;
    }
    match host.strip_suffix(domain) {
        Some("") => true,
        Some(before) => before.strip_suffix('.').is_some_and(|label| !label.contains('.')),
        None => false,
    }
}

/// Seconds since the epoch of a date such as `Wed, 09 Jun 2027 10:18:14 GMT` or `09-Jun-27 10:18:14`.
fn http_date(text: &str) -> Option<i64> {
    let (mut day, mut month, mut year, mut clock) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            let mut parts = word.split(':').map(|part| part.parse::<i64>().ok());
            clock = Some(parts.next()?? * 3600 + parts.next()?? * 60 + parts.next().flatten().unwrap_or(0));
        } else if let Ok(number) = word.parse::<i64>() {
            if day.is_none() {
                day = Some(number);
            } else {
                year.get_or_insert(number);
            }
        } else if let Some(at) =
            MONTHS.iter().position(|name| word.len() >= 3 && word.is_char_boundary(3) && word[..3].eq_ignore_ascii_case(name))
        {
            month = Some(at as i64);
        }
    }
    let year = match year? {
        short @ 0..70 => short + 2000,
        short @ 70..100 => short + 1900,
        year => year,
    };
    Some(days(year, month? + 1, day?) * 86_400 + clock.unwrap_or(0))
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str) -> Place {
        Place { https: false, host: host.into(), port: 80, tls: 0 }
    }

    #[test]
    fn dates_are_read_in_their_usual_forms() {
        for text in ["Wed, 09 Jun 2027 10:18:14 GMT", "Wednesday, 09-Jun-27 10:18:14 GMT", "09 Jun 2027 10:18:14"] {
            assert_eq!(http_date(text), Some(1_812_536_294), "{text}");
        }
        assert_eq!(http_date("soon"), None);
    }

    #[test]
    fn a_cookie_goes_where_it_belongs() {
        let mut jar = Jar::default();
        let shop = place("shop.example.com");
        for field in ["a=1", "b=2; Path=/x", "c=3; Domain=example.com; Path=/", "d=4; Domain=com", "e=5; Secure", "f=6; Max-Age=0"] {
            jar.store(field.as_bytes(), &shop, "/x/y", 1000);
        }
        assert_eq!(jar.header_for(&shop, "/x/y", "", 1000), "a=1; b=2; c=3");
        assert_eq!(jar.header_for(&shop, "/xy", "", 1000), "c=3");
        assert_eq!(jar.header_for(&shop, "/x", "c=mine", 1000), "a=1; b=2; c=mine");
        assert_eq!(jar.header_for(&place("other.example.com"), "/x/y", "", 1000), "c=3");
        assert_eq!(jar.header_for(&place("elsewhere.test"), "/x/y", "", 1000), "");
    }
}
