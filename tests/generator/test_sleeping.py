"""Which coroutines of a scenario need a greenlet: those that may call `sleep` of loadflow, and no others beside them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from loadflow.engine.generator.native.sleeping import may_sleep
from loadflow.engine.scenario.loading import load_scenarios

HEAD = """
import asyncio, functools
import pauses
from loadflow import VUser, csv, scenario, sleep, task
from pauses import rest


def nap():
    sleep(1)


def awake():
    return 1


def slept(function):
    @functools.wraps(function)
    async def inner(self, client):
        nap()
        return await function(self, client)
    return inner


class Bed:
    def lie(self):
        sleep(1)


BED = Bed()


class Base(VUser):
    def dream(self):
        sleep(1)


@scenario(rps=1)
class One(Base):
    @task
    def other(self, client):
        sleep(5)
        client.get("/")

"""
PAUSES = "from loadflow import sleep\n\n\ndef rest():\n    sleep(1)\n\n\ndef tell():\n    return 2\n"
ROWS = [
    ("a request alone", "await client.get('/')", False),
    ("asyncio's", "await asyncio.sleep(1)", False),
    ("sleep itself", "sleep(1)", True),
    ("in a function within", "def inner():\n    sleep(1)\ninner()", True),
    ("in a function of the file", "nap()", True),
    ("another function of the file", "awake()", False),
    ("in a method of a base", "self.dream()", True),
    ("in a method of an object", "BED.lie()", True),
    ("in a function of another file", "rest()", True),
    ("by the name of its module", "pauses.rest()", True),
    ("another function of that module", "pauses.tell()", False),
    ("in a lambda", "(lambda: nap())()", True),
    ("in a comprehension", "[nap() for _ in range(3)]", True),
    ("recursion", "await self.it(client)", False),
]


@pytest.mark.parametrize(("body", "sleeps"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
@pytest.mark.parametrize("decorator", ["@task", "@task\n@slept"])
def test_a_coroutine_needs_a_greenlet_where_it_may_sleep(decorator: str, body: str, sleeps: bool, tmp_path: Path) -> None:
    (tmp_path / "pauses.py").write_text(PAUSES)
    method = f"{decorator}\nasync def it(self, client):\n{indent(body, ' ' * 4)}\n"
    file = tmp_path / "one.py"
    file.write_text(dedent(HEAD) + indent(method, " " * 4))
    cls = load_scenarios(file)[0].cls
    assert may_sleep(cls, "it") is (sleeps or "slept" in decorator)
    assert may_sleep(cls, "other") is True


def test_a_check_may_sleep_too(tmp_path: Path) -> None:
    (tmp_path / "pauses.py").write_text(PAUSES)
    file = tmp_path / "one.py"
    own = "@task\nasync def it(self, client):\n    await client.get('/')\ndef check_it(self, status, body):\n    nap()\n"
    file.write_text(dedent(HEAD) + indent(own, " " * 4))
    assert may_sleep(load_scenarios(file)[0].cls, "it") is True
