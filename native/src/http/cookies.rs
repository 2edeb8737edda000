//! One virtual user's cookies, by RFC 6265; `loadflow/engine/protocols/http/cookies.py` says the same.

use crate::http::answer::latin1;
use crate::plan::Place;

/// Of one user; a target may set new ones without end.
pub const MOST_COOKIES: usize = 300;
/// Of one domain, as Chrome keeps; RFC 6265 section 6.1 asks for 50.
pub const MOST_HOST_COOKIES: usize = 180;
/// Of a name and value together; more are no cookie (draft-ietf-httpbis-rfc6265bis section 5.7).
pub const MOST_PAIR_BYTES: usize = 4096;
/// Of the value of an attribute; one of more is left out (section 5.6).
pub const MOST_ATTRIBUTE_BYTES: usize = 1024;

const SPACES: [char; 2] = [' ', '\t'];

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// For no other host below the domain.
    host_only: bool,
    path: String,
    secure: bool,
    /// Seconds since the epoch; None: until the end.
    expires: Option<i64>,
}

/// In the order in which they were created.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Takes one Set-Cookie field of the answer to a request for `path` at `place` (section 5.3).
    pub fn store(&mut self, field: &[u8], place: &Place, path: &str, now_s: i64) {
        let text = latin1(field);
        let Some(cookie) = read(&text, place, path, now_s) else { return };
        let old = self.cookies.iter().position(|one| one.name == cookie.name && one.domain == cookie.domain && one.path == cookie.path);
        match (old, cookie.expires.is_some_and(|expires| expires <= now_s)) {
            (Some(at), true) => drop(self.cookies.remove(at)),
            (None, true) => {}
            (Some(at), false) => self.cookies[at] = cookie,
            (None, false) => self.add(cookie),
        }
    }

    fn add(&mut self, cookie: Cookie) {
        let of_domain = self.cookies.iter().filter(|one| one.domain == cookie.domain).count();
        if of_domain >= MOST_HOST_COOKIES
            && let Some(oldest) = self.cookies.iter().position(|one| one.domain == cookie.domain)
        {
            self.cookies.remove(oldest);
        }
        self.cookies.push(cookie);
        if self.cookies.len() > MOST_COOKIES {
            self.cookies.remove(0);
        }
    }

    /// The value of the Cookie field (section 5.4); "" when there is none. The step's own cookies come last and replace others of
    /// their name.
    pub fn header_for(&self, place: &Place, path: &str, own: &str, now_s: i64) -> String {
        let mut fitting: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| {
                (!cookie.secure || place.https)
                    && cookie.expires.is_none_or(|expires| expires > now_s)
                    && if cookie.host_only { place.host == cookie.domain } else { domain_fits(&place.host, &cookie.domain) }
                    && path_fits(path, &cookie.path)
                    && !own.split(';').any(|pair| pair.split('=').next().unwrap_or("").trim_matches(SPACES) == cookie.name)
            })
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.chars().count()));
        let mut out = String::new();
        for cookie in fitting {
            if !out.is_empty() {
                out.push_str("; ");
            }
            out.push_str(&cookie.name);
            out.push('=');
            out.push_str(&cookie.value);
        }
        if !out.is_empty() && !own.is_empty() {
            out.push_str("; ");
        }
        out.push_str(own);
        out
    }
}

/// Section 5.1.3.
fn domain_fits(host: &str, domain: &str) -> bool {
    let is_address = host.contains(':') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host == domain || (!is_address && host.strip_suffix(domain).is_some_and(|before| before.ends_with('.')))
}

/// Section 5.1.4.
fn path_fits(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || wanted.ends_with('/') || rest.starts_with('/'))
}

/// Section 5.1.4.
fn default_path(path: &str) -> &str {
    path.rfind('/').filter(|at| *at > 0 && path.starts_with('/')).map_or("/", |at| &path[..at])
}

/// Section 5.2, and what section 5.3 refuses.
fn read(text: &str, place: &Place, path: &str, now_s: i64) -> Option<Cookie> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim_matches(SPACES), value.trim_matches(SPACES));
    if name.is_empty() || bytes_of(name) + bytes_of(value) > MOST_PAIR_BYTES {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: place.host.clone(),
        host_only: true,
        path: default_path(path).to_owned(),
        secure: false,
        expires: None,
    };
    let (mut lives_s, mut domain) = (None, String::new());
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim_matches(SPACES);
        if bytes_of(value) > MOST_ATTRIBUTE_BYTES {
            continue;
        }
        match key.trim_matches(SPACES).to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "path" => cookie.path = if value.starts_with('/') { value } else { default_path(path) }.to_owned(),
            "domain" if !value.is_empty() => domain = value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase(),
            "expires" => cookie.expires = cookie_date(value).or(cookie.expires),
            "max-age" => lives_s = max_age(value).or(lives_s),
            _ => {}
        }
    }
    if let Some(lives_s) = lives_s {
        cookie.expires = Some(now_s + lives_s);
    }
    if domain.is_empty() || domain == place.host {
        cookie.host_only = domain.is_empty() || !domain.contains('.');
    } else if domain.contains('.') && domain_fits(&place.host, &domain) {
        (cookie.domain, cookie.host_only) = (domain, false);
    } else {
        return None; // another's domain, or a whole top-level one
    }
    Some(cookie)
}

/// Of a part of a field, which is text in Latin-1 here: a byte of the field is a letter of it.
fn bytes_of(text: &str) -> usize {
    text.chars().count()
}

/// Section 5.2.2, with bounds; None if it is not a number of seconds.
fn max_age(text: &str) -> Option<i64> {
    const LONGEST_S: i64 = 10_i64.pow(12);
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if text.starts_with('-') { -1 } else { digits.parse().unwrap_or(LONGEST_S).min(LONGEST_S) })
}

/// Section 5.1.1: seconds since the epoch.
fn cookie_date(text: &str) -> Option<i64> {
    let (mut clock, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |one: char| matches!(one, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~');
    for word in text.split(is_delimiter).filter(|word| !word.is_empty()) {
        if clock.is_none()
            && let Some(found) = time_of(word)
        {
            clock = Some(found);
        } else if day.is_none()
            && let Some(found) = leading_number(word, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(word)
        {
            month = Some(found);
        } else if year.is_none() {
            year = leading_number(word, 2, 4);
        }
    }
    let ((hour, minute, second), day, month) = (clock?, day?, month?);
    let year = match year? {
        short @ 0..70 => short + 2000,
        short @ 70..100 => short + 1900,
        year => year,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
    if !(1..=last).contains(&day) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A number of `least` to `most` digits, behind which no digit stands.
fn leading_number(word: &str, least: usize, most: usize) -> Option<i64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    (least..=most).contains(&digits).then(|| word[..digits].parse().ok()).flatten()
}

fn time_of(word: &str) -> Option<(i64, i64, i64)> {
    let (hour, rest) = word.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let whole = |text: &str| leading_number(text, 1, 2).filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    Some((whole(hour)?, whole(minute)?, leading_number(second, 1, 2)?))
}

fn month_of(word: &str) -> Option<i64> {
    let start = word.get(..3)?;
    MONTHS.iter().position(|name| start.eq_ignore_ascii_case(name)).map(|at| at as i64 + 1)
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
        Place { host: host.into(), port: 80, ..Place::default() }
    }

    #[test]
    fn dates_are_read_in_their_usual_forms() {
        for text in ["Wed, 09 Jun 2027 10:18:14 GMT", "Wednesday, 09-Jun-27 10:18:14 GMT", "09 Jun 2027 10:18:14"] {
            assert_eq!(cookie_date(text), Some(1_812_536_294), "{text}");
        }
        for text in ["soon", "30 Feb 2027 10:18:14", "09 Jun 1600 10:18:14", "09 Jun 2027 24:18:14", "09 Jun 2027"] {
            assert_eq!(cookie_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_cookie_goes_where_it_belongs() {
        let mut jar = Jar::default();
        let shop = place("shop.example.com");
        for field in ["a=1", "b=2; Path=/x", "c=3; Domain=example.com; Path=/", "d=4; Domain=com", "e=5; Secure", "f=6; Max-Age=0", "g"] {
            jar.store(field.as_bytes(), &shop, "/x/y", 1000);
        }
        assert_eq!(jar.header_for(&shop, "/x/y", "", 1000), "a=1; b=2; c=3");
        assert_eq!(jar.header_for(&shop, "/xy", "", 1000), "c=3");
        assert_eq!(jar.header_for(&shop, "/x", "c=mine", 1000), "a=1; b=2; c=mine");
        assert_eq!(jar.header_for(&place("other.example.com"), "/x/y", "", 1000), "c=3");
        assert_eq!(jar.header_for(&place("elsewhere.test"), "/x/y", "", 1000), "");
    }
}
