//! Functions of a scenario: coroutines (and greenlets, which Python dresses up as such) that the loop resumes.
//!
//! `loadflow/engine/generator/native/functions.py` is the other side of this: it makes them, and says what they raise.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::iterator::PySendResult;
use pyo3::types::{PyBytes, PyFloat, PyIterator, PyList, PyString};

use crate::http::answer::Answer;
use crate::http::request::Outgoing;
use crate::load::functions::{End, Functions, KeptReply, Laid, Wants, too_many};
use crate::plan::CallPlan;
use crate::plan::host::Fatal;
use crate::plan::outcome::{Failure, Outcome};

use super::asked::{Asked, Asking, push_lines};

/// How often a function is given the error that what it waits for does not exist, before it is closed.
const MOST_FOREIGN: usize = 100;

/// One user: his object, his function that is under way, and the requests that it waits for.
#[derive(Default)]
struct Slot {
    number: u32,
    user: Option<Py<PyAny>>,
    /// His client, and the object whose methods his functions are, once it is made.
    asking: Option<Py<Asking>>,
    target: Option<Py<PyAny>>,
    running: Option<Py<PyAny>>,
    /// The step that runs, and the one that the user was told of last, where these are awaited.
    awaited: Option<usize>,
    told: Option<usize>,
    asked: Vec<Py<PyAny>>,
    last: Option<Py<PyAny>>,
    /// The first failure of those that it waits for, and its words.
    failure: Option<(u32, String)>,
}

/// A step whose function is a coroutine of which nothing waits but at an `await`. `anew`: what a `def` would be as one.
struct Awaited {
    name: Py<PyString>,
    anew: Option<Py<PyAny>>,
    has_check: bool,
}

pub struct PythonFunctions {
    pub(super) functions: Py<PyAny>,
    /// Of each step, where it is such a one.
    awaited: Vec<Option<Awaited>>,
    /// The interpreter's lock, which the loop keeps until it waits.
    held: Option<ffi::PyGILState_STATE>,
    /// Who is at work now, for values that differ from user to user.
    turn: Py<PyAny>,
    spoken_type: Py<PyAny>,
    /// Writes JSON as all ways do.
    pub(super) encode: Py<PyAny>,
    slots: Vec<Slot>,
    scratch: Vec<u8>,
    pub(super) text: String,
}

impl PythonFunctions {
    pub fn new(functions: &Bound<'_, PyAny>) -> PyResult<Self> {
        type Told = Option<(Py<PyString>, Option<Py<PyAny>>, bool)>;
        let awaited: Vec<Told> = functions.getattr("awaited")?.extract()?;
        let awaited = awaited.into_iter().map(|one| one.map(|(name, anew, has_check)| Awaited { name, anew, has_check }));
        Ok(PythonFunctions {
            awaited: awaited.collect(),
            held: None,
            turn: functions.getattr("turn")?.unbind(),
            spoken_type: functions.getattr("spoken_type")?.unbind(),
            encode: functions.getattr("encode")?.unbind(),
            functions: functions.clone().unbind(),
            slots: Vec::new(),
            scratch: Vec::new(),
            text: String::new(),
        })
    }

    fn slot(&mut self, place: u32) -> &mut Slot {
        let place = place as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, Slot::default);
        }
        &mut self.slots[place]
    }

    /// Lets a user's function go on and says what it wants next.
    fn go_on(&mut self, py: Python<'_>, place: u32) -> PyResult<Wants> {
        let slot = &mut self.slots[place as usize];
        let (Some(user), Some(running)) = (&slot.user, &slot.running) else { return Ok(Wants::Nothing(End::default())) };
        let (user, running) = (user.bind(py).clone(), running.bind(py).clone());
        self.turn.bind(py).setattr(intern!(py, "drawing"), &user)?;
        let slot = &mut self.slots[place as usize];
        let sent = match slot.failure.take() {
            Some((_, text)) => PyString::new(py, &text).into_any(),
            None => py.None().into_bound(py),
        };
        // SAFETY: what is sent to is a coroutine or a generator, whose `send` this calls; the cast changes no more than a type here
        let mut said = unsafe { running.cast_unchecked::<PyIterator>() }.send(&sent);
        for _ in 0..MOST_FOREIGN {
            match said {
                Ok(PySendResult::Next(wanted)) => match self.read(&wanted, place)? {
                    Ok(wants) => return Ok(wants),
                    Err(text) => {
                        let error = match text {
                            Some(text) => PyValueError::new_err(text).into_value(py).into_any(),
                            None => self.functions.bind(py).call_method1(intern!(py, "foreign"), (wanted,))?.unbind(),
                        };
                        said = thrown(&running, error);
                    }
                },
                Ok(PySendResult::Return(_)) => return self.ended(&user, place, None),
                Err(error) => return self.ended(&user, place, Some(error)),
            }
        }
        let _ = running.call_method0(intern!(py, "close"));
        self.ended(&user, place, Some(PyRuntimeError::new_err("it goes on waiting for what there is not")))
    }

    /// What a function has yielded; Err: what is wrong with it, None where it is nothing that the loop knows.
    fn read(&mut self, wanted: &Bound<'_, PyAny>, place: u32) -> PyResult<Result<Wants, Option<String>>> {
        let is_asked = |one: &Bound<'_, PyAny>| one.is_exact_instance_of::<Asked>();
        if is_asked(wanted) || self.is_spoken(wanted) {
            let slot = &mut self.slots[place as usize];
            slot.last = slot.asked.pop();
            slot.asked.clear();
            slot.asked.push(wanted.clone().unbind());
            return Ok(Ok(Wants::Answers(1)));
        }
        if let Ok(seconds) = wanted.cast_exact::<PyFloat>() {
            let seconds = seconds.extract::<f64>()?;
            return Ok(Ok(Wants::Pause(if seconds.is_finite() { seconds.clamp(0.0, 1e9) } else { 0.0 })));
        }
        let Ok(all) = wanted.cast_exact::<PyList>() else { return Ok(Err(None)) };
        if all.is_empty() || !all.iter().all(|one| is_asked(&one)) {
            return Ok(Err(None));
        }
        if let Some(text) = too_many(all.len()) {
            return Ok(Err(Some(text)));
        }
        let slot = &mut self.slots[place as usize];
        slot.last = slot.asked.pop();
        slot.asked.clear();
        slot.asked.extend(all.iter().map(Bound::unbind));
        Ok(Ok(Wants::Answers(all.len() as u32)))
    }

    /// Whether it is a request of another protocol than HTTP.
    pub(super) fn is_spoken(&self, asked: &Bound<'_, PyAny>) -> bool {
        asked.get_type().as_ptr() == self.spoken_type.as_ptr()
    }

    /// Calls the function of a step that is a coroutine, for a user.
    fn begin_awaited(&mut self, py: Python<'_>, place: u32, step: usize) -> PyResult<Wants> {
        let functions = self.functions.bind(py);
        let slot = &mut self.slots[place as usize];
        let (Some(user), Some(asking)) = (&slot.user, &slot.asking) else { return Ok(Wants::Nothing(End::default())) };
        let (user, asking) = (user.bind(py).clone(), asking.bind(py).clone());
        let before = asking.borrow_mut().begin();
        drop(before);
        slot.awaited = Some(step);
        if slot.told != Some(step) || asking.borrow().draws {
            functions.call_method1(intern!(py, "prepare"), (&user, step))?;
            slot.told = Some(step);
        }
        self.turn.bind(py).setattr(intern!(py, "drawing"), &user)?;
        match self.called(py, place, step, &user, &asking) {
            Ok(running) => {
                self.slots[place as usize].running = Some(running.unbind());
                self.go_on(py, place)
            }
            Err(error) => self.ended(&user, place, Some(error)),
        }
    }

    fn called<'py>(
        &mut self,
        py: Python<'py>,
        place: u32,
        step: usize,
        user: &Bound<'py, PyAny>,
        asking: &Bound<'py, Asking>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let slot = &mut self.slots[place as usize];
        let target = match &slot.target {
            Some(target) => target.bind(py).clone(),
            None => {
                let made = self.functions.bind(py).call_method1(intern!(py, "target"), (user, step))?;
                slot.target = Some(made.clone().unbind());
                made
            }
        };
        match self.awaited.get(step).and_then(Option::as_ref) {
            Some(Awaited { anew: Some(anew), .. }) => anew.bind(py).call1((target, asking)),
            Some(Awaited { name, .. }) => target.getattr(name.bind(py))?.call1((asking,)),
            None => Err(PyRuntimeError::new_err("there is no such step")),
        }
    }

    /// What is wrong with a pass that raised nothing.
    fn look_at_end(&self, user: &Bound<'_, PyAny>, asking: &Bound<'_, Asking>, step: usize) -> PyResult<()> {
        let py = user.py();
        let Some(Awaited { anew, has_check, .. }) = self.awaited.get(step).and_then(Option::as_ref) else { return Ok(()) };
        if anew.is_none() && asking.borrow().due != 0 {
            self.functions.bind(py).call_method1(intern!(py, "refuse_due"), (asking,))?;
        }
        if *has_check {
            self.functions.bind(py).call_method1(intern!(py, "check"), (user, step))?;
        }
        Ok(())
    }

    fn ended(&mut self, user: &Bound<'_, PyAny>, place: u32, mut error: Option<PyErr>) -> PyResult<Wants> {
        let py = user.py();
        let slot = &mut self.slots[place as usize];
        slot.running = None;
        slot.last = slot.asked.pop();
        slot.asked.clear();
        let (awaited, asking) = (slot.awaited.take(), slot.asking.as_ref().map(|one| one.bind(py).clone()));
        let mut is_written = false;
        if let Some((step, asking)) = awaited.zip(asking.as_ref()) {
            is_written = error.is_some() && self.awaited.get(step).and_then(Option::as_ref).is_some_and(|step| step.anew.is_some());
            error = error.or_else(|| self.look_at_end(user, asking, step).err());
        }
        let mut end = End::default();
        if let Some(error) = error {
            end.failed = true;
            let told = self.functions.bind(py).call_method1(intern!(py, "raised"), (error.into_value(py), is_written))?;
            if let Some((outcome, text, apart)) = told.extract::<Option<(u8, String, bool)>>()? {
                end.failure = Some(Failure::new(outcome_of(outcome), text));
                end.apart = apart;
            }
        }
        if asking.is_none_or(|one| one.borrow().draws) {
            end.out_of_rows = user.getattr(intern!(py, "out_of_rows"))?.is_truthy()?;
        }
        Ok(Wants::Nothing(end))
    }

    fn told<T>(&mut self, question: impl FnOnce(&mut Self, Python<'_>) -> PyResult<T>) -> Result<T, Fatal> {
        if self.held.is_none() {
            // SAFETY: the interpreter runs, since this is called from within `Core.run`; `rest` gives the lock back on the same thread
            self.held = Some(unsafe { ffi::PyGILState_Ensure() });
        }
        Python::attach(|py| question(self, py).map_err(|error| Fatal(error.to_string())))
    }
}

impl Functions for PythonFunctions {
    fn begin(&mut self, place: u32, user: u32, step: usize) -> Result<Wants, Fatal> {
        self.told(|me, py| {
            let functions = me.functions.bind(py).clone();
            let slot = me.slot(place);
            if slot.user.is_none() || slot.number != user {
                let made = functions.call_method1("user", (user,))?;
                let asking = made.getattr("asking")?.cast_into::<Asking>()?.unbind();
                *slot = Slot { number: user, user: Some(made.unbind()), asking: Some(asking), ..Slot::default() };
            }
            (slot.last, slot.failure) = (None, None);
            slot.asked.clear();
            if me.awaited.get(step).is_some_and(Option::is_some) {
                return me.begin_awaited(py, place, step);
            }
            let slot = me.slot(place);
            (slot.awaited, slot.told) = (None, None);
            let running = functions.call_method1(intern!(py, "begin"), (slot.user.as_ref(), step))?;
            me.slots[place as usize].running = Some(running.unbind());
            me.go_on(py, place)
        })
    }

    fn resume(&mut self, place: u32) -> Result<Wants, Fatal> {
        self.told(|me, py| me.go_on(py, place))
    }

    fn lay_out(&mut self, place: u32, at: u32, step: usize, call: &CallPlan, out: &mut Outgoing, body: &mut Vec<u8>) -> Laid {
        let made = self.told(|me, py| {
            let Some(asked) = me.slot(place).asked.get(at as usize).map(|asked| asked.clone_ref(py)) else { return Ok(None) };
            me.laid(py, asked.bind(py), step, call, out, body).map(Some)
        });
        let failed = |text: String| Laid { method: "GET".into(), name: None, made: Err(Failure::new(Outcome::Engine, text)) };
        made.map_or_else(|Fatal(text)| failed(text), |laid| laid.unwrap_or_else(|| failed("there is no such request".into())))
    }

    fn answered(&mut self, place: u32, at: u32, answer: &Answer, took_ns: i64, is_good: bool) -> Result<(), Fatal> {
        self.told(|me, py| {
            let Some(asked) = me.slot(place).asked.get(at as usize).map(|asked| asked.clone_ref(py)) else { return Ok(()) };
            let asked = asked.bind(py);
            if let Ok(asked) = asked.cast_exact::<Asked>() {
                asked.borrow_mut().fill(answer, took_ns);
                return Ok(());
            }
            me.scratch.clear();
            push_lines(&mut me.scratch, answer);
            asked.setattr(intern!(py, "ok"), is_good)?;
            asked.setattr(intern!(py, "status"), answer.status())?;
            asked.setattr(intern!(py, "elapsed_ms"), took_ns as f64 / 1e6)?;
            asked.setattr(intern!(py, "lines"), PyBytes::new(py, &me.scratch))?;
            asked.setattr(intern!(py, "body"), PyBytes::new(py, answer.raw()))
        })
    }

    fn failed(&mut self, place: u32, at: u32, text: &str) -> Result<(), Fatal> {
        let failure = &mut self.slot(place).failure;
        if failure.as_ref().is_none_or(|(first, _)| *first > at) {
            *failure = Some((at, text.to_owned()));
        }
        Ok(())
    }

    fn reply(&mut self, place: u32, at: Option<u32>) -> Option<KeptReply> {
        let kept = self.told(|me, py| {
            let slot = me.slot(place);
            let asked = match at {
                Some(at) => slot.asked.get(at as usize),
                None => slot.last.as_ref(),
            };
            let Some(asked) = asked.map(|asked| asked.clone_ref(py)) else { return Ok(None) };
            let kept = me.functions.bind(py).call_method1("kept", (asked,))?;
            let (status, reason, fields, body) = kept.extract()?;
            Ok(Some(KeptReply { status, reason, fields, body }))
        });
        kept.unwrap_or(None)
    }

    fn secrets(&mut self, place: u32) -> Vec<String> {
        let held = self.told(|me, py| {
            let Some(user) = me.slot(place).user.as_ref().map(|user| user.clone_ref(py)) else { return Ok(Vec::new()) };
            me.functions.bind(py).call_method1("secrets", (user,))?.extract()
        });
        held.unwrap_or_default()
    }

    fn cut_off(&mut self, place: u32) {
        Python::attach(|py| {
            let Some(running) = self.slot(place).running.take() else { return };
            if let Some(user) = &self.slots[place as usize].user {
                let _ = self.turn.bind(py).setattr(intern!(py, "drawing"), user);
            }
            // what it does at its end, and what it raises there, is in no number
            let _ = running.bind(py).call_method0(intern!(py, "close"));
        });
    }

    fn rest(&mut self) {
        if let Some(held) = self.held.take() {
            // SAFETY: `told` took it on this thread, and nothing of Python is borrowed here
            unsafe { ffi::PyGILState_Release(held) };
        }
    }
}

/// An error raised where a function waits; what it does then.
fn thrown<'py>(running: &Bound<'py, PyAny>, error: Py<PyAny>) -> PyResult<PySendResult<'py>> {
    let py = running.py();
    match running.call_method1(intern!(py, "throw"), (error,)) {
        Ok(wanted) => Ok(PySendResult::Next(wanted)),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => Ok(PySendResult::Return(py.None().into_bound(py))),
        Err(error) => Err(error),
    }
}

fn outcome_of(number: u8) -> Outcome {
    Outcome::ALL.get(usize::from(number)).copied().unwrap_or(Outcome::Engine)
}
