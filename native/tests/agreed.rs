//! What both engines must agree on stands in one file; `tests/records/test_agreed.py` holds Python to the same.

use std::fs;
use std::path::Path;

use _native::http::answer;
use _native::http::chunks;
use _native::http::cookies;
use _native::http::reading;
use _native::http::redirect;
use _native::http::work;
use _native::load::hitlog::{HitLog, Row, Timings};
use _native::load::run;
use _native::os::turn;
use _native::plan::outcome::{DRAINED, EVENT, FIRST, LAST, LATE, Outcome, RETRY, SETUP, SUPERSEDED};
use _native::values::value;
use serde_json::{Value, json};

fn agreed() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loadflow/engine/records/agreed.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// `TooLarge` as `too_large`.
fn label(outcome: Outcome) -> String {
    let mut out = String::new();
    for (at, letter) in format!("{outcome:?}").char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[test]
fn outcomes_and_flags() {
    let agreed = agreed();
    let ours: serde_json::Map<String, Value> = Outcome::ALL.into_iter().map(|one| (label(one), json!(one as u8))).collect();
    assert_eq!(Value::Object(ours), agreed["outcomes"]);
    let unsent: Vec<String> = Outcome::ALL.into_iter().filter(|one| !one.sent()).map(label).collect();
    assert_eq!(json!(unsent), agreed["outcomes_without_a_request"]);
    assert_eq!(
        json!({"retry": RETRY, "superseded": SUPERSEDED, "drained": DRAINED, "late": LATE, "last": LAST, "first": FIRST, "setup": SETUP, "event": EVENT}),
        agreed["flags"]
    );
}

#[test]
fn the_hit_log() {
    let agreed = agreed()["hit_log"].clone();
    let path = std::env::temp_dir().join(format!("loadflow-agreed-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let mut log = HitLog::create(&path, 0, 0, 0).unwrap();
    let timings = Timings { first_byte_ns: 12, dns_ns: 13_000_000, connect_ns: 14_000_000, tls_ns: 15_000_000, send_ns: 16_000_000 };
    let row = Row {
        due_ns: 1,
        start_ns: 2,
        end_ns: 3,
        series: 4,
        user: 5,
        error: 6,
        sent: 7,
        received: 8,
        status: 9,
        outcome: 10,
        flags: 11,
        timings,
    };
    log.append(&row).unwrap();
    log.flush().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let number = |key: &str| agreed[key].as_u64().unwrap() as usize;
    assert!(bytes.starts_with(agreed["magic"].as_str().unwrap().as_bytes()));
    assert_eq!(u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize, number("version"));
    assert_eq!(bytes.len(), number("header_bytes") + number("row_bytes"));
    for (at, field) in agreed["row"].as_array().unwrap().iter().enumerate() {
        let start = number("header_bytes") + field[1].as_u64().unwrap() as usize;
        let mut wide = [0; 8];
        let width = field[2].as_u64().unwrap() as usize;
        wide[..width].copy_from_slice(&bytes[start..start + width]);
        let found = u64::from_le_bytes(wide);
        let is_float = field[0].as_str().unwrap().ends_with("_ms"); // of 16 bits: 8 to 16 are 0x4800, 0x4880, … 0x4c00
        assert_eq!(if is_float { (found - 0x4800) / 0x80 + 8 } else { found }, at as u64 + 1, "{field}");
    }
}

#[test]
fn limits_and_lists() {
    let agreed = agreed();
    let limits = json!({
        "redirects": redirect::MOST, "cookies": cookies::MOST_COOKIES, "host_cookies": cookies::MOST_HOST_COOKIES,
        "cookie_bytes": cookies::MOST_PAIR_BYTES, "cookie_attribute_bytes": cookies::MOST_ATTRIBUTE_BYTES, "head_bytes": reading::MAX_HEAD_BYTES,
        "chunk_line_bytes": chunks::MOST_LINE_BYTES, "trailer_bytes": chunks::MOST_TRAILER_BYTES, "codings": answer::MOST_CODINGS,
        "shown": value::SHOWN, "digits": value::MOST_DIGITS, "work_ms": work::MOST_WORK_MS,
        "beside_bytes": turn::MOST_BESIDE_BYTES, "tls_bytes": turn::MOST_TLS_BYTES,
        "rows_ms": run::ROWS_NS / 1_000_000,
    });
    assert_eq!(limits, agreed["limits"]);
    assert_eq!(json!(answer::OTHER_CODINGS), agreed["other_codings"]);
    let redirects: Vec<u16> = (0..1000).filter(|status| redirect::is_redirect(*status)).collect();
    assert_eq!(json!(redirects), agreed["redirect_statuses"]);
    for word in agreed["false_words"].as_array().unwrap() {
        assert!(!value::truthy(word), "{word}");
    }
    assert!(value::truthy(&json!("nothing")));
}
