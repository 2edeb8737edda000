"""What each construct of Python becomes: steps, or a reason why Python has to run it. Nothing is done once that belongs to each hit."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from loadflow.engine.scenario.loading import load_scenarios
from loadflow.engine.scenario.tracing import Trace, trace
from tests.scenario.constructs import REFUSED, TRACED, kept

HEAD = """
import asyncio, contextlib, functools, json, math, os, random, secrets, threading, time
import datetime as dates
import enum
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

import loadflow
from loadflow import VUser, csv, fake, now, rand, scenario, sleep, task, uuid

users = csv("users.csv")
LIMIT = 3
PATHS = ("/a", "/b")
HEADERS = {"X-App": "shop"}
CHANGED = ["/a"]
COUNT = 0
FLAG = True


class Place(enum.Enum):
    HOME = "/home"


class Word(enum.StrEnum):
    SHOP = "/shop"


class Old(str, enum.Enum):
    SHOP = "/old"


class Level(enum.IntEnum):
    HIGH = 3


class Spot(NamedTuple):
    path: str
    size: int = 2


@dataclass(frozen=True)
class Fixed:
    path: str = "/fixed"


@dataclass
class Loose:
    path: str = "/loose"


SPOT, FIXED, LOOSE = Spot("/spot"), Fixed(), Loose()


def note():
    global COUNT
    COUNT += 1
    CHANGED.append("/b")


def path_of(number):
    return f"/items/{number}"


def fetch(client, path, *, size=1):
    return client.get(path, params={"size": size})


def asked(client, *paths, **options):
    for path in paths:
        client.get(path, **options)


def twice(function):
    @functools.wraps(function)
    def inner(*args):
        function(*args)
        return function(*args)
    return inner


def maker():
    hidden = "/a"
    def inner(client):
        return client.get(hidden)
    return inner


made = maker()
Path = (lambda: "/a")
"""

CLASS = """
class Base(VUser):
    kept = 5
    names = ["a"]

    def helper(self, client, path):
        return client.get(path)

    async def later(self, client):
        return await client.get("/later")

    @property
    def made(self):
        return "/a"


@scenario(rps=1)
class One(Base):
    def on_start(self, client):
        answer = client.post("/login", json={"user": users.name})
        self.token = answer.json()["token"]
        self.size = 3

    @task
    def it(self, client):
"""


def traced(folder: Path, body: str, *, head: str = "", after: str = "", is_async: bool = False) -> Trace:
    source = (
        HEAD + head + CLASS.replace("def it", "async def it" if is_async else "def it") + indent(dedent(body).strip("\n"), " " * 8) + "\n"
    )
    file = folder / "one.py"
    file.write_text(source + indent(dedent(after), " " * 4))
    (found,) = load_scenarios(file)
    return trace(found)


AFTER = """
def again(self, client):
    self.again(client)

@twice
def wrapped(self, client):
    client.get("/a")
"""


@pytest.mark.parametrize(("body", "steps"), [row[1:] for row in TRACED], ids=[row[0] for row in TRACED])
def test_is_said_in_steps(tmp_path: Path, body: str, steps: list[dict[str, Any]]) -> None:
    found = traced(tmp_path, body)
    assert found.refused == {}
    assert found.steps["it"] == steps


@pytest.mark.parametrize(("body", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_is_left_to_python(tmp_path: Path, body: str, reason: str) -> None:
    found = traced(tmp_path, body, head='TWICE = "/a"\nTWICE = "/b"\n', after=AFTER)
    assert list(found.refused) == ["it"]
    assert reason in found.refused["it"].reason
    assert found.refused["it"].line > 0


ASYNC: list[tuple[str, str, list[str] | str]] = [
    ("awaited requests", 'a = await client.get("/a")\nawait client.get(f"/{a.json()[\'x\']}")', ["/a", "/${session.x}"]),
    ("an awaited function", "await self.later(client)", ["/later"]),
    ("a request that is not awaited", 'client.get("/a")', "does not await a request"),
    ("a function that is not awaited", 'await client.get("/a")\nself.later(client)', "does not await a request"),
    ("an answer that is awaited twice", 'a = client.get("/a")\nawait a\nawait a', "awaits a call twice"),
    ("asyncio", "await asyncio.sleep(1)", "reads asyncio, a module"),
    ("async with", "async with client:\n    pass", "uses async with"),
    ("async for", "async for x in client:\n    pass", "uses async for"),
    ("a value", "await self.token", "awaits what is neither"),
]


@pytest.mark.parametrize(("body", "wanted"), [row[1:] for row in ASYNC], ids=[row[0] for row in ASYNC])
def test_async(tmp_path: Path, body: str, wanted: list[str] | str) -> None:
    found = traced(tmp_path, body, is_async=True)
    if isinstance(wanted, str):
        assert wanted in found.refused["it"].reason
    else:
        assert [one["request_url"] for one in found.steps["it"]] == wanted


def test_the_check_of_a_task_is_asked_of_its_last_answer(tmp_path: Path) -> None:
    after = "def check_it(self, status, body):\n    assert status == 200 and body['id'] == 7\n"
    found = traced(tmp_path, 'client.get("/a")\nclient.get("/b")', after=after)
    first, second = found.steps["it"]
    assert "assertions" not in first
    assert [entry["type"] for entry in second["assertions"]] == ["status_code", "json_path"]


def test_what_a_task_asks_of_a_kept_value_is_asked_where_it_is_taken(tmp_path: Path) -> None:
    found = traced(tmp_path, 'client.get("/" + self.token)')
    assert found.steps["on_start"][0]["extract"] == [kept("$.token", "token", "text")]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("def f():\n    globals()['LIMIT'] = 4\n", "uses globals"),
        ("import sys\nm = sys.modules\n", "uses modules"),
        ("def f(one):\n    one.kept = 6\n", "changes an attribute: one.kept"),
        ("def f(one):\n    setattr(one, 'kept', 6)\n", "uses setattr"),
    ],
)
def test_a_module_that_may_change_itself_unseen_is_left_to_python(tmp_path: Path, head: str, reason: str) -> None:
    found = traced(tmp_path, 'client.get("/a")', head=head)
    assert list(found.refused) == ["on_start", "it"]
    assert reason in found.refused["it"].reason


def test_a_class_that_makes_its_own_attributes_is_left_to_python(tmp_path: Path) -> None:
    found = traced(tmp_path, 'client.get("/a")', after="def __getattr__(self, name):\n    return name\n")
    assert found.refused["it"].reason == "belongs to a class with __getattr__"


def test_a_function_whose_source_has_changed_is_left_to_python(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(HEAD + CLASS + " " * 8 + 'client.get("/a")\n')
    (found,) = load_scenarios(file)
    file.write_text(HEAD + CLASS + " " * 8 + 'client.get("/b")\n')
    assert trace(found).refused["it"].reason == "is not what its source says"


def test_hooks_and_tasks_of_bases_are_found_in_the_order_of_definition(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        dedent(
            """
            from loadpilot import VUser, scenario, task

            class Base(VUser):
                def on_start(self, client):
                    client.post("/login")

                @task(weight=2)
                def zebra(self, client):
                    client.get("/z")

                @task
                def gone(self, client):
                    client.get("/g")

                def check_zebra(self, status, body):
                    assert status == 200

            @scenario(rps=5)
            class Own(Base):
                gone = None

                @task
                def ant(self, client):
                    client.get("/a")
            """
        )
    )
    (found,) = load_scenarios(file)
    assert [(one.name, one.weight) for one in found.tasks] == [("zebra", 2), ("ant", 1)]
    steps = trace(found).steps
    assert list(steps) == ["on_start", "zebra", "ant"]
    assert steps["zebra"][0]["assertions"] == [{"type": "status_code", "value": 200}]
