"""The steps of a LoadDensity script, written so that they mean the same here."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.loaddensity.conditions import condition
from loadflow.engine.loaddensity.placeholders import Known
from loadflow.engine.loaddensity.words import HTTP_USERS, SCENARIO_KEYS, STEP_KEYS, step_words
from loadflow.engine.protocols.http.method import METHODS
from loadflow.engine.protocols.model.assertion import ASSERTIONS, SOURCES
from loadflow.engine.script.mistakes import Loc
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["Say", "is_sent", "migrate_step"]

Say = Callable[[Loc, str, str], None]  # where in the step, the key of a difference, what was done

ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
# what holds text of the request, besides `json`
SENT = ("request_url", "url", "params", "headers", "cookies", "data", "auth")


def migrate_step(step: dict[str, object], user: str, known: Known, say: Say) -> None:
    """Change `step` where it would mean something else here."""
    for key in [key for key in step if key not in step_words(user) and key not in STEP_KEYS.get(user, ())]:
        del step[key]
        say((key,), "step-keys", "removed: LoadDensity knows no such key")
    if user not in HTTP_USERS:
        for key in [key for key in step if key in SCENARIO_KEYS]:
            del step[key]
            say((key,), "other-users", f"removed: LoadDensity ignores it for a {user}")
        return
    for key in [key for key, value in step.items() if value is None]:
        del step[key]  # as if it were not there, in both
    _url(step, say)
    _numbers(step, say)
    _conditions(step, known, say)
    _lists(step, known, say)
    _body(step, known, say)
    _peer(step, user, known, say)
    if not step.get("name"):
        step["name"] = _name(step, user, known)
        say(("name",), "default-name", f"called {step['name']!r}, as in LoadDensity")


def _url(step: dict[str, object], say: Say) -> None:
    if step.get("request_url") and "url" in step:
        del step["url"]
        say(("url",), "two-urls", "removed: LoadDensity asks for request_url")


def _numbers(step: JsonObject, say: Say) -> None:
    weight: Any = step.get("weight")
    if "weight" in step and (not isinstance(weight, int) or isinstance(weight, bool) or weight < 0):
        try:
            step["weight"] = max(0, int(weight))
        except (TypeError, ValueError, OverflowError):
            return  # an error of LoadDensity too
        say(("weight",), "weight", f"now {step['weight']}")
    think = step.get("think_time")
    if isinstance(think, str) or (isinstance(think, dict) and any(isinstance(one, str) for one in think.values())):
        del step["think_time"]
        say(("think_time",), "think-time", "removed: LoadDensity waits only where it is a number")
    elif isinstance(think, dict) and _is_number(think.get("min")) and _is_number(think.get("max")) and think["max"] < think["min"]:
        step["think_time"] = think["min"]
        say(("think_time",), "think-time", f"now {think['min']}, which is what LoadDensity waits")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _conditions(step: dict[str, object], known: Known, say: Say) -> None:
    for key in ("run_if", "skip_if"):
        if key not in step:
            continue
        written = step[key]
        found = condition(written, lambda difference, text, key=key: say((key,), difference, text), known.compared)  # type: ignore[misc]
        if found == written and type(found) is type(written):
            continue
        step[key] = found
        if found is (key == "run_if"):
            del step[key]


def _lists(step: dict[str, object], known: Known, say: Say) -> None:
    for key in ("assertions", "extract"):
        entries = step.get(key)
        if not isinstance(entries, list):
            continue
        kept = []
        for position, entry in enumerate(entries):
            place: Loc = (key, position)
            if key == "assertions":
                good = isinstance(entry, dict) and isinstance(entry.get("type"), str) and entry["type"].lower() in ASSERTIONS
                why = "removed: LoadDensity skips an assertion without a known type"
            else:
                good = isinstance(entry, dict) and bool(entry.get("var")) and entry.get("from", "json_path") in SOURCES
                why = "removed: LoadDensity extracts nothing by it"
            if good:
                kept.append(entry)
                _assertion(entry, place, known, say)
            else:
                say(place, "assertion" if key == "assertions" else "extract", why)
        if kept:
            step[key] = kept
        elif entries:
            del step[key]


def _assertion(entry: dict[str, object], place: Loc, known: Known, say: Say) -> None:
    kind, value = str(entry.get("type")).lower(), entry.get("value")
    if kind == "status_code" and isinstance(value, str) and not has_placeholder(value):
        try:
            entry["value"] = int(value)
        except ValueError:
            return
        say((*place, "value"), "status-text", f"now {entry['value']}")
    elif kind == "json_path":
        text = known.as_json(value)
        if text != value:
            entry["value"] = text
            say((*place, "value"), "json-types", "compared as text, as in LoadDensity")
    elif kind in ("contains", "not_contains", "header"):
        known.written(value)


def _body(step: JsonObject, known: Known, say: Say) -> None:
    for key in SENT:
        known.written(step.get(key))
    if "json" in step:
        text = known.as_json(step["json"])
        if text != step["json"]:
            step["json"] = text
            say(("json",), "json-types", "placeholders are sent as text, as in LoadDensity")
    files = step.get("files")
    if isinstance(files, dict):
        found = {field: _upload(field, one) for field, one in files.items()}
        if found != files:
            step["files"] = found
            say(("files",), "files", "texts are the content of files, as in LoadDensity")
    elif isinstance(files, list) and files and all(isinstance(one, list) and len(one) == 2 for one in files):
        step["files"] = [{"field": field, **_upload(field, one)} for field, one in files]
        say(("files",), "files", "pairs of field and content, as in LoadDensity")
    auth = step.get("auth")
    if auth is not None and (not isinstance(auth, dict) or str(auth.get("type")).lower() not in ("basic", "bearer")):
        del step["auth"]
        say(("auth",), "auth", "removed: LoadDensity ignores it")


def _upload(field: str, one: Any) -> Any:
    """A file as it is written here, of the content, or the list of file name, content and content type, that LoadDensity takes."""
    if isinstance(one, str):
        return {"content": one, "filename": field}
    if isinstance(one, list) and 2 <= len(one) <= 4 and all(isinstance(part, str) for part in one[:3]):
        return {"filename": one[0], "content": one[1], **({"content_type": one[2]} if len(one) > 2 else {})}
    return one


def _peer(step: dict[str, object], user: str, known: Known, say: Say) -> None:
    url = step.get("request_url") or step.get("url")
    if user == "fast_http_user" and "verify" not in step and isinstance(url, str) and known.filled(url)[:8].lower() == "https://":
        step["verify"] = False
        say(("verify",), "tls", "false: a fast_http_user of LoadDensity verifies no certificate")


def _name(step: dict[str, object], user: str, known: Known) -> str:
    url = str(step.get("request_url") or step.get("url"))
    if user == "fast_http_user":
        return known.steady(url)
    origin = ORIGIN.match(filled := known.filled(url))
    path = (filled[origin.end() :] if origin else filled) or "/"
    params = step.get("params")
    if isinstance(params, dict | list) and params:
        with suppress(TypeError, ValueError):  # if it is not a list of pairs, it is not a query
            path += ("&" if "?" in path else "?") + urlencode(params, doseq=True, safe="${}().,/:")
    return known.steady(path)


def is_sent(step: object, method: str = "") -> bool:
    """Whether LoadDensity sends anything for this step of an HTTP user."""
    if not isinstance(step, dict):
        return False
    written = step.get("method") or method
    url = step.get("request_url") or step.get("url")
    return isinstance(written, str) and written.upper() in METHODS and isinstance(url, str)
