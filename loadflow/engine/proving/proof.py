"""Whether traced functions send what Python sends: both ways as real loads of one user against a recording server on this machine."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.generator.native.fit import choose
from loadflow.engine.load.build import Asked, build_plan
from loadflow.engine.load.one_load import make_load
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.python.place import PYTHON_USER
from loadflow.engine.proving.answers import OF, Answers
from loadflow.engine.proving.recorder import Recorder, Request
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.database_rows import rows_kept
from loadflow.engine.scenario.definition import HOOKS, ScenarioDef
from loadflow.engine.scenario.script import call_of
from loadflow.engine.scenario.sources import source_json, sources_of
from loadflow.engine.scenario.tracing import Trace
from loadflow.engine.scenario.values import Rows
from loadflow.engine.session.session import Session, use_session

__all__ = ["PASSES", "Proof", "prove"]

PASSES = 200  # of each function
USERS = 2  # one after the other, each with rows and draws of its own
WAYS = ("traced", "Python")
KEPT = ("variables", "max_body_bytes")  # keys of the scenario's test that say what its requests are
# `now()` in a request, also in a query
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\d(?:[+-]|%2B)\d\d(?::|%3A)\d\d")
SHOWN = 120  # letters of a value in a difference

Steps = Mapping[str, Sequence[JsonMapping]]


@dataclass(frozen=True, slots=True)
class Proof:
    """Of one function: `passes` and `requests` were the same both ways, or `difference` is the first one.

    `unproved`: why there is no proof, or only one of some steps; "" where there is.
    """

    name: str
    passes: int = 0
    requests: int = 0
    difference: str = ""
    unproved: str = ""


@dataclass
class _Seen:
    """What one way sent, by function, and how many passes it made."""

    sent: dict[str, list[Request]] = field(default_factory=dict)
    passes: int = 0
    errors: list[str] = field(default_factory=list)


def prove(made: ScenarioDef, trace: Trace, file: Path, passes: int = PASSES) -> list[Proof]:
    """A proof for each function of the scenario that is traced, in their order. Their Python runs here. Raises ScriptError, RunError.

    `on_start` is proved as if it was a task, so that its answers may fail; before the tasks they do not.
    """
    barred = {name: why for name, steps in trace.steps.items() if (why := _bar(steps))}
    steps = {name: of for name, of in trace.steps.items() if name not in barred}
    found: dict[str, Proof] = {}
    with Recorder() as recorder, tempfile.TemporaryDirectory(prefix="loadflow-proof-") as folder:
        prover = _Prover(made, file, recorder, Path(folder), steps)
        if steps.get("on_start"):
            found.update((one.name, one) for one in prover.prove(["on_start"], "", passes, users=1))
        others = [name for name in steps if name != "on_start" and steps[name]]
        if others and "on_start" not in barred:
            on_start = "on_start" if steps.get("on_start") else ""
            found.update((one.name, one) for one in prover.prove(others, on_start, -(-passes // USERS), users=USERS))
    for name in trace.steps:
        if name in barred:
            found[name] = Proof(name, unproved=f"it {barred[name]}")
        elif name not in found and trace.steps[name]:
            found[name] = Proof(name, unproved=f"on_start {barred['on_start']}")
    return [found[name] for name in trace.steps if name in found]


def _bar(steps: Iterable[StepJson]) -> str:
    """Why there can be no proof of these steps; "" where there can be."""
    for step in steps:
        if "user" in step:
            return f"speaks to {step['user']}'s peer, and a proof is of HTTP"
        if "batch" in step:
            return "sends several requests at once, and in which order they arrive is chance"
        if "://" in str(step["request_url"]).partition("?")[0]:
            return f"sends to {step['request_url']}, and a proof stays on this machine"
    return ""


class _Prover:
    def __init__(self, made: ScenarioDef, file: Path, recorder: Recorder, folder: Path, steps: Steps) -> None:
        self._made = made
        self._file = file
        self._recorder = recorder
        self._folder = folder
        self._steps = steps
        self._sources = sources_of(made)

    def prove(self, names: Sequence[str], on_start: str, passes: int, users: int) -> Iterator[Proof]:
        """Of these functions, each `passes` times by each of the users, who begin with `on_start` where it is not ""."""
        seen: dict[str, list[_Seen]] = {way: [] for way in WAYS}
        reached: set[tuple[str, int]] = set()
        for user in range(users):
            for way in WAYS:
                answers = self._answers(names, on_start, user)
                seen[way].append(self._run(way, names, on_start, passes, user, answers))
                reached |= answers.reached
        for name in names:
            yield self._proof(name, passes * users, seen, [at for at in range(len(self._steps[name])) if (name, at) not in reached])

    def _proof(self, name: str, passes: int, seen: Mapping[str, Sequence[_Seen]], unreached: Sequence[int]) -> Proof:
        pairs = list(zip(*seen.values(), strict=True))
        is_timed = "${now()" in json.dumps(list(self._steps[name]))
        for traced, called in pairs:
            mine, theirs = (_untimed(one.sent.get(name, ()), is_timed) for one in (traced, called))
            if difference := first_difference(mine, theirs):
                return Proof(name, difference=difference)
            if traced.passes != called.passes:
                text = f"traced makes {counted(traced.passes, 'pass')}, Python {called.passes}"
                return Proof(name, difference=text)
        requests = sum(len(traced.sent.get(name, ())) for traced, _ in pairs)
        if not requests:
            errors = next((one.errors for pair in pairs for one in pair if one.errors), ["no request could be made"])
            return Proof(name, unproved=f"it sent nothing: {errors[0]}")
        for step in self._steps[name]:
            if any(one["type"] == "response_time" for one in step.get("assertions") or ()):
                return Proof(name, passes, requests, unproved="it asserts how long an answer took, which no proof can repeat")
        if unreached:
            at = unreached[0]
            return Proof(name, passes, requests, unproved=f"no answer led to step {at + 1} of {len(self._steps[name])}")
        return Proof(name, passes, requests)

    def _answers(self, names: Sequence[str], on_start: str, user: int) -> Answers:
        always_good = [on_start] if on_start else []
        steps = {name: self._steps[name] for name in (*always_good, *names)}
        with rows_kept():
            plan = self._asked("traced", names, on_start, 1, user).plan
            data = Data.load(plan.sources, seed=plan.seed)
        return Answers(steps, always_good, data, plan.variables, user)

    def _run(self, way: str, names: Sequence[str], on_start: str, passes: int, user: int, answers: Answers) -> _Seen:
        self._recorder.answer_with(answers)
        with use_session(self._session()) as session, rows_kept():
            asked = self._asked(way, names, on_start, passes, user)
            engine, why_not_native = choose(asked.plan, asked.engine)
            summary = make_load(session, replace(asked, plan=asked.plan.without_pauses()), engine, why_not_native)
        seen = _Seen(passes=summary["passes"]["made"], errors=[one["message"] for one in summary["errors"]])
        for request in self._recorder.requests:
            plain = replace(request, headers=tuple(pair for pair in request.headers if pair[0].lower() != OF.lower()))
            seen.sent.setdefault(request.header(OF), []).append(plain)
        return seen

    def _session(self) -> Session:
        return Session(runs_dir=self._folder, target=TargetRules(allowed_hosts=()))  # loopback alone

    def _asked(self, way: str, names: Sequence[str], on_start: str, passes: int, user: int) -> Asked:
        # the core takes made-up values out of pools, and functions make each anew, as Locust does
        is_made_up = "${faker." in json.dumps([self._steps[name] for name in (*names, *filter(None, [on_start]))])
        steps = {"user": "fast_http_user", "engine": "locust" if is_made_up else "auto"}
        arguments: dict[str, object] = {
            **{key: self._made.test[key] for key in KEPT if key in self._made.test},
            "user_detail_dict": steps if way == "traced" else {"user": PYTHON_USER},
            "host": self._recorder.url,
            "user_count": 1,
            "spawn_rate": 1,
            "test_time": None,
            "iterations": passes * len(names),
            "seed": self._made.test.get("seed", 0) + user,
            "max_failure_rate": 1,
            "csv_sources": list(self._rows(user)),
            "tasks": {"mode": "weighted", "tasks": [self._task(way, name) for name in names]},
        }
        if on_start:
            arguments["on_start"] = self._marked(on_start) if way == "traced" else [self._called(on_start)]
        session = self._session()
        return build_plan(arguments, session.variables, session.environment, session.target, session.secret)

    def _rows(self, user: int) -> Iterator[dict[str, object]]:
        """One row for each user, another one where it can be: which row is drawn depends on the name, and two may share theirs."""
        stems = [Path(rows.__source__.path).stem for rows in self._sources.values()]
        mode: Literal["cycle", "random"] = "random" if user and len(set(stems)) == len(stems) else "cycle"
        for name, rows in self._sources.items():
            yield {**source_json(name, Rows(replace(rows.__source__, seed=None))), "mode": mode}

    def _task(self, way: str, name: str) -> dict[str, object]:
        return {"group": name, "weight": 1, "steps": self._marked(name)} if way == "traced" else self._called(name)

    def _marked(self, name: str) -> list[dict[str, object]]:
        return [{**step, "headers": {OF: name, **step.get("headers", {})}} for step in self._steps[name]]

    def _called(self, name: str) -> dict[str, object]:
        weight = {} if name in HOOKS else {"weight": 1}
        return {"name": name, **weight, "call": call_of(self._made, self._file, name), "headers": {OF: name}}


def _untimed(requests: Iterable[Request], is_timed: bool) -> list[Request]:
    """Without the time of day, where a function sends it."""
    if not is_timed:
        return list(requests)

    def cleared(text: str) -> str:
        return TIME.sub("(now)", text)

    return [
        Request(
            one.method,
            cleared(one.target),
            tuple((name, cleared(value)) for name, value in one.headers),
            cleared(one.body.decode("latin-1")).encode("latin-1"),
        )
        for one in requests
    ]


def first_difference(traced: Sequence[Request], called: Sequence[Request]) -> str:
    """What is not the same, in the words of a line; "" where all is."""
    for number, (mine, theirs) in enumerate(zip_longest(traced, called), start=1):
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            said = [f"{one.method} {_shown(one.target)}" if one else "nothing more" for one in (mine, theirs)]
            return f"request {number}: traced sends {said[0]}, Python {said[1]}"
        for what, one, other in _parts(mine, theirs):
            if one != other:
                return f"request {number}, {mine.method} {_shown(mine.target)}: {what}: traced sends {_shown(one)}, Python {_shown(other)}"
    return ""


def _parts(mine: Request, theirs: Request) -> Iterator[tuple[str, str, str]]:
    yield "method and path", f"{mine.method} {mine.target}", f"{theirs.method} {theirs.target}"
    yield "body", _body(mine), _body(theirs)
    for one, other in zip_longest(mine.headers, theirs.headers):
        yield "header", _field(one), _field(other)


def _body(request: Request) -> str:
    return request.body.decode("utf-8", "backslashreplace") or "none"


def _field(pair: tuple[str, str] | None) -> str:
    return "no further one" if pair is None else ": ".join(pair)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
