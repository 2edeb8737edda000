//! The client of an `async def`, and a request of it with its answer: what each hit touches, so that it costs little there.
//!
//! `loadflow/engine/generator/native/asked.py` has the rest: all that few hits need.

use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyStopIteration};
use pyo3::import_exception;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::http::answer::{Answer, latin1, plain_text_of};

import_exception!(loadflow.engine.scenario.client, RequestFailed);

/// In the order of `VERBS` in `loadflow/engine/scenario/client.py`.
pub const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Options that a request takes whatever their values are; Python is asked about all others.
const USUAL: [&str; 8] = ["headers", "json", "name", "params", "data", "timeout", "allow_redirects", "follow_redirects"];
/// A body that can't be nested deeper than `MOST_LEVELS`, nor hold many values, needs no look before it is parsed: `json_body.py`.
const SHORT_BYTES: usize = 65_536;
const MOST_LEVELS: usize = 500;
const BYTES_PER_VALUE: u64 = 16;

/// What a function has asked for and who asks. `due`: requests that were made and never awaited; `last`: the one that was answered last.
#[pyclass(subclass, module = "loadflow._native")]
pub struct Asking {
    #[pyo3(get, set)]
    pub due: i64,
    #[pyo3(get, set)]
    pub last: Option<Py<PyAny>>,
    #[pyo3(get)]
    max_body_bytes: u64,
    /// User types beside HTTP.
    speakers: Option<Py<PyAny>>,
    /// The user draws values, and his scope is told of each pass.
    #[pyo3(get, set)]
    pub draws: bool,
}

#[pymethods]
impl Asking {
    #[new]
    #[pyo3(signature = (max_body_bytes, speakers=None))]
    fn new(max_body_bytes: u64, speakers: Option<Py<PyAny>>) -> Self {
        Asking { due: 0, last: None, max_body_bytes, speakers, draws: false }
    }

    #[getter]
    fn speakers(&self, py: Python<'_>) -> Py<PyAny> {
        self.speakers.as_ref().map_or_else(|| pyo3::types::PyTuple::empty(py).into_any().unbind(), |one| one.clone_ref(py))
    }

    #[pyo3(signature = (path, **options))]
    fn get<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 0, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn post<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 1, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn put<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 2, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn patch<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 3, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn delete<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 4, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn head<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 5, path, options)
    }

    #[pyo3(signature = (path, **options))]
    fn options<'py>(slf: &Bound<'py, Self>, path: Bound<'py, PyAny>, options: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, Asked>> {
        asked(slf, 6, path, options)
    }
}

impl Asking {
    /// Before a pass; gives the answer that was the last, which is not to be dropped while this is borrowed.
    pub fn begin(&mut self) -> Option<Py<PyAny>> {
        self.due = 0;
        self.last.take()
    }
}

fn asked<'py>(
    asking: &Bound<'py, Asking>,
    verb: usize,
    path: Bound<'py, PyAny>,
    options: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, Asked>> {
    Bound::new(asking.py(), Asked::new(asking, verb, path, options)?)
}

/// One request, and its answer once it is there.
#[pyclass(freelist = 256, module = "loadflow._native")]
pub struct Asked {
    asking: Py<Asking>,
    #[pyo3(get)]
    pub verb: usize,
    /// A text.
    #[pyo3(get)]
    pub path: Py<PyAny>,
    #[pyo3(get)]
    pub options: Option<Py<PyDict>>,
    /// Nobody has awaited it yet.
    #[pyo3(get, set)]
    is_due: bool,
    /// It was yielded, and what resumes the function next has an answer to it.
    waits: bool,
    answer: Option<Got>,
    json: Option<Py<PyAny>>,
    reply: Option<Py<PyAny>>,
}

struct Got {
    status: u16,
    elapsed_ms: f64,
    /// The reason, each header field on a line of its own, and from `body_at` on the body as it came.
    bytes: Vec<u8>,
    body_at: usize,
}

impl Got {
    fn lines(&self) -> &[u8] {
        &self.bytes[..self.body_at]
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }

    /// See `Answer::plain_text`.
    fn plain_text(&self) -> Option<&str> {
        let fields = self.lines().split(|byte| *byte == b'\n').skip(1).map(|line| {
            let at = memchr::memchr(b':', line).unwrap_or(line.len());
            (&line[..at], line.get(at + 1..).unwrap_or_default())
        });
        plain_text_of(fields, self.body())
    }
}

#[pymethods]
impl Asked {
    #[new]
    #[pyo3(signature = (asking, verb, path, options))]
    fn new(asking: &Bound<'_, Asking>, verb: usize, path: Bound<'_, PyAny>, options: Option<Bound<'_, PyDict>>) -> PyResult<Self> {
        let py = asking.py();
        if let Some(options) = &options {
            let is_usual =
                |key: &Bound<'_, PyAny>| key.cast_exact::<PyString>().is_ok_and(|key| key.to_str().is_ok_and(|key| USUAL.contains(&key)));
            if !options.iter().all(|(key, _)| is_usual(&key)) {
                helper(py, &REFUSED_OPTIONS, "refuse_options")?.call1((options,))?;
            }
        }
        if path.cast_exact::<PyString>().is_err() {
            helper(py, &REFUSED_PATH, "refuse_path")?.call1((&path,))?;
        }
        asking.borrow_mut().due += 1;
        Ok(Asked {
            asking: asking.clone().unbind(),
            verb,
            path: path.unbind(),
            options: options.map(Bound::unbind),
            is_due: true,
            waits: false,
            answer: None,
            json: None,
            reply: None,
        })
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Yields itself where nobody has awaited it; then, resumed, it is its own answer.
    fn __next__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let mut me = slf.borrow_mut();
        if std::mem::take(&mut me.is_due) {
            me.waits = true;
            let mut asking = me.asking.bind(py).borrow_mut();
            asking.due -= 1;
            let before = asking.last.take();
            drop((asking, me));
            drop(before);
            return Ok(slf);
        }
        if std::mem::take(&mut me.waits) {
            let mut asking = me.asking.bind(py).borrow_mut();
            asking.last = Some(slf.clone().into_any().unbind());
        }
        drop(me);
        Err(PyStopIteration::new_err(slf.into_any().unbind()))
    }

    /// Resumes with None, or with the words for a request that got no whole answer.
    fn send<'py>(slf: Bound<'py, Self>, failure: Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        if failure.is_none() {
            return Self::__next__(slf);
        }
        slf.borrow_mut().waits = false;
        Err(RequestFailed::new_err(failure.unbind()))
    }

    #[getter]
    fn status_code(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.got(py)?.status)
    }

    #[getter]
    fn elapsed_ms(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.got(py)?.elapsed_ms)
    }

    #[getter]
    fn ok(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.got(py)?.status < 400)
    }

    fn raise_for_status(&self, py: Python<'_>) -> PyResult<()> {
        let status = self.got(py)?.status;
        if status >= 400 {
            return Err(PyAssertionError::new_err(format!("status {status}")));
        }
        Ok(())
    }

    #[getter]
    fn text<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(text) = slf.borrow().got(py)?.plain_text() {
            return Ok(PyString::new(py, text).into_any());
        }
        Self::reply(slf)?.call_method0(intern!(py, "text"))
    }

    #[getter]
    fn content<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::reply(slf)?.call_method0(intern!(slf.py(), "body"))
    }

    #[getter]
    fn headers<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        helper(slf.py(), &HEADERS, "Headers")?.call1((Self::reply(slf)?,))
    }

    fn json<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let me = slf.borrow();
        if let Some(known) = &me.json {
            return Ok(known.bind(py).clone());
        }
        let got = me.got(py)?;
        let found = match got.plain_text() {
            None => {
                drop(me);
                Self::reply(slf)?.call_method0(intern!(py, "json"))?
            }
            Some(text) => {
                let most = me.asking.bind(py).borrow().max_body_bytes;
                let whole = PyString::new(py, text);
                let short = if is_short(text, most) { scanned(&whole, text) } else { None };
                drop(me);
                match short {
                    Some(found) => found,
                    None => helper(py, &READ_JSON, "read_json")?.call1((whole, most))?,
                }
            }
        };
        slf.borrow_mut().json = Some(found.clone().unbind());
        Ok(found)
    }

    /// The same as the other HTTP users have it.
    #[getter]
    fn reply<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(known) = &slf.borrow().reply {
            return Ok(known.bind(py).clone());
        }
        let made = {
            let me = slf.borrow();
            let got = me.got(py)?;
            let most = me.asking.bind(py).borrow().max_body_bytes;
            let (lines, body) = (latin1(got.lines()), PyBytes::new(py, got.body()));
            helper(py, &REPLY, "reply_of")?.call1((got.status, lines, body, most))?
        };
        slf.borrow_mut().reply = Some(made.clone().unbind());
        Ok(made)
    }

    /// The reason, and each header field on a line of its own.
    #[getter]
    fn lines<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.got(py)?.lines()))
    }

    /// As it came, as yet encoded.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.got(py)?.body()))
    }
}

impl Asked {
    pub fn fill(&mut self, answer: &Answer, took_ns: i64) {
        let mut bytes = Vec::with_capacity(256 + answer.raw().len());
        push_lines(&mut bytes, answer);
        let body_at = bytes.len();
        bytes.extend_from_slice(answer.raw());
        self.answer = Some(Got { status: answer.status(), elapsed_ms: took_ns as f64 / 1e6, bytes, body_at });
        (self.json, self.reply) = (None, None);
    }

    pub fn method(&self) -> &'static str {
        METHODS.get(self.verb).copied().unwrap_or("GET")
    }

    fn got(&self, py: Python<'_>) -> PyResult<&Got> {
        self.answer.as_ref().map_or_else(
            || {
                let path = self.path.bind(py).repr()?;
                let verb = self.method().to_lowercase();
                Err(PyRuntimeError::new_err(format!("client.{verb}({path}) has no answer: in an async def, await it")))
            },
            Ok,
        )
    }
}

/// The reason, and each header field on a line of its own.
pub fn push_lines(out: &mut Vec<u8>, answer: &Answer) {
    out.extend_from_slice(answer.reason());
    for (name, value) in answer.fields() {
        out.push(b'\n');
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
    }
}

fn is_short(text: &str, max_body_bytes: u64) -> bool {
    let few = || memchr::memchr2_iter(b'[', b'{', text.as_bytes()).count() <= MOST_LEVELS;
    text.len() < SHORT_BYTES && text.len() as u64 <= max_body_bytes / BYTES_PER_VALUE && (text.len() <= MOST_LEVELS || few())
}

/// What is said by text that is JSON from its first character to its last; None: `read_json` says what it is, or why it is none.
fn scanned<'py>(whole: &Bound<'py, PyString>, text: &str) -> Option<Bound<'py, PyAny>> {
    let scan = helper(whole.py(), &SCAN, "scan_json").ok()?;
    let (found, end): (Bound<'_, PyAny>, usize) = scan.call1((whole, 0)).ok()?.extract().ok()?;
    let is_all = if text.is_ascii() { end == text.len() } else { end == text.chars().count() };
    is_all.then_some(found)
}

static REFUSED_OPTIONS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static REFUSED_PATH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static READ_JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static HEADERS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static REPLY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static SCAN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn helper<'py>(py: Python<'py>, known: &'static PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<&'py Bound<'py, PyAny>> {
    let found = known.get_or_try_init(py, || {
        let module = py.import("loadflow.engine.generator.native.asked")?;
        module.getattr(name).map(Bound::unbind)
    })?;
    Ok(found.bind(py))
}
