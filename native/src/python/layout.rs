//! Requests that functions of a scenario ask for, laid out as they are sent.

use std::borrow::Cow;
use std::rc::Rc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};

use crate::http::place::quote_plus;
use crate::http::plain::{PlainRequest, lay_out};
use crate::http::request::Outgoing;
use crate::load::functions::{Laid, Made};
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::{CallPlan, Limits, Place, Tls};
use crate::protocols::message::no_message;

use super::asked::Asked;
use super::functions::PythonFunctions;
use super::json;

impl PythonFunctions {
    /// A request of the usual kind, laid out here; None: Python has to make it. Some(None): it has no name of its own.
    pub fn plain(
        &mut self,
        asked: &Bound<'_, Asked>,
        call: &CallPlan,
        out: &mut Outgoing,
        body: &mut Vec<u8>,
    ) -> PyResult<Option<Option<String>>> {
        let py = asked.py();
        let Some(base) = &call.base else { return Ok(None) };
        let one = asked.borrow();
        let method = one.method();
        let Ok(path) = one.path.bind(py).cast_exact::<PyString>() else { return Ok(None) };
        let Ok(path) = path.to_str() else { return Ok(None) };
        let mut request = PlainRequest { path, ..PlainRequest::default() };
        let Some(options) = one.options.as_ref().map(|options| options.bind(py)) else {
            return Ok(lay_out(method, base, &request, out).then_some(None));
        };
        let mut limits: Limits = base.limits;
        let (mut name, mut held, mut has_data, mut has_json) = (None, Vec::new(), false, false);
        self.text.clear();
        for (key, value) in options.iter() {
            if value.is_none() {
                continue;
            }
            let Ok(key) = key.cast_exact::<PyString>() else { return Ok(None) };
            match key.to_str()? {
                "name" => {
                    let Some(text) = text_in(&value) else { return Ok(None) };
                    name = Some(text.to_owned());
                }
                "headers" => {
                    let Ok(headers) = value.cast_exact::<PyDict>() else { return Ok(None) };
                    for (name, value) in headers.iter() {
                        let (Ok(name), Ok(value)) = (name.cast_into_exact::<PyString>(), value.cast_into_exact::<PyString>()) else {
                            return Ok(None);
                        };
                        held.push((name, value));
                    }
                }
                "json" => {
                    if !json::push(body, &value) {
                        body.clear();
                        let Ok(text) = self.encode.bind(py).call1((value,)) else { return Ok(None) };
                        let Some(text) = text_in(&text) else { return Ok(None) };
                        body.extend_from_slice(text.as_bytes());
                    }
                    request.content_type = "application/json";
                    has_json = true;
                }
                "data" => {
                    has_data = true;
                    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
                        body.extend_from_slice(bytes.as_bytes());
                    } else if let Some(text) = text_in(&value) {
                        body.extend_from_slice(text.as_bytes());
                    } else {
                        return Ok(None);
                    }
                }
                "params" => {
                    let Ok(params) = value.cast_exact::<PyDict>() else { return Ok(None) };
                    if !push_params(&mut self.text, params)? {
                        return Ok(None);
                    }
                }
                "timeout" => {
                    let seconds = match (value.cast_exact::<PyFloat>(), value.cast_exact::<PyInt>()) {
                        (Ok(seconds), _) => seconds.extract::<f64>()?,
                        (_, Ok(seconds)) => seconds.extract::<f64>().unwrap_or(0.0),
                        _ => return Ok(None),
                    };
                    if !(seconds > 0.0 && seconds.is_finite()) {
                        return Ok(None);
                    }
                    (limits.connect_s, limits.total_s) = (seconds.max(0.001), seconds.max(0.001));
                }
                "allow_redirects" | "follow_redirects" => {
                    let Ok(follow) = value.cast_exact::<PyBool>() else { return Ok(None) };
                    limits.follow = follow.is_true();
                }
                _ => return Ok(None),
            }
        }
        if has_data && has_json {
            return Ok(None);
        }
        let mut fields = Vec::with_capacity(held.len());
        for (name, value) in &held {
            let (Ok(name), Ok(value)) = (name.to_str(), value.to_str()) else { return Ok(None) };
            fields.push((name, value));
        }
        (request.fields, request.query, request.body) = (&fields, &self.text, body);
        if !lay_out(method, base, &request, out) {
            return Ok(None);
        }
        out.limits = limits;
        Ok(Some(name))
    }

    pub fn laid(
        &mut self,
        py: Python<'_>,
        asked: &Bound<'_, PyAny>,
        step: usize,
        call: &CallPlan,
        out: &mut Outgoing,
        body: &mut Vec<u8>,
    ) -> PyResult<Laid> {
        if self.is_spoken(asked) {
            let given = self.functions.bind(py).call_method1(intern!(py, "message"), (asked,))?;
            let (method, name, made): (String, Option<String>, Result<(usize, String), String>) =
                match given.extract::<(String, Option<String>, Option<usize>, String)>()? {
                    (method, name, Some(speech), text) => (method, name, Ok((speech, text))),
                    (method, name, None, text) => (method, name, Err(text)),
                };
            let made = made.map_err(no_message).and_then(|(speech, text)| {
                let made = serde_json::from_str(&text).map_err(|error| no_message(error.to_string()))?;
                Ok(Made::Message(speech, made))
            });
            return Ok(Laid { method: method.into(), name, made });
        }
        let asked: &Bound<'_, Asked> = asked.cast_exact()?;
        let verb = asked.borrow().method();
        let method = Cow::Borrowed(verb);
        if let Some(name) = self.plain(asked, call, out, body)? {
            return Ok(Laid { method, name, made: Ok(Made::Plain) });
        }
        body.clear();
        let given = self.functions.bind(py).call_method1(intern!(py, "request"), (step, asked))?;
        let (name, made): (Option<String>, Bound<'_, PyAny>) = given.extract()?;
        if let Ok(text) = made.cast_exact::<PyString>() {
            return Ok(Laid { method, name, made: Err(Failure::new(Outcome::Template, text.to_str()?)) });
        }
        if made.is_none() {
            return Ok(Laid { method, name, made: Ok(Made::Later) });
        }
        let head: Bound<'_, PyBytes> = made.get_item("head")?.cast_into()?;
        let sent: Bound<'_, PyBytes> = made.get_item("body")?.cast_into()?;
        let (https, host, port, tls, sni): (bool, String, u16, usize, Option<String>) = made.get_item("place")?.extract()?;
        let (connect_s, total_s, follow): (f64, f64, bool) = made.get_item("limits")?.extract()?;
        let (own_host, own_length, closes): (bool, bool, bool) = made.get_item("own")?.extract()?;
        type Trust = (bool, Vec<String>, Option<(String, String)>, Option<String>);
        let (verify, authorities, certificate, key): Trust = made.get_item("tls")?.extract()?;
        out.bytes.clear();
        out.bytes.extend_from_slice(head.as_bytes());
        body.extend_from_slice(sent.as_bytes());
        (out.own_host, out.own_length, out.closes) = (own_host, own_length, closes);
        out.is_head = verb == "HEAD";
        out.cookies = made.get_item("cookies")?.extract()?;
        out.digest = made.get_item("digest")?.extract()?;
        let stream: Option<String> = made.get_item("stream")?.extract()?;
        let stream = stream.map(|text| serde_json::from_str(&text)).transpose();
        out.stream = stream.map_err(|error| PyValueError::new_err(error.to_string()))?.map(Rc::new);
        out.limits = Limits { connect_s, total_s, follow };
        let tls_plan = Tls { verify, authorities, certificate, key, http2: false };
        Ok(Laid { method, name, made: Ok(Made::To(Place { https, host, port, tls, sni }, tls_plan)) })
    }
}

fn text_in<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    value.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok())
}

/// As `urlencode` writes them; false for values that are neither text, whole number nor None.
fn push_params(out: &mut String, params: &Bound<'_, PyDict>) -> PyResult<bool> {
    for (name, value) in params.iter() {
        let Some(name) = text_in(&name) else { return Ok(false) };
        if value.is_none() {
            continue;
        }
        let number;
        let text = if value.is_exact_instance_of::<PyInt>() {
            number = value.str()?;
            number.to_str()?
        } else if let Some(text) = text_in(&value) {
            text
        } else {
            return Ok(false);
        };
        if !out.is_empty() {
            out.push('&');
        }
        quote_plus(out, name);
        out.push('=');
        quote_plus(out, text);
    }
    Ok(true)
}
