"""A `def` runs as a coroutine where all of its waits are its own, and nobody can tell: it asks and fails as it does in a greenlet."""

from __future__ import annotations

import sys
from inspect import CO_COROUTINE
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from loadflow.engine.generator.native.awaiting import awaiting
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.generator.native.helping import twin_of
from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from tests.load.harness import load, on
from tests.services import need
from tests.targets.fixture import Target

HEAD = """
from contextlib import contextmanager

from loadflow import RequestFailed, VUser, rand, scenario, sleep, task

SEEN = [1]
SEEN.append(2)


@contextmanager
def around(client_of=None):
    SEEN.append(3)
    yield 5
    SEEN.pop()


def given(client):
    return client.get("/ok?given")


def twice(client, path):
    given(client)
    return client.get(path).ok


def counted(client, number):
    return client.get(f"/ok?{number}").ok and (number == 0 or counted(client, number - 1))


def empty(client):
    client.get("/ok?empty")
    return next(iter([]))


def paths(client):
    yield client.get("/ok?paths")


def hidden(client):
    return [client][0].get("/ok?hidden")


def double(number):
    return number * 2
MORE

class Base(VUser):
    def signed(self, client, *, path="/ok?signed"):
        self.kept = "signed"
        return client.get(path)

    def changed(self, client):
        client.get("/ok?changed")

    def never(self):
        self.changed = None

    def before(self):
        self.kept = "kept"
        return self.kept


@scenario(rps=1, seed=3)
class Shop(Base):
    __private = "private"
"""

# what a function is like, its body, and whether it needs no greenlet
BODIES: list[tuple[str, str, bool]] = [
    ("asks, and goes on with the answer", "client.get('/ok')\nif SEEN:\n    client.post('/echo', json={'a': 1}, name='next')", True),
    ("asks in an argument", "client.get(f\"/echo?{client.get('/ok', name='inner').status_code}\")", True),
    ("asks in a comprehension", "self.all = [client.get(f'/ok?{n}').ok for n in range(3) if SEEN]", True),
    ("asks in a loop, a condition and a walrus", "while (found := client.get('/flaky/2', name='w')).status_code != 200:\n    SEEN", True),
    (
        "asks within with, try and finally",
        "with around() as five:\n    try:\n        client.get(f'/ok?{five}')\n    finally:\n        client.get('/ok?last')",
        True,
    ),
    ("sends a batch", "one, two = client.batch([{'path': '/ok'}, {'path': '/status/404'}])\nclient.get(f'/ok?{two.status_code}')", True),
    ("sleeps, as it is drawn", "sleep(0.001, 0.002)\nclient.get(f'/ok?{rand.int(1, 10 ** 6)}')", True),
    ("has a value of its class alone", "client.get(f'/ok?{self.__private}')\nself.__private = SEEN and 'changed'", True),
    ("calls its base", "client.get(f'/ok?{super().before()}{self.kept}')", True),
    ("calls others, without its client", "client.get(f'/ok?{double(SEEN[0])}')", True),
    ("has a function of its own that asks nothing", "of = lambda n: n + SEEN[0]\nclient.get(f'/ok?{of(1)}')", True),
    ("returns early", "if client.get('/ok'):\n    return client.get('/ok?early')\nclient.get('/ok?never')", True),
    ("asks nothing", "SEEN", True),
    (
        "fails at an assertion of several lines",
        "answer = client.get(\n    '/ok',\n)\nassert (\n    answer.status_code\n    == 201\n), 'no 201'",
        True,
    ),
    ("fails by a word of its own", "if client.get('/ok').ok:\n    raise ValueError('own')", True),
    ("fails in another function", "client.get(f'/ok?{double(None)}')", True),
    ("raises StopIteration", "client.get('/ok')\nnext(iter([]))", True),
    ("raises what a coroutine says of one", "client.get('/ok')\nraise RuntimeError('coroutine raised StopIteration')", True),
    ("catches StopIteration", "try:\n    next(iter([]))\nexcept StopIteration:\n    client.get('/ok?caught')", True),
    ("gets no answer", "client.get('http://127.0.0.1:1/', name='gone')\nclient.get('/ok?never')", True),
    (
        "gets no answer, and goes on",
        "try:\n    client.get('http://127.0.0.1:1/', name='gone')\nexcept RequestFailed:\n    client.get('/ok?caught')",
        True,
    ),
    ("asks for what there is not", "client.get('/ok')\nclient.get('/ok', jason=1)", True),
    ("ends the program", "client.get('/ok')\nraise SystemExit(3)", True),
    ("gives its client away", "given(client) if SEEN else None", True),
    ("gives its client by a name", "given(client=client) if SEEN else None", True),
    ("gives its client to one that gives it away", "assert twice(client, '/ok?twice') and SEEN", True),
    ("gives its client to one that calls itself", "counted(client, 2 if SEEN else 0)", True),
    ("gives its client to a method", "self.signed(client, path='/ok?own' if SEEN else '')\nclient.get(f'/ok?{self.kept}')", True),
    ("catches what one with its client raises", "try:\n    empty(client)\nexcept StopIteration:\n    client.get('/ok?caught')", True),
    ("fails in one with its client", "empty(client)", True),
    ("ends what it is in, with an answer of another", "try:\n    return client.get(f'/ok?{given(client).ok}')\nfinally:\n    SEEN", True),
    ("gives its client to one of a list", "[given][0](client)", False),
    ("gives its client under another name", "own = given\nown(client)", False),
    ("gives its client in a generator", "list(given(client).ok for _ in (1, 2) if SEEN)", False),
    ("gives its client with others", "given(*[client])", False),
    ("gives its client to what may be set anew", "self.changed(client)", False),
    ("gives its client to a generator", "list(paths(client))", False),
    ("gives its client to one that hides it", "hidden(client)", False),
    ("keeps its client", "self.mine = client\nself.mine.get('/ok')", False),
    ("calls its client by another name", "ask = client.get\nask('/ok')", False),
    ("asks in a function of its own", "of = lambda: client.get('/ok')\nof()", False),
    ("asks in a generator", "list(client.get(path) for path in ('/ok', '/ok?2') if SEEN)", False),
    ("sets its client anew", "client = client or SEEN\nclient.get('/ok')", False),
    ("sleeps by another name", "nap = sleep\nnap(0.001)\nclient.get('/ok')", False),
]


def written(folder: Path, more: str = "", first: str = "self") -> Path:
    """All functions in one file, each with `first` in its first line; where that is the client, each needs a greenlet."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "shop.py"
    tasks = [f"@task\ndef f{n}(self, client):\n" + indent(f"{first}\n{body}\n", "    ") for n, (_, body, _) in enumerate(BODIES)]
    file.write_text(HEAD.replace("MORE", more) + indent("\n".join(tasks), "    "))
    return file


@pytest.mark.parametrize("number", range(len(BODIES)), ids=[what for what, *_ in BODIES])
def test_which_functions_need_no_greenlet(number: int, tmp_path: Path) -> None:
    what, _, is_own = BODIES[number]
    others = [n for n, (name, *_) in enumerate(BODIES) if n != number and name == "sleeps by another name"]
    text = written(tmp_path).read_text()
    for other in others:  # one such is enough for none of its file to be sure
        text = text.replace(indent(BODIES[other][1], "        "), "        SEEN")
    (tmp_path / "shop.py").write_text(text)
    cls = load_scenarios(tmp_path / "shop.py")[0].cls
    assert (awaiting(cls, f"f{number}") is not None) is is_own, what


ONE = "from loadflow import scenario, task\n\n\n@scenario()\nclass One:\n    @task\n    def one(self, client):\n"
ELSEWHERE = [
    ("a function that sleeps", "def pause():\n    sleep(1)\n"),
    ("sleep in a list", "NAPS = [sleep]\n"),
    ("the whole package", "import loadflow\nprint(loadflow.__name__)\n"),
    ("an import of its own", "def pause():\n    from loadflow import sleep as nap\n    nap(1)\n"),
    ("a class with a method that sleeps", "class Helper:\n    def rest(self, client):\n        sleep(1)\n"),
]


@pytest.mark.parametrize(("what", "more"), ELSEWHERE, ids=[what for what, _ in ELSEWHERE])
def test_where_others_may_sleep_all_need_one(what: str, more: str, tmp_path: Path) -> None:
    cls = load_scenarios(written(tmp_path, more))[0].cls
    assert {awaiting(cls, f"f{number}") for number in range(len(BODIES))} == {None}


def test_a_function_that_has_run_often_is_still_known(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE + "        return [n for n in range(9)]\n")
    cls = load_scenarios(tmp_path / "one.py")[0].cls
    for _ in range(1_000):
        cls().one(None)  # type: ignore[attr-defined]  # CPython rewrites its code meanwhile
    assert awaiting(cls, "one") is not None


def test_source_that_is_not_what_runs_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE + "        client.get('/a')\n")
    cls = load_scenarios(tmp_path / "one.py")[0].cls
    (tmp_path / "one.py").write_text(ONE + "        client.get('/b')\n")
    assert awaiting(cls, "one") is None


def test_a_helper_that_is_another_when_it_is_called_is_an_error(tmp_path: Path) -> None:
    """Its twin is not run in its place."""
    text = ONE.replace("@scenario", "def ask(client):\n    return client.get('/ok')\n\n\n@scenario") + "        ask(client)\n"
    (tmp_path / "one.py").write_text(text)
    cls = load_scenarios(tmp_path / "one.py")[0].cls
    assert awaiting(cls, "one") is not None
    ask = vars(sys.modules[cls.__module__])["ask"]
    assert twin_of(ask).__code__.co_flags & CO_COROUTINE
    with pytest.raises(RuntimeError, match="<lambda> is not what it was when the load began"):
        twin_of(lambda client: ask(client))


def test_a_decorated_function_is_not_taken(tmp_path: Path) -> None:
    text = dedent("""
        from functools import wraps

        from loadflow import scenario, task


        def twice(function):
            @wraps(function)
            def both(self, client):
                function(self, client)
                function(self, client)

            return both


        @scenario()
        class One:
            @task
            @twice
            def one(self, client):
                client.get("/ok")
    """)
    (tmp_path / "one.py").write_text(text)
    assert awaiting(load_scenarios(tmp_path / "one.py")[0].cls, "one") is None


@pytest.mark.long
def test_both_ways_ask_and_record_the_same(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the core as a coroutine, in the core in a greenlet, and on Locust."""
    need(is_built(), "the native core is not built")
    monkeypatch.setenv(ALLOW, "1")
    seen: dict[tuple[str, str], Any] = {}
    for engine, first in (("native", "self"), ("native", "client"), ("locust", "self")):
        file = written(tmp_path / f"{engine}-{first}", first=first)
        body = next(body for what, body, _ in BODIES if what == "sleeps by another name")
        file.write_text(file.read_text().replace(indent(body, "        "), "        client.get('/ok')"))
        cls = load_scenarios(file)[0].cls
        own = {awaiting(cls, f"f{number}") is not None for number, (*_, is_own) in enumerate(BODIES) if is_own}
        assert own == {first == "self"}
        target.reset()
        done = load(
            tmp_path / "runs",
            [{"call": f"{file}:Shop.f{number}"} for number in range(len(BODIES))],
            user_detail_dict=on(engine, "python_user"),
            host=target.url,
            iterations=len(BODIES),
            seed=3,
        )
        names = done.run.names()
        rows = []
        for row in done.rows:
            series = names.series[int(row["series"])]
            error = names.errors[int(row["error"])].text if row["error"] else ""
            rows.append((series.method, series.name, *(int(row[key]) for key in ("outcome", "status", "flags")), error))
        seen[engine, first] = (sorted(rows), sorted((one.method, one.target, one.body) for one in target.records()))
    assert seen["native", "self"] == seen["native", "client"]
    assert seen["native", "self"] == seen["locust", "self"]
