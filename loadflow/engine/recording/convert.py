"""A recording made into an action script.

Goes through the entries twice, so that a file of any size needs memory for what its requests sent, not for what they got: first
for the requests, then for the values in the responses that later requests sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from loadflow.engine.recording.correlate import Found, correlate, sent_by
from loadflow.engine.recording.entry import Request, Unplayable, as_dict, as_text, read_request
from loadflow.engine.recording.exchange import Exchange, exchanges_of, in_order, think_times_s
from loadflow.engine.recording.har_file import Entries, entries_of
from loadflow.engine.recording.lift import Lifted, own_cookies, secrets_of
from loadflow.engine.recording.naming import step_name
from loadflow.engine.recording.report import Correlated, LeftOut, Report
from loadflow.engine.recording.substitute import DOLLAR, Shape, step_keys
from loadflow.engine.script.document import ROOT_KEY
from loadflow.engine.script.mistakes import faults_of, mistakes_of
from loadflow.engine.script.model import StartTest
from loadflow.errors import CommandError, Mistake

__all__ = ["Recording", "convert_har", "har_to_action_json", "har_to_tasks"]

Patterns = str | list[str] | None
REASON_URL = 200  # characters of a URL in the report


@dataclass(frozen=True, slots=True)
class Recording:
    """The steps of a HAR, the variables they need, and what was done to get them."""

    tasks: list[dict[str, Any]]
    variables: dict[str, Any]
    report: Report

    def document(
        self, user: str = "fast_http_user", user_count: int = 10, spawn_rate: float = 5, test_time: float | None = 60
    ) -> dict[str, Any]:
        """An action script with one load test; raises CommandError when there is no step, or for arguments it can't have."""
        if not self.tasks:
            seen = "; ".join(str(one) for one in self.report.left_out[:5]) or f"{self.report.filtered} entries were filtered out"
            raise CommandError([Mistake("", f"the recording has nothing to play: {seen}", "check include and exclude, or record again")])
        arguments: dict[str, Any] = {
            "user_detail_dict": {"user": user},
            "tasks": {"mode": "sequence", "tasks": self.tasks},
            "user_count": user_count,
            "spawn_rate": spawn_rate,
            "test_time": test_time,
            **({"variables": self.variables} if self.variables else {}),
        }
        try:
            StartTest.model_validate(arguments)
        except ValidationError as error:
            faults = faults_of(error, keys=StartTest.keys(), noun=StartTest.noun)
            raise CommandError(mistakes_of(faults, arguments, "")) from None
        return {ROOT_KEY: [["LD_start_test", arguments]]}


def har_to_tasks(
    har: dict[str, Any] | str,
    include: Patterns = None,
    exclude: Patterns = None,
    think_time: bool = False,
    keep_secrets: bool = False,
) -> list[dict[str, Any]]:
    """The steps of a HAR, given as the object or as the path of a file. See `har_to_action_json`."""
    return convert_har(har, include, exclude, think_time=think_time, keep_secrets=keep_secrets).tasks


def har_to_action_json(
    har: dict[str, Any] | str,
    user: str = "fast_http_user",
    user_count: int = 10,
    spawn_rate: float = 5,
    test_time: float | None = 60,
    include: Patterns = None,
    exclude: Patterns = None,
    think_time: bool = False,
    keep_secrets: bool = False,
) -> dict[str, Any]:
    """The action script that plays a HAR, given as the object or as the path of a file.

    `include` and `exclude` are regular expressions, searched for in whole URLs. `think_time` pauses as the recording did.
    Secrets become `${env.NAME}` unless `keep_secrets`.
    """
    made = convert_har(har, include, exclude, think_time=think_time, keep_secrets=keep_secrets)
    return made.document(user, user_count, spawn_rate, test_time)


def convert_har(
    har: object, include: Patterns = None, exclude: Patterns = None, *, think_time: bool = False, keep_secrets: bool = False
) -> Recording:
    """The steps of a HAR (an object, or the path of a file), with the report. Raises CommandError.

    >>> entry = {"request": {"method": "GET", "url": "http://shop.example/items/17?page=2"}, "response": {"status": 200}}
    >>> convert_har({"log": {"entries": [entry]}}).tasks[0]["name"]
    '/items/{id}'
    """
    wanted = _filter(include, exclude)
    entries = entries_of(har, str(har) if isinstance(har, str | Path) else "")
    requests, left_out, total = _requests(entries)
    exchanges = exchanges_of(requests, wanted)
    cookies = own_cookies(exchanges)
    variables: set[str] = set()
    found = correlate(_responses(entries, exchanges), sent_by(exchanges, cookies), variables)
    lifted = Lifted() if keep_secrets else secrets_of(exchanges, cookies, {one.value for one in found})
    writer = _Writer(exchanges, cookies, {one.value: one for one in found}, lifted)
    tasks = writer.steps(think_times_s(exchanges) if think_time else [None] * len(exchanges))
    used = [one for one in found if one.variable in writer.used]
    redirects = sum(len(one.followed) for one in exchanges)
    report = Report(
        entries=total,
        steps=len(tasks),
        filtered=len(requests) - len(exchanges) - redirects,
        redirects=redirects,
        left_out=tuple(left_out),
        correlated=tuple(_told(one, tasks) for one in used),
        secrets=tuple(sorted(lifted.names[value] for value in lifted.names if lifted.names[value] in writer.secrets)),
        notes=tuple(f"step {at} ({tasks[at]['name']}): {one.request.note}" for at, one in enumerate(exchanges) if one.request.note),
    )
    needs_dollar = f"${{var.{DOLLAR}}}" in repr(tasks)
    return Recording(tasks, {DOLLAR: "$"} if needs_dollar else {}, report)


def _filter(include: Patterns, exclude: Patterns) -> Callable[[Request], bool]:
    kept, dropped = _patterns(include, "include"), _patterns(exclude, "exclude")

    def wanted(request: Request) -> bool:
        if kept and not any(one.search(request.url) for one in kept):
            return False
        return not any(one.search(request.url) for one in dropped)

    return wanted


def _patterns(given: Patterns, name: str) -> list[re.Pattern[str]]:
    found = []
    for text in [given] if isinstance(given, str) else given or ():
        try:
            found.append(re.compile(text))
        except (re.error, TypeError) as error:
            raise CommandError([Mistake(name, f"{text!r} is no regular expression: {error}", "correct it")]) from None
    return found


def _requests(entries: Entries) -> tuple[list[Request], list[LeftOut], int]:
    """The playable ones in the order they were sent, the others with reasons, and how many entries there are."""
    requests: list[Request] = []
    left_out: list[LeftOut] = []
    total = 0
    for index, entry in enumerate(entries()):
        total += 1
        try:
            requests.append(read_request(entry, index))
        except Unplayable as reason:
            raw = as_dict(as_dict(entry).get("request"))
            url = re.split(r"[?#,]", as_text(raw.get("url")), maxsplit=1)[0][:REASON_URL]
            url = re.sub(r"//[^/@]*@", "//", url).encode("utf-8", "replace").decode()
            method = as_text(raw.get("method")).upper()[:20].encode("utf-8", "replace").decode()
            left_out.append(LeftOut(index, method, url, str(reason).encode("utf-8", "replace").decode()))
    return in_order(requests), left_out, total


def _responses(entries: Entries, exchanges: Sequence[Exchange]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """What each step's response was, with the step's position; of a chain the last one, which is what the step gets."""
    position_of = {one.last.index: position for position, one in enumerate(exchanges)}
    for index, entry in enumerate(entries()):
        if index in position_of:
            yield position_of[index], as_dict(as_dict(entry).get("response"))


@dataclass(slots=True)
class _Writer:
    """Writes the steps. `used` and `secrets` are the variables that stand in them when it is done."""

    exchanges: Sequence[Exchange]
    cookies: Sequence[Mapping[str, str]]
    found: Mapping[str, Found]
    lifted: Lifted
    used: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)

    def steps(self, pauses: Sequence[float | None]) -> list[dict[str, Any]]:
        home = urlsplit(self.exchanges[0].request.url).netloc if self.exchanges else ""
        steps = [self.step(exchange, own, home, pause) for exchange, own, pause in zip(self.exchanges, self.cookies, pauses, strict=True)]
        for one in self.found.values():
            if one.variable in self.used:
                steps[one.producer].setdefault("extract", []).append(one.extract)
        return [_ordered(step) for step in steps]

    def step(self, exchange: Exchange, cookies: Mapping[str, str], home: str, pause: float | None) -> dict[str, Any]:
        request = exchange.request
        keys = step_keys(request, cookies, self.look)
        varying = {*self.found, *(value for value in self.lifted.names if self.lifted.placeholder(value, "whole", ""))}
        step = {"method": request.method.lower(), "name": step_name(request.url, home, varying), **keys}
        status = exchange.last.status
        if status is not None and status >= 200:
            step["assertions"] = [{"type": "status_code", "value": [200, 304] if status == 304 else status}]
        if not exchange.follows:
            step["allow_redirects"] = False
        if pause is not None:
            step["think_time"] = pause
        return step

    def look(self, value: str, shape: Shape, name: str) -> str | None:
        one = self.found.get(value)
        if one is not None and not (shape in ("string", "number") and one.is_number != (shape == "number")):
            self.used.add(one.variable)
            return f"${{var.{one.variable}}}"
        secret = self.lifted.placeholder(value, shape, name)
        if secret is not None:
            self.secrets.add(self.lifted.names[value])
        return secret


_ORDER = [
    *("method", "request_url", "name", "params", "headers", "cookies", "auth", "json", "data", "data_base64", "files"),
    *("allow_redirects", "assertions", "extract", "think_time"),
]


def _ordered(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: step[key] for key in _ORDER if key in step}


def _told(found: Found, tasks: Sequence[Mapping[str, Any]]) -> Correlated:
    place = f"the header {found.header}" if found.header else f"json_path {found.path}"
    users = tuple(at for at in found.users if f"${{var.{found.variable}}}" in repr(tasks[at]))
    return Correlated(found.variable, found.producer, str(tasks[found.producer]["name"]), place, users)
