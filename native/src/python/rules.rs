//! The rules that both engines must agree on, as functions of Python: a test compares them with what Python does, in one process.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PythonHost;
use crate::http::answer::Answer;
use crate::http::checks::judge;
use crate::http::cookies::Jar;
use crate::http::http3::head;
use crate::http::http3::qpack::{self, Fields};
use crate::http::reading::{Broken, Progress, Reader};
use crate::http::redirect;
use crate::http::request::{Outgoing, Scratch, assemble, values_json};
use crate::load::limits::failure_class;
use crate::os::random::Rng;
use crate::plan::host::Host;
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::rpc::Rpc;
use crate::plan::{Assembled, CallPlan, Limits, Place, Plan, RequestPlan};
use crate::protocols::grpc;
use crate::protocols::grpc::told::Told;
use crate::values::data::Data;
use crate::values::found::Path;
use crate::values::node::{Missing, Scope};
use crate::values::value;

/// One user's values, and the steps of a plan as `native_plan.compile_plan` gives it. Sources of rows begin anew with each call.
#[pyclass(frozen)]
struct Steps {
    plan: Plan,
    scope: Mutex<Scope>,
    calls: Py<PyAny>,
}

/// What a hit came to: the outcome's number, and its text; None where it is well.
type Judged = Option<(u8, String)>;

#[pymethods]
impl Steps {
    #[new]
    fn new(plan: &[u8], user: u32, calls: Py<PyAny>) -> PyResult<Self> {
        let plan = Plan::from_json(plan).map_err(wrong)?;
        let seed = plan.user_seed.as_ref().map(|seed| format!("{seed} {user}"));
        let scope = Scope {
            variables: plan.variables.iter().map(|held| held.first().cloned()).collect(),
            session: vec![None; plan.session_places],
            rows: vec![None; plan.sources.len()],
            out_of_rows: false,
            rng: Rng::new(seed),
        };
        Ok(Steps { plan, scope: Mutex::new(scope), calls })
    }

    /// Whether run_if and skip_if let a step be made.
    fn is_made(&self, step: usize) -> PyResult<bool> {
        self.with(|scope, data, _| {
            let step = &self.plan.steps[step];
            Ok(step.run_if.as_ref().is_none_or(|condition| condition.holds(scope, data))
                && !step.skip_if.as_ref().is_some_and(|condition| condition.holds(scope, data)))
        })
    }

    /// The request's head without the jar's cookies and the empty line, its body, and the step's own cookies.
    /// Raises ValueError with the text of the failure where the values make none.
    fn request(&self, step: usize) -> PyResult<(Vec<u8>, Vec<u8>, String)> {
        self.with(|scope, data, host| {
            let made = self.plan.steps.get(step).ok_or("no such step")?;
            match &made.request {
                RequestPlan::Fixed(fixed) => Ok((fixed.head.clone(), fixed.body.clone(), fixed.cookies.clone())),
                RequestPlan::Parts(parts) => {
                    let (mut out, mut scratch) = (Outgoing::default(), Scratch::default());
                    let made = assemble(&made.method, parts, &mut out, &mut scratch, scope, data, host).map_err(|failure| failure.text)?;
                    let body = made.body.to_vec();
                    Ok((out.bytes, body, out.cookies))
                }
                RequestPlan::Python(values) => {
                    let values = values_json(values, scope, data).map_err(|Missing(text)| text)?;
                    let made: Assembled = serde_json::from_str(&host.assemble(step, 0, &values)?.ok_or("it waits for a token")?)
                        .map_err(|error| error.to_string())?;
                    Ok((made.head, made.body, made.cookies))
                }
                RequestPlan::Call(_) => Err("a function makes its requests".into()),
                RequestPlan::Message(_) => Err("it asks by messages".into()),
            }
        })
    }

    /// What is held of an answer, and taken from it.
    fn judge(&self, step: usize, answer: &[u8], time_ms: f64) -> PyResult<Judged> {
        self.with(|scope, data, host| {
            let most = self.plan.max_body_bytes;
            let mut reader = Reader::default();
            reader.begin(false, most as usize, most);
            match reader.feed(answer) {
                Ok(Progress::Whole) => {}
                other => return Err(format!("no whole answer: {other:?}")),
            }
            let mut found = Answer::new(&reader, answer, most);
            let judged = judge(&self.plan.steps[step], &mut found, scope, data, host, time_ms);
            Ok(judged.err().map(|Failure { outcome, text, .. }| (outcome as u8, text)))
        })
    }

    /// Seconds until the next attempt after a failure of this kind; None: there is none. `used`: retries made so far, by class.
    fn retry_s(&self, step: usize, outcome: u8, status: u16, used: [u32; 3]) -> PyResult<Option<f64>> {
        self.with(|scope, _, _| {
            let retry = self.plan.steps[step].retry.as_ref().ok_or("the step has no retry")?;
            let class = class_of(outcome, status, &self.plan.transient_status)?;
            Ok(retry.delay_s(&used, class, || scope.rng.unit()))
        })
    }

    /// 0 transient, 1 flaky, 2 permanent.
    fn failure_class(&self, outcome: u8, status: u16) -> PyResult<usize> {
        class_of(outcome, status, &self.plan.transient_status).map_err(PyValueError::new_err)
    }

    /// The user's next random number.
    fn draw(&self) -> PyResult<f64> {
        self.with(|scope, _, _| Ok(scope.rng.unit()))
    }

    /// Variables and session values by place, as JSON; null in a list of one is null, an empty list is not a value.
    fn values(&self) -> PyResult<String> {
        self.with(|scope, _, _| {
            let shown = |kept: &[Option<Value>]| Value::Array(kept.iter().map(|one| Value::Array(one.iter().cloned().collect())).collect());
            Ok(value::text_of(&Value::Array(vec![shown(&scope.variables), shown(&scope.session)])))
        })
    }
}

impl Steps {
    fn with<T>(&self, work: impl FnOnce(&mut Scope, &mut Data, &mut PythonHost) -> Result<T, String>) -> PyResult<T> {
        let mut scope = self.scope.lock().map_err(wrong)?;
        let mut data = Data::new(&self.plan.sources, &self.plan.pools, self.plan.shard, self.plan.shards);
        let mut host = Python::attach(|py| PythonHost { calls: self.calls.clone_ref(py) });
        data.begin_step(&mut scope);
        work(&mut scope, &mut data, &mut host).map_err(PyValueError::new_err)
    }
}

fn class_of(outcome: u8, status: u16, transient: &[u16]) -> Result<usize, String> {
    let outcome = Outcome::ALL.into_iter().find(|one| *one as u8 == outcome).ok_or("no such outcome")?;
    Ok(failure_class(&Failure::new(outcome, ""), status, transient))
}

/// One user's cookies.
#[pyclass]
#[derive(Default)]
struct Cookies(Jar);

#[pymethods]
impl Cookies {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn store(&mut self, field: &[u8], host: String, path: &str, now_s: i64) {
        self.0.store(field, &Place { host, port: 80, ..Place::default() }, path, now_s);
    }

    fn header_for(&self, scheme: &str, host: String, path: &str, own: &str, now_s: i64) -> String {
        self.0.header_for(&Place { https: scheme == "https", host, port: 80, ..Place::default() }, path, own, now_s)
    }
}

#[pyfunction]
fn same(found: &str, wanted: &str) -> PyResult<bool> {
    Ok(value::same(&parsed(found)?, &parsed(wanted)?))
}

#[pyfunction]
fn alike(one: &str, other: &str) -> PyResult<bool> {
    Ok(value::alike(&parsed(one)?, &parsed(other)?))
}

#[pyfunction]
fn is_in(needle: &str, haystack: &str) -> PyResult<bool> {
    Ok(value::is_in(&parsed(needle)?, &parsed(haystack)?))
}

#[pyfunction]
fn truthy(one: &str) -> PyResult<bool> {
    Ok(value::truthy(&parsed(one)?))
}

#[pyfunction]
fn text_of(one: &str) -> PyResult<String> {
    Ok(value::text_of(&parsed(one)?))
}

#[pyfunction]
fn shown(one: &str) -> PyResult<String> {
    Ok(value::shown(&parsed(one)?))
}

#[pyfunction]
fn number_of(one: &str) -> PyResult<Option<f64>> {
    Ok(value::number_of(&parsed(one)?))
}

/// The value at a path, which is cut as it is in a plan, as JSON; None where nothing is. Raises ValueError where the text is not JSON.
#[pyfunction]
fn value_at(text: &str, cut: &str) -> PyResult<Option<String>> {
    let path: Path = serde_json::from_str(cut).map_err(wrong)?;
    let found = path.find(text).map_err(|error| PyValueError::new_err(format!("{error:?}")))?;
    Ok(found.map(|found| {
        let mut out = String::new();
        value::push_json(&mut out, &found);
        out
    }))
}

/// A request by its place, head, body and own cookies.
type Asked = (bool, String, u16, Vec<u8>, Vec<u8>, String);

/// The request that follows a redirect. Raises ValueError with the text of the failure.
#[pyfunction]
fn redirected(asked: Asked, own_host: bool, own_length: bool, status: u16, location: &[u8], calls: Py<PyAny>) -> PyResult<Asked> {
    let (https, host, port, head, body, cookies) = asked;
    let from = Place { https, host, port, ..Place::default() };
    let made = Assembled {
        place: from.clone(),
        head,
        body,
        cookies,
        own_host,
        own_length,
        closes: false,
        limits: Limits::default(),
        tls: None,
        digest: None,
    };
    let mut request = Outgoing::default();
    request.take(&made, "");
    let mut host = PythonHost { calls };
    let found = redirect::resolve(&from, &request, location, &mut host);
    let (to, target) = found.map_err(|failure| PyValueError::new_err(failure.text))?;
    let next = redirect::follow(&request, &from, status, &to, &target);
    Ok((next.place.https, next.place.host, next.place.port, next.head, next.body, next.cookies))
}

/// An answer read from pieces: status, kept body, whether the connection lives on, bytes taken; or the outcome's number and what is
/// no HTTP about it. `ended`:
/// the peer closes behind them. None: it is not whole.
#[pyfunction]
fn read(pieces: Vec<Vec<u8>>, is_head: bool, ended: bool, most: u64) -> Option<(u16, Vec<u8>, bool, u64)> {
    let mut reader = Reader::default();
    reader.begin(is_head, most as usize, most);
    let mut taken = 0;
    let failed = |broken: Broken| {
        let (outcome, words) = match broken {
            Broken::Protocol(words) => (Outcome::Protocol, words.into_bytes()),
            Broken::Closed(_) => (Outcome::Closed, Vec::new()),
            Broken::TooLarge => (Outcome::TooLarge, Vec::new()),
        };
        Some((outcome as u16, words, false, 0))
    };
    for piece in &pieces {
        taken += piece.len() as u64;
        match reader.feed(piece) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => return Some((reader.status, reader.body(piece).to_vec(), reader.keep, taken)),
            Err(broken) => return failed(broken),
        }
    }
    if !ended {
        return None;
    }
    match reader.ended() {
        Ok(_) => Some((reader.status, reader.body(b"").to_vec(), false, taken)),
        Err(broken) => failed(broken),
    }
}

/// Whether bytes are a message of gRPC, and the JSON of it that assertions see, where JSON can say it. `shape`: the method, as in a plan.
#[pyfunction]
fn json_of_message(shape: &str, message: &[u8]) -> PyResult<(bool, Option<String>)> {
    let told = Told { rpc: Arc::new(parsed(shape)?), messages: vec![message.to_vec()] };
    Ok((told.is_right(), grpc::json_of(&told.rpc, told.rpc.reply, message)))
}

/// The message of gRPC that JSON says; None: it is left to Python.
#[pyfunction]
fn message_of_json(shape: &str, json: &str) -> PyResult<Option<Vec<u8>>> {
    let rpc: Rpc = parsed(shape)?;
    Ok(grpc::message_of(&rpc, rpc.request, &parsed(json)?))
}

/// How a function's request is laid out where that takes nothing of Python: head (without cookies and the empty line), body, name, limits.
#[pyfunction]
fn laid(call: &str, functions: &Bound<'_, PyAny>, asked: &Bound<'_, super::asked::Asked>) -> PyResult<Option<LaidOut>> {
    let (call, mut out, mut body) = (parsed::<CallPlan>(call)?, Outgoing::default(), Vec::new());
    let name = super::functions::PythonFunctions::new(functions)?.plain(asked, &call, &mut out, &mut body)?;
    let Limits { connect_s, total_s, follow } = out.limits;
    Ok(name.map(|name| (out.bytes, body, name, (connect_s, total_s, follow))))
}

/// The fields of a section of HTTP/3; None: it is none that needs no table, or holds more than `most` bytes.
#[pyfunction]
fn fields_of_section(section: &[u8], most: usize) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut fields = Fields::default();
    fields.read(section, most).ok()?;
    Some(fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// The section of these fields.
#[pyfunction]
fn section_of_fields(fields: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let mut section = Vec::new();
    qpack::begin_section(&mut section);
    fields.iter().for_each(|(name, value)| qpack::push_field(&mut section, name, value));
    section
}

/// A request's head in HTTP/3, as a frame, of an https URL. Raises ValueError where it can't be sent.
#[pyfunction]
fn head_of_http3(lines: &[u8], host: String, port: u16) -> PyResult<Vec<u8>> {
    let place = Place { https: true, host, port, ..Place::default() };
    head::head_of(lines, &place).map(|frame| frame.to_vec()).map_err(|failure| wrong(failure.text))
}

type LaidOut = (Vec<u8>, Vec<u8>, Option<String>, (f64, f64, bool));

fn parsed<T: DeserializeOwned>(text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// `loadflow._native.rules`.
pub fn module<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyModule>> {
    let module = PyModule::new(py, "rules")?;
    module.add_class::<Steps>()?;
    module.add_class::<Cookies>()?;
    module.add_function(wrap_pyfunction!(same, &module)?)?;
    module.add_function(wrap_pyfunction!(alike, &module)?)?;
    module.add_function(wrap_pyfunction!(is_in, &module)?)?;
    module.add_function(wrap_pyfunction!(truthy, &module)?)?;
    module.add_function(wrap_pyfunction!(text_of, &module)?)?;
    module.add_function(wrap_pyfunction!(shown, &module)?)?;
    module.add_function(wrap_pyfunction!(number_of, &module)?)?;
    module.add_function(wrap_pyfunction!(value_at, &module)?)?;
    module.add_function(wrap_pyfunction!(redirected, &module)?)?;
    module.add_function(wrap_pyfunction!(read, &module)?)?;
    module.add_function(wrap_pyfunction!(laid, &module)?)?;
    module.add_function(wrap_pyfunction!(json_of_message, &module)?)?;
    module.add_function(wrap_pyfunction!(message_of_json, &module)?)?;
    module.add_function(wrap_pyfunction!(fields_of_section, &module)?)?;
    module.add_function(wrap_pyfunction!(section_of_fields, &module)?)?;
    module.add_function(wrap_pyfunction!(head_of_http3, &module)?)?;
    Ok(module)
}
