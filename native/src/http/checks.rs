//! Assertions and extracts: what a reply must be, and what is taken from it.

use serde_json::Value;

use crate::http::answer::Answer;
use crate::http::work::Work;
use crate::markup::{Taken, Trouble};
use crate::plan::host::Host;
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::status::{is_status, status_text, status_value};
use crate::plan::{Check, Extract, Finder, OnFailure, Only, Step};
use crate::values::data::Data;
use crate::values::node::{Missing, Scope};
use crate::values::value::{number_of, same, shown, shown_text, text_of};

/// The default rule, then the assertions in order, then the extracts, which all run.
pub fn judge(
    step: &Step,
    answer: &mut Answer,
    scope: &mut Scope,
    data: &mut Data,
    host: &mut dyn Host,
    time_ms: f64,
) -> Result<(), Failure> {
    if !step.own_status
        && let Some(failure) = answer.refusal()
    {
        if step.on_failure != OnFailure::StopIfLacking {
            return Err(failure);
        }
        let has_all = judge_content(step, answer, scope, data, host, time_ms).is_ok();
        return Err(Failure { has_all, ..failure });
    }
    judge_content(step, answer, scope, data, host, time_ms)
}

/// The assertions in order, then the extracts, which all run.
fn judge_content(
    step: &Step,
    answer: &mut Answer,
    scope: &mut Scope,
    data: &mut Data,
    host: &mut dyn Host,
    time_ms: f64,
) -> Result<(), Failure> {
    let work = Work::begin(!(step.checks.is_empty() && step.extracts.is_empty()) && answer.may_cost());
    for check in &step.checks {
        check_one(check, answer, scope, data, host, time_ms)?;
        work.check()?;
    }
    let mut result = Ok(());
    for extract in &step.extracts {
        match take(extract, answer, scope, host) {
            Ok(()) => {}
            Err(failure) if failure.outcome == Outcome::Extract => result = Err(failure),
            Err(failure) => return Err(failure), // a body that can't be read
        }
        work.check()?;
    }
    result
}

fn check_one(
    check: &Check,
    answer: &mut Answer,
    scope: &mut Scope,
    data: &mut Data,
    host: &mut dyn Host,
    time_ms: f64,
) -> Result<(), Failure> {
    let wrong = |text: String| Err(Failure::new(Outcome::Assertion, text));
    // one that lacks a value can't be held against the answer; the request was sent all the same
    let lacks = |Missing(text)| Failure::new(Outcome::Assertion, text);
    match check {
        Check::Status(allowed, words) => {
            if !allowed.contains(&answer.status()) {
                return wrong(format!("status_code expected {words}, got {}", status_text(answer.status())));
            }
        }
        Check::StatusIs(node) => {
            let value = node.value(scope, data).map_err(lacks)?;
            let accepted = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
            if !accepted.iter().any(|one| is_status(one, answer.status())) {
                let words: Vec<String> = accepted.iter().map(text_of).collect();
                return wrong(format!("status_code expected {}, got {}", words.join(" or "), status_text(answer.status())));
            }
        }
        Check::Contains { text, wanted } => {
            let made;
            let text = match text.as_static() {
                Some(Value::String(text)) => text,
                _ => {
                    made = text_of(&text.value(scope, data).map_err(lacks)?);
                    &made
                }
            };
            if answer.contains(text, host)? != *wanted {
                let words = if *wanted { "does not contain" } else { "unexpectedly contains" };
                return wrong(format!("body {words} {}", shown_text(text)));
            }
        }
        Check::Pattern { pattern, wanted, fails } => {
            if pattern.is_in(&answer.text(host)?) != *wanted {
                return wrong(fails.clone());
            }
        }
        Check::Json { path, cut, value } => {
            let made;
            let wanted = match value.as_static() {
                Some(value) => value,
                None => {
                    made = value.value(scope, data).map_err(lacks)?;
                    &made
                }
            };
            let found = match answer.find(cut, host) {
                Ok(Some(found)) if same(&found, wanted) => return Ok(()),
                Ok(found) => found,
                Err(Some(failure)) => return Err(failure),
                Err(None) => return wrong(format!("json_path {path} expected {}, got a body that is not JSON", shown(wanted))),
            };
            let got = found.as_ref().map_or_else(|| "nothing at that path".to_owned(), shown);
            return wrong(format!("json_path {path} expected {}, got {got}", shown(wanted)));
        }
        Check::Truthy { path, cut } => {
            let got = match answer.find(cut, host) {
                Ok(Some(found)) if is_true(&found) => return Ok(()),
                Ok(Some(found)) => shown(&found),
                Ok(None) => "nothing at that path".into(),
                Err(Some(failure)) => return Err(failure),
                Err(None) => "a body that is not JSON".into(),
            };
            return wrong(format!("json_path {path} expected a true value, got {got}"));
        }
        Check::Header { name, value } => {
            let wanted = text_of(&value.value(scope, data).map_err(lacks)?);
            let found = answer.header_text(name);
            if found.as_deref() != Some(&wanted) {
                let got = found.as_deref().map_or_else(|| "none".to_owned(), shown_text);
                return wrong(format!("header {name} expected {}, got {got}", shown_text(&wanted)));
            }
        }
        Check::Time(limit) => {
            let given = limit.value(scope, data).map_err(lacks)?;
            let Some(most) = number_of(&given) else {
                return wrong(format!("response_time: {} is not a number of milliseconds", shown(&given)));
            };
            if time_ms > most {
                return wrong(format!("response_time over {} ms", short(most)));
            }
        }
    }
    Ok(())
}

/// Python's `%g`, for times: six digits, no zeros behind.
pub fn short(number: f64) -> String {
    if number == 0.0 || !(1e-4..1e6).contains(&number.abs()) {
        let text = format!("{number:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        let exponent: i32 = exponent.parse().unwrap_or(0);
        return if number == 0.0 { "0".into() } else { format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()) };
    }
    let places = (5 - number.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{number:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Python's truth.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(held) => *held,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn not_only(only: Option<Only>, value: &Value) -> Option<&'static str> {
    match only? {
        Only::Text => (!value.is_string()).then_some("a text"),
        Only::Scalar => (!(value.is_string() || value.is_number())).then_some("a text or a number"),
    }
}

fn take(extract: &Extract, answer: &mut Answer, scope: &mut Scope, host: &mut dyn Host) -> Result<(), Failure> {
    let found = find(&extract.find, answer, host)?.and_then(|value| match not_only(extract.only, &value) {
        Some(what) => Err(format!("{} is not {what}", shown(&value))),
        None => Ok(value),
    });
    let store = if extract.session { &mut scope.session } else { &mut scope.variables };
    match found {
        Ok(value) => {
            store[extract.place] = Some(value);
            Ok(())
        }
        Err(what) => {
            store[extract.place] = None; // an old value must not be taken for a new one
            Err(Failure::new(Outcome::Extract, format!("extract {}: {what}", extract.var)))
        }
    }
}

/// The value, or why there is none; Err for a body that can't be read.
pub fn find(finder: &Finder, answer: &mut Answer, host: &mut dyn Host) -> Result<Result<Value, String>, Failure> {
    Ok(match finder {
        Finder::Json { path, cut } => match answer.find(cut, host) {
            Ok(found) => found.ok_or_else(|| format!("nothing at json_path {path}")),
            Err(Some(failure)) => return Err(failure),
            Err(None) => Err(format!("the body is not JSON, so nothing is at json_path {path}")),
        },
        Finder::Header(name) => answer.header_text(name).map(Value::String).ok_or_else(|| format!("no header {name}")),
        Finder::Field { name, pattern, group, fails } => match answer.header_text(name) {
            Some(value) => pattern.find(&value, *group).map(Value::String).ok_or_else(|| fails.clone()),
            None => Err(format!("no header {name}")),
        },
        Finder::Status if answer.status() == 0 => Err("the reply has no status".into()),
        Finder::Status => Ok(status_value(answer.status())),
        Finder::Pattern { pattern, group, fails } => {
            pattern.find(&answer.text(host)?, *group).map(Value::String).ok_or_else(|| fails.clone())
        }
        Finder::Cookie(name) => answer.cookie(name).map(Value::String).ok_or_else(|| format!("no Set-Cookie of {name}")),
        Finder::Body => Ok(Value::String(answer.text(host)?.into_owned())),
        Finder::Markup { query, fails, large } => match answer.page(host)? {
            Ok(page) => match page.find(query) {
                Taken::Value(value) => Ok(value),
                Taken::Nothing => Err(fails.clone()),
                Taken::TooMuch => return Err(Failure::new(Outcome::TooLarge, large.clone())),
            },
            Err(Trouble::Broken(what)) => Err(what.clone()),
            Err(Trouble::TooLarge(what)) => return Err(Failure::new(Outcome::TooLarge, what.clone())),
        },
    })
}
