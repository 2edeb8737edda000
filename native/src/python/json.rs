//! JSON as Python's `json` writes it with `ensure_ascii=False, separators=(",", ":"), allow_nan=False`: the usual values, without Python.

use std::io::Write;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Deeper values, and those that hold themselves, are Python's.
const MOST_LEVELS: u32 = 64;

/// False: Python has to write it, or to say why it can't be; `out` has something of it then.
pub fn push(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> bool {
    push_at(out, value, MOST_LEVELS)
}

fn push_at(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, levels: u32) -> bool {
    if levels == 0 {
        return false;
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return push_text(out, text);
    }
    if let Ok(fields) = value.cast_exact::<PyDict>() {
        out.push(b'{');
        for (number, (key, one)) in fields.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            let Ok(key) = key.cast_exact::<PyString>() else { return false };
            if !push_text(out, key) {
                return false;
            }
            out.push(b':');
            if !push_at(out, &one, levels - 1) {
                return false;
            }
        }
        out.push(b'}');
        return true;
    }
    if let Ok(is) = value.cast_exact::<PyBool>() {
        out.extend_from_slice(if is.is_true() { b"true" } else { b"false" });
        return true;
    }
    if value.is_none() {
        out.extend_from_slice(b"null");
        return true;
    }
    if value.is_exact_instance_of::<PyInt>() {
        if let Ok(number) = value.extract::<i64>() {
            return write!(out, "{number}").is_ok();
        }
        return value.str().is_ok_and(|text| push_as_it_is(out, &text));
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        let is_finite = number.extract::<f64>().is_ok_and(f64::is_finite);
        return is_finite && value.repr().is_ok_and(|text| push_as_it_is(out, &text));
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return push_all(out, list.iter(), levels);
    }
    value.cast_exact::<PyTuple>().is_ok_and(|list| push_all(out, list.iter(), levels))
}

fn push_all<'py>(out: &mut Vec<u8>, all: impl Iterator<Item = Bound<'py, PyAny>>, levels: u32) -> bool {
    out.push(b'[');
    for (number, one) in all.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        if !push_at(out, &one, levels - 1) {
            return false;
        }
    }
    out.push(b']');
    true
}

fn push_as_it_is(out: &mut Vec<u8>, text: &Bound<'_, PyString>) -> bool {
    let Ok(text) = text.to_str() else { return false };
    out.extend_from_slice(text.as_bytes());
    true
}

/// False: it has half a surrogate pair.
fn push_text(out: &mut Vec<u8>, text: &Bound<'_, PyString>) -> bool {
    let Ok(text) = text.to_str() else { return false };
    out.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let written: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..at]);
        from = at + 1;
        if written.is_empty() {
            let _ = write!(out, "\\u{byte:04x}"); // to a list of bytes, which takes all
        } else {
            out.extend_from_slice(written);
        }
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
    true
}
