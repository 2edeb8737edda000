"""Scenarios made by chance send and record the same, read into steps for either engine and run in Python.

`LOADFLOW_SCENARIOS=40` makes more of them than the usual 8, four to a load.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest

from loadflow.engine.records.outcome import Outcome
from loadflow.engine.scenario.loading import ALLOW
from tests.scenario.test_ways import WAYS, run, sent
from tests.targets.fixture import Target

SCENARIOS = int(os.environ.get("LOADFLOW_SCENARIOS", "8"))
OF_ANSWERS = dict.fromkeys((Outcome.STATUS, Outcome.ASSERTION, Outcome.EXTRACT), Outcome.ASSERTION)
TASKS = 4  # of one class, so that one load tries several

HEAD = """
from loadflow import VUser, csv, rand, scenario, sleep, task, uuid

users = csv({rows!r})
NAMES = ("ann", "bob")
TABLE = {{"a": 1, "b": None}}


def at(n, *, q="x"):
    return f"/ok?n={{n}}&q={{q}}"


@scenario(rps=1, seed={seed})
class Shop(VUser):
    size = 3

    def on_start(self, client):
        answer = client.post("/echo", data="first", name="log in")
        assert answer.ok
        self.kind = answer.json()["method"]
        self.where = answer.json()["target"]
        self.number = {seed}
"""

# an expression for each kind of value; {a} is the last answer
TEXTS = (
    '"x"',
    "users.name",
    'users["pin"]',
    "self.kind",
    "self.where",
    'f"{self.kind}-{self.size}"',
    '"k" + self.kind',
    '"-".join(["a", self.kind])',
    "NAMES[1]",
    "NAMES[0].upper()",
    "str(self.number)",
    '"{}/{}".format(self.kind, 7)',
    'f"{self.number:04d}"',
)
FROM_ANSWER = (
    '{a}.json()["method"]',
    '{a}.json()["target"]',
    '{a}.json()["body"]',
    'f"<{{{a}.status_code}}>"',
    '{a}.headers["Content-Type"]',
)
VALUES = ("1", "None", "True", "[1, 2.5]", "{{**TABLE}}", "{text}", "rand.int(1, 999)", "uuid()", "[n for n in range(3) if n != 1]")
ASSERTS = (
    "assert {a}.status_code == 200",
    "assert {a}.status_code in (200, 201)",
    'assert {a}.json()["method"] == "{method}"',
    'assert {a}.json()["target"]',
    'assert "{method}" in {a}.text',
    "{a}.raise_for_status()",
    "assert 200 <= {a}.status_code < 300 and {a}.ok",
    'assert {a}.json()["body"] == "never"',
    'assert {a}.json()["nothing"]',
    'assert "nowhere" not in {a}.text',
)
FAILS = ('client.get("/status/503")', 'client.get("/status/404").json()["nothing"]', 'client.get("/status/500").raise_for_status()')


class Writer:
    """Writes one class."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.names = 0

    def source(self, rows: Path) -> str:
        lines = [HEAD.format(rows=str(rows), seed=self.seed)]
        for number in range(TASKS):
            is_async = self.random.random() < 0.3
            lines.append(f"    @task(weight={self.random.randint(1, 3)})")
            lines.append(f"    {'async ' if is_async else ''}def task_{number}(self, client):")
            lines += [f"        {line}" for line in self.body("await " if is_async else "")]
            if self.random.random() < 0.4:
                lines += [f"    def check_task_{number}(self, status, body):", "        assert status == 200 and body"]
        return "\n".join(lines) + "\n"

    def body(self, wait: str) -> Iterator[str]:
        last = ""
        for _ in range(self.random.randint(1, 5)):
            kind = self.random.random()
            if kind < 0.1:
                yield f"for n in range({self.random.randint(1, 3)}):"
                yield f"    {wait}client.get(at(n, q={self.text('')}))"
                last = ""
                continue
            if kind < 0.2 and not wait:
                yield self.random.choice(FAILS)
                last = ""
                continue
            if kind < 0.3:
                self.names += 1
                requests = [f"{{'path': {path}, 'name': 'at once {self.names} {at}'}}" for at, path in enumerate(self.paths())]
                last = f"a{self.names}"
                yield f"{last} = ({wait}client.batch([{', '.join(requests)}]))[-1]"
                yield self.random.choice(ASSERTS).format(a=last, method="GET")
                continue
            self.names += 1
            method = self.random.choice(("get", "post", "put", "patch", "delete"))
            call = f"{wait}client.{method}({self.options(method, last)})"
            last = f"a{self.names}"
            yield f"{last} = {call}"
            if self.random.random() < 0.5:
                yield self.random.choice(ASSERTS).format(a=last, method=method.upper())
            if self.random.random() < 0.2:
                yield f"sleep({self.random.choice(('0.001', '0.001, 0.002'))})"

    def paths(self) -> list[str]:
        known = ("'/status/503'", "'/ok'", "f'/echo?at-once&q={self.kind}'", "'/echo?at-once=' + users.name")
        return [self.random.choice(known) for _ in range(self.random.randint(0, 3))] + ["'/echo?at-once'"]

    def options(self, method: str, last: str) -> str:
        parts = [
            '"/echo"'
            if self.random.random() < 0.7
            else f'f"/echo?q={{{self.text(last)}}}"'
            if last == ""
            else '"/echo?q=" + ' + self.text(last)
        ]
        if self.random.random() < 0.4:
            parts.append(f'headers={{"X-App": {self.text(last)}, "X-Kind": "k"}}')
        if self.random.random() < 0.3:
            parts.append(f'params={{"p": {self.text(last)}, "none": None, "l": [1, "b"]}}')
        if method in ("post", "put", "patch"):
            body = self.random.choice(VALUES).format(text=self.text(last))
            parts.append(
                self.random.choice(
                    (f"json={{'v': {body}}}", f"json=[{body}]", f"data={self.text(last)}", f'data={{"f": {self.text(last)}}}')
                )
            )
        if self.random.random() < 0.2:
            parts.append(f'name="named {self.names}"')
        return ", ".join(parts)

    def text(self, last: str) -> str:
        if last and self.random.random() < 0.5:
            return self.random.choice(FROM_ANSWER).format(a=last)
        return self.random.choice(TEXTS).replace('"', "'") if not last else self.random.choice(TEXTS)


def is_at_once(request: Any) -> bool:
    return request[1] in ("/status/503", "/ok") or "at-once" in request[1]


def in_order(entries: list[Any], at_once: Callable[[Any], bool]) -> list[Any]:
    """In which order requests of a batch arrive and end is chance: neighbours that are of one are sorted."""
    found: list[Any] = []
    for of_batch, together in groupby(entries, at_once):
        neighbours = list(together)
        found += sorted(neighbours, key=repr) if of_batch else neighbours
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, -(-SCENARIOS // TASKS)))])
def test_all_ways_do_the_same(seed: int, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    rows = tmp_path / "users.csv"
    rows.write_text("name,pin\nann lee,1\nbob,2\n")
    file = tmp_path / "shop.py"
    file.write_text(Writer(seed).source(rows))
    seen: dict[Any, Any] = {}
    for way, engine in WAYS:
        target.reset()
        done = run(tmp_path / f"{way}-{engine}", file, way, engine, target, iterations=12)
        # the words for a failure differ: a part that is not there is a failed assert of a step, and a KeyError before the assert in Python
        hits = [(hit.name, OF_ANSWERS.get(hit.outcome, hit.outcome), hit.status, hit.flags) for hit in done.hits]
        ordered = in_order(hits, lambda hit: hit[0].startswith("at once"))
        seen[way, engine] = (in_order(sent(target), is_at_once), ordered, done.summary["passes"])
    first = seen[WAYS[0]]
    assert len(first[0]) > 12, file.read_text()
    for way in WAYS[1:]:
        for mine, theirs in zip(first, seen[way], strict=True):
            assert theirs == mine, f"{way}\n{file.read_text()}"
