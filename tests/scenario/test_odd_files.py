# ruff: noqa: E501  # a row stays on one line
"""Files of scenarios that nobody should have written, and what is said of them: one mistake with its line, before anything is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.scenario.loading import load_scenarios
from loadflow.errors import ScriptError
from tests.waiting import HANG_S

HEAD = "from loadflow import VUser, csv, scenario, task\n\n\n"


def of(keywords: str, body: str = "@task\ndef a(self, client):\n    client.get('/')", before: str = "") -> str:
    """A file with one scenario."""
    inner = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}{before}@scenario({keywords})\nclass A:\n{inner}"


GET = "client.get('/')"
ODD: list[tuple[str, str, str]] = [
    # the file
    ("a syntax error", f"{HEAD}class A\n    pass\n", "line 4: SyntaxError: expected ':'"),
    ("tabs and spaces", f"{HEAD}class A:\n\tx = 1\n        y = 2\n", "line 6: TabError: inconsistent use of tabs and spaces in indentation"),
    ("a null byte", f"{HEAD}x = '\0'\n", "SyntaxError: source code string cannot contain null bytes"),
    ("an empty file", "", "has no scenario; write @scenario(rps=…, duration=\"…\") before a class with methods that are marked by @task"),
    ("an exception", f"{HEAD}1 / 0\n", "line 4: ZeroDivisionError: division by zero; the file is imported before the load, and must not raise"),
    ("an end of the program", f"{HEAD}import sys\nsys.exit(0)\n", 'line 5: ends the program while it is imported; move that below if __name__ == "__main__":'),
    ("a module that is not there", f"{HEAD}import nowhere_at_all\n", "line 4: ModuleNotFoundError: No module named 'nowhere_at_all'; install it beside loadflow, or lay the file beside this one"),
    ("a relative import", f"{HEAD}from .helpers import URL\n", "line 4: ImportError: attempted relative import with no known parent package; a file beside it is imported by its name alone: from helpers import …"),
    ("a syntax error in a file beside it", f"{HEAD}import broken_beside\n", "line 4: SyntaxError: invalid syntax (broken_beside.py, line 1)"),
    ("two classes of one name", of("rps=1") + of("rps=1").removeprefix(HEAD), "A: is there twice; give each class its own name"),
    ("a class without tasks", of("rps=1", "pass"), "A: has no task; mark a method with @task"),
    ("a task that another one replaces", of("rps=1", f"@task\ndef a(self, client):\n    {GET}\n@task(weight=2)\ndef a(self, client):\n    {GET}"),
     "line 7: A.a is defined again in line 10, and this one is lost; give each method its own name"),
    # the decorator of the class
    ("no parentheses", f"{HEAD}@scenario\nclass A:\n    pass\n", "line 4: @scenario has parentheses: write @scenario(rps=…, duration=…) before the class"),
    ("a function", f"{HEAD}@scenario(rps=1)\ndef a(client):\n    pass\n", "line 4: @scenario(…) goes before a class"),
    ("rps as text", of("rps='5'"), 'line 4: rps must be a number above 0 and at most 1,000,000, not "5"'),
    ("rps that is none", of("rps=float('nan')"), "line 4: rps must be a number above 0 and at most 1,000,000, not NaN"),
    ("rps without end", of("rps=10**30"), f"line 4: rps must be a number above 0 and at most 1,000,000, not {10**30}"),
    ("rps true", of("rps=True"), "line 4: rps must be a number above 0 and at most 1,000,000, not true"),
    ("no duration", of("rps=1, duration=None"), 'line 4: duration must be a length of time, as "90s", "2m30s" or a number of seconds, not null'),
    ("a timedelta", of("rps=1, ramp_up=timedelta(seconds=5)", before="from datetime import timedelta\n"),
     'line 5: ramp_up must be a length of time, as "90s", "2m30s" or a number of seconds, not "0:00:05"'),
    ("a mode in a list", of("rps=1, mode=['ramp']"), "line 4: mode ['ramp'] is not known; did you mean 'ramp'?"),
    ("steps as text", of("rps=1, steps='five'"), 'line 4: steps must be a whole number of 1 or more, not "five"'),
    ("half a user", of("rps=1, users=1.5"), "line 4: users must be a whole number of 1 or more, not 1.5"),
    ("thresholds as text", of("rps=1, thresholds='p95 < 5'"),
     'line 4: thresholds are an object or a list, for example {"p99_ms": 250, "error_rate": 1} or ["p95 < 200"], not "p95 < 5"'),
    ("a limit as text", of("rps=1, thresholds={'p99_ms': '250'}"), 'line 4: the threshold p99_ms must be a number of 0 or more, not "250"'),
    ("a name of a threshold that is none", of("rps=1, thresholds={5: 1}"), "line 4: a threshold has a text as its name, not 5"),
    ("a keyword that is misspelt", of("rps=1, durration='5s'"), "line 4: @scenario takes no 'durration'; did you mean 'duration'?"),
    ("an abstract class", of("rps=1", f"@task\ndef a(self, client):\n    {GET}\nx = abstractmethod(lambda self: 0)", "from abc import ABC, abstractmethod\n").replace("class A:", "class A(ABC):"),
     "line 5: A is abstract: it lacks x"),
    ("a class that is made with arguments", of("rps=1", f"def __init__(self, x):\n    self.x = x\n@task\ndef a(self, client):\n    {GET}"),
     "line 4: A is made for each user without arguments; set what a user has in on_start"),
    # methods
    ("a weight by position", of("rps=1", f"@task(3)\ndef a(self, client):\n    {GET}"), "line 6: @task takes its weight by name: @task(weight=3)"),
    ("a weight over all bounds", of("rps=1", f"@task(weight=10**12)\ndef a(self, client):\n    {GET}"),
     "line 6: the weight of a task is a whole number from 0 to 1,000,000,000, not 1000000000000"),
    ("a task without a client", of("rps=1", "@task\ndef a(self):\n    pass"), "line 6: a does not take what it is given; write def NAME(self, client)"),
    ("a task that takes more", of("rps=1", f"@task\ndef a(self, client, more):\n    {GET}"), "line 6: a does not take what it is given; write def NAME(self, client)"),
    ("a static method", of("rps=1", f"@staticmethod\n@task\ndef a(self, client):\n    {GET}"), "line 4: A.a is a staticmethod; write def NAME(self, client)"),
    ("a class method", of("rps=1", f"@task\n@classmethod\ndef a(cls, client):\n    {GET}"), "line 6: a is a classmethod; write def NAME(self, client)"),
    ("a property", of("rps=1", "@task\n@property\ndef a(self):\n    return 1"), "is a property; write def NAME(self, client)"),
    ("a partial", of("rps=1", "a = task(partial(print))", "from functools import partial\n"), "a task is \"functools.partial"),
    ("a generator", of("rps=1", f"@task\ndef a(self, client):\n    yield {GET}"), "line 6: a yields, so nothing would run what is in it; make the requests in it, without yield"),
    ("an async generator", of("rps=1", f"@task\nasync def a(self, client):\n    yield await {GET}"), "line 6: a yields, so nothing would run what is in it"),
    ("a hook that takes no client", of("rps=1", f"def on_start(self):\n    pass\n@task\ndef a(self, client):\n    {GET}"), "line 4: A.on_start does not take what it is given; write def NAME(self, client)"),
    ("a hook that is no method", of("rps=1", f"on_stop = 5\n@task\ndef a(self, client):\n    {GET}"), "line 4: A.on_stop is 5, and no method; write def NAME(self, client)"),
    ("a hook that is a task", of("rps=1", f"@task\ndef on_start(self, client):\n    {GET}\n@task\ndef a(self, client):\n    {GET}"),
     "line 4: A.on_start is a task too; it runs by itself, before or after the tasks of each user: remove @task"),
    ("a check that takes no body", of("rps=1", f"@task\ndef a(self, client):\n    {GET}\ndef check_a(self, status):\n    pass"), "line 4: A.check_a does not take what it is given; write def NAME(self, status, body)"),
    ("rows in a mode that there is not", f"{HEAD}users = csv('u.csv', mode='sometimes')\n", "line 4: mode 'sometimes' is not known; there are 'cycle', 'once' and 'random'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
def test_what_is_wrong_with_a_file_is_said_once_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken_beside.py").write_text("(\n".replace("(", "def"))
    file = tmp_path / "one.py"
    file.write_text(text)
    with pytest.raises(ScriptError) as caught:
        load_scenarios(file)
    (mistake,) = caught.value.mistakes
    assert said in str(mistake)


FINE: list[tuple[str, str]] = [
    ("names in other letters", of("rps=1", "@task\ndef größe(self, client):\n    client.get('/größe?q=日本', name='🚀')").replace("class A", "class Größe")),
    ("a class within a class", f"{HEAD}class Outer:\n    @scenario(rps=1)\n    class In:\n        @task\n        def a(self, client):\n            {GET}\n"),
    ("the smallest and the largest weight", of("rps=1", f"@task(weight=999_999_999)\ndef a(self, client):\n    {GET}\n@task(weight=0)\ndef b(self, client):\n    {GET}")),
    ("an async hook", of("rps=1", f"async def on_start(self, client):\n    await {GET}\n@task\ndef a(self, client):\n    {GET}")),
    ("a task of a base that is left out", of("rps=1", "b = None\n@task\ndef a(self, client):\n    pass").replace("class A:", "class B:\n    @task\n    def b(self, client):\n        pass\n\n\nclass A(B):").replace("@scenario(rps=1)\nclass B", "class B").replace("class A(B)", "@scenario(rps=1)\nclass A(B)")),
    ("a dataclass", of("rps=1", f"n: int = 0\n@task\ndef a(self, client):\n    {GET}", "from dataclasses import dataclass\n").replace("class A:", "@dataclass\nclass A:")),
    ("a decorated task that takes anything", of("rps=1", "a = task(lambda *given, **more: None)")),
]  # fmt: skip


@pytest.mark.parametrize("text", [row[1] for row in FINE], ids=[row[0] for row in FINE])
def test_what_is_odd_and_right_passes_the_check(text: str, tmp_path: Path) -> None:
    file = tmp_path / "Ein Ünï.py"
    file.write_text(text)
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 0, done.output + done.stderr


@pytest.mark.processes
def test_what_a_file_prints_is_for_people_and_never_in_what_programs_read(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(of("rps=1", before="print('hello')\n"))
    words = [sys.executable, "-m", "loadflow", "script", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stdout.startswith("{")
    assert done.stderr == "hello\n"


def test_a_place_in_the_script_that_a_scenario_is_is_said_as_its_own(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("name\nann\n")
    file = tmp_path / "one.py"
    body = "@task\ndef a(self, client):\n    client.get('/')\n    client.get(f'/{users.nam}')"
    file.write_text(of("rps=1, seed='x'", body, f"users = csv({str(tmp_path / 'u.csv')!r})\n"))
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 2
    assert "\n  seed: must be a whole number, not text\n" in done.stderr
    assert "\n  a.steps[1].request_url: the csv source 'u' has no column 'nam'\n" in done.stderr
