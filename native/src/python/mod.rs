//! The Python module `loadflow._native`: a core for each event loop, and the questions it asks of Python.

use std::net::{Ipv4Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::{PyIndexError, PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::load::arrivals::Passes;
use crate::load::engine::{Lines, run};
use crate::load::functions::{Functions, Spent};
use crate::load::hitlog::HitLog;
use crate::load::stop::{Done, Event, State, Stop};
use crate::markup::{Page, Query, Taken, Trouble};
use crate::null_target;
use crate::os::socket::monotonic_ns;
use crate::plan::host::{Asked, DigestAsked, Fatal, Host, Kind, Proxy, Report, Route, Span};
use crate::plan::{Place, Plan};
use crate::values::pattern::Pattern;
use crate::values::table::Table;
use crate::values::value::push_json;
use asked::Asking;
use functions::PythonFunctions;

mod asked;
mod functions;
mod json;
mod layout;
mod rules;

/// Of times at which passes are due, a thousand each.
const CHUNKS_AHEAD: usize = 8;

/// One event loop. `run` is called from a thread of its own; `next_event` and `stop` from any other.
#[pyclass(frozen)]
struct Core {
    plan: Plan,
    stop: Stop,
    sender: Mutex<Option<Sender<Event>>>,
    events: Mutex<Receiver<Event>>,
    due: Mutex<Option<Receiver<Vec<i64>>>>,
    feed: Mutex<Feed>,
}

/// Where times of passes go; `number`: how many changes of the pace there were.
struct Feed {
    number: u32,
    sender: Option<SyncSender<Vec<i64>>>,
}

#[pymethods]
impl Core {
    /// `plan`: what `native_plan.compile_plan` gives, and `tables` the rows of its CSV sources in their order; () where they stand in the
    /// plan. Raises ValueError where it is not a plan.
    #[new]
    #[pyo3(signature = (plan, tables=Vec::new()))]
    fn new(plan: &[u8], tables: Vec<PyRef<'_, CsvTable>>) -> PyResult<Self> {
        let mut plan = Plan::from_json(plan).map_err(|error| PyValueError::new_err(format!("the plan can't be read: {error}")))?;
        for (source, table) in plan.sources.iter_mut().zip(tables) {
            source.rows = table.shared()?;
        }
        let (sender, events) = channel();
        let (feed, due) = sync_channel(CHUNKS_AHEAD);
        Ok(Core {
            plan,
            stop: Stop::new()?,
            sender: Mutex::new(Some(sender)),
            events: Mutex::new(events),
            due: Mutex::new(Some(due)),
            feed: Mutex::new(Feed { number: 0, sender: Some(feed) }),
        })
    }

    /// Makes the whole load, without the interpreter's lock; gives whether a stop was asked for, the state at the end of the
    /// load (see `next_event`), of each step its attempts and how often its conditions said no, and the hits that the network conditioner
    /// treated. `functions`: those of a scenario, which are steps of the plan. Raises RuntimeError.
    #[pyo3(signature = (hits, origin_unix_ns, origin_monotonic_ns, calls, functions=None))]
    fn run(
        &self,
        py: Python<'_>,
        hits: PathBuf,
        origin_unix_ns: i64,
        origin_monotonic_ns: i64,
        calls: Py<PyAny>,
        functions: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Ended> {
        let taken = self.sender.lock().ok().and_then(|mut one| one.take()).zip(self.due.lock().ok().and_then(|mut one| one.take()));
        let Some((events, due)) = taken else { return Err(PyRuntimeError::new_err("a core runs once")) };
        let mut functions = functions.map(|one| PythonFunctions::new(&one)).transpose()?;
        let result = py.detach(|| {
            let mut log = HitLog::create(&hits, self.plan.shard as u32, origin_unix_ns, origin_monotonic_ns)?;
            let mut host = PythonHost { calls };
            let those = functions.as_mut().map(|one| one as &mut dyn Functions);
            let lines = Lines { stop: &self.stop, events: &events, due, functions: those };
            let made = catch_unwind(AssertUnwindSafe(|| run(&self.plan, &mut host, &mut log, origin_monotonic_ns, lines)));
            if let Some(functions) = &mut functions {
                functions.rest();
            }
            let _ = log.flush(); // also after a failure: what was recorded so far counts
            made.unwrap_or_else(|panic| Err(Fatal(format!("the native core broke: {}", words(&*panic)))))
        });
        let Done { stopped, state, steps, conditioned } = result.map_err(|Fatal(text)| PyRuntimeError::new_err(text))?;
        Ok((stopped, told(&state), steps, conditioned))
    }

    /// When the next passes of a pace are due, as 64-bit numbers; b"" after the last. Waits while enough are known; False: the
    /// load is over, or its pace was changed since `number` changes.
    fn feed(&self, py: Python<'_>, times: &[u8], number: u32) -> bool {
        let sender = self
            .feed
            .lock()
            .ok()
            .filter(|feed| feed.number == number)
            .and_then(|mut feed| if times.is_empty() { feed.sender.take().filter(|_| false) } else { feed.sender.clone() });
        let Some(sender) = sender else { return false };
        let chunk = times.as_chunks().0.iter().map(|time| i64::from_le_bytes(*time)).collect();
        py.detach(|| sender.send(chunk).is_ok())
    }

    /// Passes that are due after `from_ns` are due at other times instead, all of them later: what `feed` is given with the number that
    /// this returns.
    fn change(&self, from_ns: i64) -> PyResult<u32> {
        let (sender, due) = sync_channel(CHUNKS_AHEAD);
        let mut feed = self.feed.lock().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        *feed = Feed { number: feed.number + 1, sender: Some(sender) };
        self.stop.change(from_ns, due);
        Ok(feed.number)
    }

    /// The next event within `timeout_s`, as a tuple: ("tick", second, state), ("flush", until_ns, rows),
    /// ("stood", since_ns, stood_ns, step, what it does), ("end",) after the last, or None. The state is rows, users, the most users
    /// since the last state, hits in flight, lag in ns, passes (due, started, dropped, made, cut off),
    /// functions of Python since the last state (ns in them, ns of the slowest, its step, how many took over 10 ms), and how long the load
    /// ran, in ns.
    fn next_event<'py>(&self, py: Python<'py>, timeout_s: f64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let event = py.detach(|| {
            self.events.lock().map_or(Err(RecvTimeoutError::Disconnected), |events| events.recv_timeout(Duration::from_secs_f64(timeout_s)))
        });
        Ok(match event {
            Ok(Event::Tick { second, state }) => Some(("tick", second, told(&state)).into_pyobject(py)?.into_any()),
            Ok(Event::Flush { until_ns, rows }) => Some(("flush", until_ns, rows).into_pyobject(py)?.into_any()),
            Ok(Event::Stood { since_ns, stood_ns, step, doing }) => {
                Some(("stood", since_ns, stood_ns, step, doing).into_pyobject(py)?.into_any())
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(("end",).into_pyobject(py)?.into_any()),
        })
    }

    /// Ends the load as its planned time would: hits in flight have all of the drain.
    fn end(&self) {
        self.stop.end();
    }

    /// Ends the load early: hits in flight may be answered for at most two seconds.
    fn stop(&self) {
        self.stop.ask();
    }
}

type PassCounts = (u64, u64, u64, u64, u64);
type InPython = (i64, i64, usize, u64);
type Told = (u64, u32, u32, u32, i64, PassCounts, InPython, Option<i64>);
type Ended = (bool, Told, Vec<(u64, u64)>, u64);

fn told(state: &State) -> Told {
    let Passes { due, started, dropped, made, cut_off } = state.passes;
    let passes = (due, started, dropped, made, cut_off);
    let Spent { ns, slowest_ns, slowest_step, slow } = state.python;
    let python = (ns, slowest_ns, slowest_step, slow);
    (state.rows, state.users, state.users_peak, state.in_flight, state.lag_ns, passes, python, state.ran_ns)
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

/// Asks the methods of an object of Python, `native_calls.Calls`.
struct PythonHost {
    calls: Py<PyAny>,
}

impl PythonHost {
    fn ask<T>(&self, question: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T, String> {
        Python::attach(|py| {
            question(self.calls.bind(py)).map_err(|error| {
                let text = error.value(py).to_string();
                if text.is_empty() { error.to_string() } else { text }
            })
        })
    }
}

impl Host for PythonHost {
    fn series(&mut self, method: &str, name: &str) -> Result<u32, Fatal> {
        self.ask(|calls| calls.call_method1("series", (method, name))?.extract()).map_err(Fatal)
    }

    fn failed(&mut self, report: &Report) -> Result<Kind, Fatal> {
        let asked = self.ask(|calls| {
            let py = calls.py();
            let request = report.request.as_ref().map(|sent| (sent.url.as_str(), PyBytes::new(py, sent.head), PyBytes::new(py, sent.body)));
            let reply = match &report.reply {
                None => None,
                Some(got) => {
                    let fields = PyList::empty(py);
                    for (name, value) in &got.fields {
                        fields.append((PyBytes::new(py, name), PyBytes::new(py, value)))?;
                    }
                    Some((got.status, PyBytes::new(py, got.reason), fields, PyBytes::new(py, got.body)))
                }
            };
            let about = PyDict::new(py);
            about.set_item("series", report.series)?;
            about.set_item("user", report.user)?;
            about.set_item("end_ns", report.end_ns)?;
            about.set_item("outcome", report.outcome as u8)?;
            about.set_item("text", report.text)?;
            about.set_item("secrets", &report.secrets)?;
            about.set_item("request", request)?;
            about.set_item("reply", reply)?;
            about.set_item("speech", report.speech)?;
            calls.call_method("failed", (), Some(&about))?.extract::<(u32, bool)>()
        });
        asked.map(|(error, more)| Kind { error, more }).map_err(Fatal)
    }

    fn span(&mut self, span: &Span) -> Result<(), Fatal> {
        let (trace, ended) = (span.trace, &span.ended);
        self.ask(|calls| {
            let about = PyDict::new(calls.py());
            about.set_item("trace", (&trace.trace_id, &trace.span_id, &trace.host, trace.port, &trace.path))?;
            about.set_item("step", span.step)?;
            about.set_item("name", span.name)?;
            about.set_item("user", span.user)?;
            about.set_item("due_ns", ended.due_ns)?;
            about.set_item("start_ns", ended.start_ns)?;
            about.set_item("end_ns", ended.end_ns)?;
            about.set_item("status", ended.status)?;
            about.set_item("flags", ended.flags)?;
            about.set_item("failure", ended.failure.map(|failure| (failure.outcome as u8, &failure.text)))?;
            about.set_item("secrets", &ended.secrets)?;
            about.set_item("over_cap", span.over_cap)?;
            calls.call_method("span", (), Some(&about)).map(|_| ())
        })
        .map_err(Fatal)
    }

    fn over_cap(&mut self, count: u64) -> Result<(), Fatal> {
        self.ask(|calls| calls.call_method1("over_cap", (count,)).map(|_| ())).map_err(Fatal)
    }

    fn agreed(&mut self, version: &str, cipher: &str) -> Result<(), Fatal> {
        self.ask(|calls| calls.call_method1("agreed", (version, cipher)).map(|_| ())).map_err(Fatal)
    }

    fn revision(&mut self, value: &[u8]) -> Result<(), Fatal> {
        self.ask(|calls| calls.call_method1("revision", (PyBytes::new(calls.py(), value),)).map(|_| ())).map_err(Fatal)
    }

    fn refused(&mut self, host: &str, addresses: &[String]) -> Option<String> {
        self.ask(|calls| calls.call_method1("refused", (host, addresses))?.extract()).unwrap_or_else(Some)
    }

    fn route(&mut self, place: &Place) -> Result<Route, String> {
        type Told = (String, u16, Option<(String, Vec<u8>, String, String)>);
        let (host, port, proxy): Told = self.ask(|calls| calls.call_method1("route", (place.https, &place.host, place.port))?.extract())?;
        let proxy = proxy.map(|(name, connect, origin, credentials)| Rc::new(Proxy { name, connect, origin, credentials }));
        Ok(Route { host, port, proxy })
    }

    fn place(&mut self, url: &str) -> Result<Asked, String> {
        let (https, host, port, target, authorization) = self.ask(|calls| calls.call_method1("place", (url,))?.extract())?;
        Ok(Asked { place: Place { https, host, port, ..Place::default() }, target, authorization })
    }

    fn join(&mut self, base: &str, reference: &[u8]) -> Result<String, String> {
        self.ask(|calls| calls.call_method1("join", (base, PyBytes::new(calls.py(), reference)))?.extract())
    }

    fn assemble(&mut self, step: usize, user: u32, values: &str) -> Result<Option<String>, String> {
        self.ask(|calls| calls.call_method1("assemble", (step, user, values))?.extract())
    }

    fn digest(&mut self, asked: &DigestAsked, challenges: Option<&[Vec<u8>]>) -> Result<Option<String>, String> {
        self.ask(|calls| {
            let py = calls.py();
            let Place { https, host, port, tls, sni } = asked.place;
            let fields = challenges.map(|fields| fields.iter().map(|field| PyBytes::new(py, field)).collect::<Vec<_>>());
            let about = (asked.user, (https, host, port, tls, sni), asked.keys, asked.method, asked.target, PyBytes::new(py, asked.body));
            calls.call_method1("digest", (about, fields))?.extract()
        })
    }

    fn json(&mut self, body: &[u8], content_type: &[u8]) -> Option<String> {
        self.ask(|calls| {
            let py = calls.py();
            calls.call_method1("json", (PyBytes::new(py, body), PyBytes::new(py, content_type)))?.extract()
        })
        .unwrap_or(None)
    }

    fn text(&mut self, body: &[u8], content_type: &[u8]) -> String {
        self.ask(|calls| {
            let py = calls.py();
            calls.call_method1("text", (PyBytes::new(py, body), PyBytes::new(py, content_type)))?.extract()
        })
        .unwrap_or_default()
    }
}

/// The rows of a CSV file, for all loops of a process; what a row costs is its own bytes, and four for each cell.
#[pyclass(frozen)]
struct CsvTable {
    table: Mutex<Arc<Table>>,
}

impl CsvTable {
    fn shared(&self) -> PyResult<Arc<Table>> {
        let mut table = self.table.lock().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        if let Some(table) = Arc::get_mut(&mut table) {
            table.shrink();
        }
        Ok(Arc::clone(&table))
    }
}

#[pymethods]
impl CsvTable {
    /// `width`: how many cells each row has.
    #[new]
    fn new(width: usize) -> Self {
        CsvTable { table: Mutex::new(Arc::new(Table::new(width))) }
    }

    /// Appends a row. Raises ValueError for another number of cells, for more than 4 GiB of text, and when a core has the table.
    fn add(&self, cells: Vec<PyBackedStr>) -> PyResult<()> {
        let mut table = self.table.lock().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let table = Arc::get_mut(&mut table).ok_or_else(|| PyValueError::new_err("a core has this table"))?;
        table.add(cells.iter().map(|cell| &**cell)).map_err(PyValueError::new_err)
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.table.lock().map_err(|error| PyRuntimeError::new_err(error.to_string()))?.len())
    }

    /// Raises IndexError where there is no such cell.
    fn cell(&self, row: usize, column: usize) -> PyResult<String> {
        let table = self.table.lock().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        if row >= table.len() || column >= table.width() {
            return Err(PyIndexError::new_err("there is no such cell"));
        }
        Ok(table.cell(row, column).to_owned())
    }
}

/// A server on loopback that gives every request the same small answer; it listens as soon as it is there.
#[pyclass(frozen)]
struct NullTarget {
    listener: TcpListener,
}

#[pymethods]
impl NullTarget {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(NullTarget { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))? })
    }

    #[getter]
    fn port(&self) -> PyResult<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Answers until the standard input, which must be a pipe, is closed at its other end. Raises OSError.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| null_target::serve(&self.listener, &std::io::stdin()))?)
    }
}

/// Which feature of a pattern is not taken here; None: it means the same as to RE2.
#[pyfunction]
fn not_taken_of(pattern: &str) -> Option<String> {
    Pattern::new(pattern).err()
}

/// What a group of a pattern holds in a text; None where it is in none. Raises ValueError for a pattern that is not taken.
#[pyfunction]
fn find(pattern: &str, text: &str, group: usize) -> PyResult<Option<String>> {
    Pattern::new(pattern).map(|pattern| pattern.find(text, group)).map_err(PyValueError::new_err)
}

/// What an extract looks for in documents of HTML and XML, as a plan has it. Raises ValueError for what is none.
#[pyclass(frozen)]
struct MarkupQuery(Query);

#[pymethods]
impl MarkupQuery {
    #[new]
    fn new(text: &str) -> PyResult<Self> {
        serde_json::from_str(text).map(MarkupQuery).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// A document. Raises ValueError for what is none, OverflowError for one that is too large.
#[pyclass(frozen)]
struct MarkupPage(Page);

#[pymethods]
impl MarkupPage {
    #[new]
    fn new(py: Python<'_>, text: &str, is_xml: bool) -> PyResult<Self> {
        match py.detach(|| Page::read(text, is_xml)) {
            Ok(page) => Ok(MarkupPage(page)),
            Err(Trouble::Broken(what)) => Err(PyValueError::new_err(what)),
            Err(Trouble::TooLarge(what)) => Err(PyOverflowError::new_err(what)),
        }
    }

    /// The value as JSON; None: nothing is there. Raises OverflowError where too much is looked at.
    fn find(&self, query: &MarkupQuery) -> PyResult<Option<String>> {
        match self.0.find(&query.0) {
            Taken::Value(value) => {
                let mut out = String::new();
                push_json(&mut out, &value);
                Ok(Some(out))
            }
            Taken::Nothing => Ok(None),
            Taken::TooMuch => Err(PyOverflowError::new_err("")),
        }
    }
}

/// Why the core can't use a client's key that OpenSSL can; None: it can.
#[pyfunction]
fn key_trouble(pem: &[u8]) -> Option<String> {
    crate::http::tls::key_trouble(pem)
}

/// Of CLOCK_MONOTONIC, to show that it is Python's.
#[pyfunction]
fn clock_ns() -> i64 {
    monotonic_ns()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Core>()?;
    module.add_class::<CsvTable>()?;
    module.add_class::<asked::Asked>()?;
    module.add_class::<Asking>()?;
    module.add_class::<NullTarget>()?;
    module.add_class::<MarkupQuery>()?;
    module.add_class::<MarkupPage>()?;
    module.add_function(wrap_pyfunction!(not_taken_of, module)?)?;
    module.add_function(wrap_pyfunction!(find, module)?)?;
    module.add_function(wrap_pyfunction!(key_trouble, module)?)?;
    module.add_function(wrap_pyfunction!(clock_ns, module)?)?;
    module.add_submodule(&rules::module(module.py())?)?;
    Ok(())
}
