"""Assertions and extracts, compiled once: what a reply must be, and what is taken from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from loadflow.engine.base.json_path import MISSING, value_at
from loadflow.engine.base.pattern import compile_pattern
from loadflow.engine.base.values import number_of, same, shown, text_of
from loadflow.engine.markup.query import nothing_at, page_of, query_of
from loadflow.engine.markup.trouble import MarkupError, TooLarge
from loadflow.engine.plan.step_json import AssertionJson, ExtractJson
from loadflow.engine.protocols.running.seam import HitFailure, Reply
from loadflow.engine.protocols.running.work import Work
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import is_status, status_number, status_text, status_value
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler

__all__ = [
    "Check",
    "Extract",
    "compile_checks",
    "compile_extracts",
    "group_of",
    "is_only",
    "not_as_wanted",
    "nothing_matches",
    "secret_entries",
    "secret_finders",
]

Check = Callable[[Reply, Scope, float], tuple[Outcome, str] | None]
Extract = Callable[[Reply, Scope], tuple[Outcome, str] | None]


def compile_checks(assertions: Sequence[AssertionJson], compiler: Compiler) -> list[Check]:
    """In order; each gives None or the failure. The third argument of a check is the hit's time in milliseconds."""
    return [CHECKS[entry["type"]](entry, compiler) for entry in assertions]


def _status_code(entry: AssertionJson, compiler: Compiler) -> Check:
    expected = compiler(entry["value"])
    if expected.is_static:
        value = expected.value
        allowed = frozenset(map(status_number, value if isinstance(value, list) else [value]))
        words = " or ".join(status_text(one) for one in sorted(allowed))

        def static(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
            return (
                None if reply.status in allowed else (Outcome.ASSERTION, f"status_code expected {words}, got {status_text(reply.status)}")
            )

        return static

    def dynamic(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        value = expected.render(scope)
        accepted = value if isinstance(value, list) else [value]
        if any(is_status(one, reply.status) for one in accepted):
            return None
        return Outcome.ASSERTION, f"status_code expected {' or '.join(map(text_of, accepted))}, got {status_text(reply.status)}"

    return dynamic


def _contains(entry: AssertionJson, compiler: Compiler) -> Check:
    expected = compiler(entry["value"])
    wanted = entry["type"] == "contains"

    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        text = text_of(expected.value if expected.is_static else expected.render(scope))
        if (text in reply.text()) is wanted:
            return None
        return Outcome.ASSERTION, f"body {'does not contain' if wanted else 'unexpectedly contains'} {shown(text)}"

    return check


def _regex(entry: AssertionJson, compiler: Compiler) -> Check:
    pattern = compile_pattern(entry["pattern"])
    wanted = entry["type"] == "regex"
    message = not_as_wanted(entry)

    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        return None if pattern.is_in(reply.text()) is wanted else (Outcome.ASSERTION, message)

    return check


def not_as_wanted(entry: AssertionJson) -> str:
    """What is said of a body that a pattern should match, or should not."""
    return f"body {'does not match' if entry['type'] == 'regex' else 'unexpectedly matches'} {shown(entry['pattern'])}"


def _json_path(entry: AssertionJson, compiler: Compiler) -> Check:
    if entry.get("truthy"):
        return _truthy(entry["path"])
    expected = compiler(entry.get("value"))
    path = entry["path"]

    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        wanted = expected.value if expected.is_static else expected.render(scope)
        try:
            found = value_at(reply.json(), path)
        except ValueError:
            return Outcome.ASSERTION, f"json_path {path} expected {shown(wanted)}, got a body that is not JSON"
        if found is not MISSING and same(found, wanted):
            return None
        got = "nothing at that path" if found is MISSING else shown(found)
        return Outcome.ASSERTION, f"json_path {path} expected {shown(wanted)}, got {got}"

    return check


def _truthy(path: str) -> Check:
    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        try:
            found = value_at(reply.json(), path)
        except ValueError:
            return Outcome.ASSERTION, f"json_path {path} expected a true value, got a body that is not JSON"
        if found is not MISSING and found:
            return None
        got = "nothing at that path" if found is MISSING else shown(found)
        return Outcome.ASSERTION, f"json_path {path} expected a true value, got {got}"

    return check


def _header(entry: AssertionJson, compiler: Compiler) -> Check:
    expected = compiler(entry["value"])
    name = entry["name"]

    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        wanted = text_of(expected.value if expected.is_static else expected.render(scope))
        found = reply.header(name)
        if found == wanted:
            return None
        return Outcome.ASSERTION, f"header {name} expected {shown(wanted)}, got {'none' if found is None else shown(found)}"

    return check


def _response_time(entry: AssertionJson, compiler: Compiler) -> Check:
    limit = compiler(entry["max_ms"])

    def check(reply: Reply, scope: Scope, time_ms: float) -> tuple[Outcome, str] | None:
        given = limit.value if limit.is_static else limit.render(scope)
        most = number_of(given)
        if most is None:
            return Outcome.ASSERTION, f"response_time: {shown(given)} is not a number of milliseconds"
        return None if time_ms <= most else (Outcome.ASSERTION, f"response_time over {most:g} ms")

    return check


CHECKS: Mapping[str, Callable[[AssertionJson, Compiler], Check]] = {
    "status_code": _status_code,
    "contains": _contains,
    "not_contains": _contains,
    "regex": _regex,
    "not_regex": _regex,
    "json_path": _json_path,
    "header": _header,
    "response_time": _response_time,
}


ONLY_WORDS = {"text": "a text", "scalar": "a text or a number"}


def is_only(only: str, value: object) -> bool:
    """Whether an extract with this `only` takes the value."""
    return isinstance(value, str) or (only == "scalar" and isinstance(value, int | float) and not isinstance(value, bool))


def compile_extracts(entries: Sequence[ExtractJson]) -> list[Extract]:
    """Each stores what it finds with the user, or gives the failure; an old value is never left to be mistaken for a new one."""
    return [_extract(entry) for entry in entries]


def _extract(entry: ExtractJson) -> Extract:
    find = FINDERS[entry.get("from") or "json_path"](entry)
    variable = entry["var"]
    to_session = entry.get("scope") == "session"
    only = entry.get("only")

    def extract(reply: Reply, scope: Scope) -> tuple[Outcome, str] | None:
        store = scope.session if to_session else scope.variables
        found, what = find(reply)
        if only is not None and found is not MISSING and not is_only(only, found):
            found, what = MISSING, f"{shown(found)} is not {ONLY_WORDS[only]}"
        if found is MISSING:
            store.pop(variable, None)
            return Outcome.EXTRACT, f"extract {variable}: {what}"
        store[variable] = found
        return None

    return extract


def secret_finders(assertions: Iterable[AssertionJson], extracts: Iterable[ExtractJson], is_secret: Callable[[str], bool]) -> list[Finder]:
    """What of a reply must not be written down."""
    return [FINDERS[entry.get("from") or "json_path"](entry) for entry in secret_entries(assertions, extracts, is_secret)]


# what of an entry may say that its value is a secret
LOOKED_AT = ("var", "path", "name", "pattern", "selector", "attribute", "expression")


def secret_entries(
    assertions: Iterable[AssertionJson], extracts: Iterable[ExtractJson], is_secret: Callable[[str], bool]
) -> list[ExtractJson]:
    """What has a secret name in the script, though the reply itself may call it `id`; assertions as extracts of the same."""
    sources = ("json_path", "header", "regex", "not_regex")  # the types that are sources of extracts, too
    wanted = [cast(ExtractJson, {**entry, "from": entry["type"]}) for entry in assertions if entry["type"] in sources]
    return [entry for entry in [*wanted, *extracts] if is_secret(" ".join(str(entry.get(key) or "") for key in LOOKED_AT))]


Finder = Callable[[Reply], tuple[object, str]]


def _find_json(entry: ExtractJson) -> Finder:
    path = entry["path"]

    def find(reply: Reply) -> tuple[object, str]:
        try:
            return value_at(reply.json(), path), f"nothing at json_path {path}"
        except ValueError:
            return MISSING, f"the body is not JSON, so nothing is at json_path {path}"

    return find


def _find_header(entry: ExtractJson) -> Finder:
    name = entry["name"]
    if entry.get("pattern") is not None:
        return _find_in_header(entry)

    def find(reply: Reply) -> tuple[object, str]:
        found = reply.header(name)
        return (MISSING if found is None else found), f"no header {name}"

    return find


def _find_in_header(entry: ExtractJson) -> Finder:
    name = entry["name"]
    pattern = compile_pattern(entry["pattern"])
    group = group_of(entry)
    fails = nothing_matches(entry)

    def find(reply: Reply) -> tuple[object, str]:
        field = reply.header(name)
        if field is None:
            return MISSING, f"no header {name}"
        found = pattern.find(field, group)
        return (MISSING if found is None else found), fails

    return find


def _find_status(entry: ExtractJson) -> Finder:
    return lambda reply: (status_value(reply.status) or MISSING, "the reply has no status")


def _find_regex(entry: ExtractJson) -> Finder:
    pattern = compile_pattern(entry["pattern"])
    group = group_of(entry)
    fails = nothing_matches(entry)

    def find(reply: Reply) -> tuple[object, str]:
        found = pattern.find(reply.text(), group)
        return (MISSING if found is None else found), fails

    return find


def group_of(entry: ExtractJson) -> int:
    """Where an extract names no group it takes the first one; of a pattern without groups, the whole match."""
    group = entry.get("group")
    return min(1, compile_pattern(entry["pattern"]).groups) if group is None else int(group)


def nothing_matches(entry: ExtractJson) -> str:
    where = f"the header {entry['name']}" if entry.get("from") == "header" else "the body"
    return f"nothing in {where} matches {shown(entry['pattern'])}"


def _find_cookie(entry: ExtractJson) -> Finder:
    name = entry["name"]

    def find(reply: Reply) -> tuple[object, str]:
        pairs = (line.partition(";")[0].partition("=") for line in reply.header_lines("set-cookie"))
        # the last of one name is the one that a jar keeps
        found = [value.strip(" \t") for key, equals, value in pairs if equals and key.strip(" \t") == name]
        return (found[-1] if found else MISSING), f"no Set-Cookie of {name}"

    return find


def _find_body(entry: ExtractJson) -> Finder:
    return lambda reply: (reply.text(), "")


def _find_markup(entry: ExtractJson) -> Finder:
    query = query_of(entry)

    def find(reply: Reply) -> tuple[object, str]:
        try:
            return page_of(reply.text(), reply.header("content-type") or "", Work().check).find(query), nothing_at(query)
        except MarkupError as error:
            return MISSING, str(error)
        except TooLarge as error:
            raise HitFailure(Outcome.TOO_LARGE, str(error)) from None

    return find


FINDERS: Mapping[str, Callable[[ExtractJson], Finder]] = {
    "json_path": _find_json,
    "header": _find_header,
    "status_code": _find_status,
    "regex": _find_regex,
    "not_regex": _find_regex,
    "cookie": _find_cookie,
    "body": _find_body,
    "css": _find_markup,
    "xpath": _find_markup,
}
