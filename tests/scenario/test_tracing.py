"""What each construct of Python becomes: steps, or a reason why Python has to run it. Nothing is done once that belongs to each hit."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from loadflow.engine.scenario.loading import load_scenarios
from loadflow.engine.scenario.tracing import Trace, trace

HEAD = """
import asyncio, contextlib, functools, json, math, os, random, secrets, threading, time
import datetime as dates
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


def step(url: str, name: str = "it", **more: Any) -> dict[str, Any]:
    return {"name": name, "method": "get", "request_url": url, **more, "on_failure": "stop_if_lacking"}


def kept(path: str, var: str, only: str | None = None) -> dict[str, Any]:
    return {"var": var, "path": path, "scope": "session", **({"only": only} if only else {})}


def asserts(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"assertions": list(entries)}


BEARER = {"headers": {"Authorization": "Bearer ${session.token}"}}
TRACED: list[tuple[str, str, list[dict[str, Any]]]] = [
    (
        "a batch",
        """
        client.get("/a")
        found = client.batch([{"path": f"/{n}"} for n in ("b", "c")] + [{"method": "POST", "path": "/d", "json": {"n": 1}, "name": "last"}])
        assert found[2].json()["ok"] == "yes"
        sleep(0.5)
        client.batch([])
        client.get("/e")
        """,
        [
            step("/a"),
            {
                "batch": [
                    step("/b", "it 2"),
                    step("/c", "it 3"),
                    {
                        **step("/d", "last"),
                        "method": "post",
                        "json": {"n": 1},
                        "assertions": [{"type": "json_path", "path": "$.ok", "value": "yes"}],
                    },
                ],
                "think_time": 0.5,
            },
            step("/e", "it 5"),
        ],
    ),
    ("a request", 'client.get("/a")', [step("/a")]),
    ("a path without its slash", 'client.get("a")', [step("/a")]),
    ("a whole URL", 'client.get("http://other.test/a")', [step("http://other.test/a")]),
    ("a name", 'client.get("/a", name="home")', [step("/a", "home")]),
    ("requests of one task", 'client.get("/a")\nclient.get("/b")', [step("/a"), step("/b", "it 2")]),
    ("an f-string with a value of the user", 'client.get("/a", headers={"Authorization": f"Bearer {self.token}"})', [step("/a", **BEARER)]),
    ("a text joined by +", 'client.get("/a", headers={"Authorization": "Bearer " + self.token})', [step("/a", **BEARER)]),
    ("format of a text", 'client.get("/a", headers={"Authorization": "Bearer {}".format(self.token)})', [step("/a", **BEARER)]),
    ("join of a list", 'client.get("/a", headers={"Authorization": " ".join(["Bearer", self.token])})', [step("/a", **BEARER)]),
    ("str of a value", 'client.get("/a?" + str(self.token))', [step("/a?${session.token}")]),
    (
        "a value of the answer before",
        "found = client.get(\"/a\")\nclient.get(f\"/b/{found.json()['items'][0]['id']}\")",
        [step("/a", extract=[kept("$.items[0].id", "id", "scalar")]), step("/b/${session.id}", "it 2")],
    ),
    (
        "a whole value keeps its type",
        'found = client.get("/a").json()\nclient.get("/b", json={"cart": found["cart"]})',
        [step("/a", extract=[kept("$.cart", "cart")]), step("/b", "it 2", json={"cart": "${session.cart}"})],
    ),
    (
        "what is read must be there, used or not",
        'found = client.get("/a").json()["x"]["y"]\nclient.get("/b")',
        [step("/a", extract=[kept("$.x.y", "y")]), step("/b", "it 2")],
    ),
    ("an answer that is only read as JSON", 'client.get("/a").json()', [step("/a", extract=[kept("$", "json")])]),
    (
        "a header and the text of an answer",
        'a = client.get("/a")\nclient.get("/b", headers={"E": a.headers["ETag"]}, data=a.text)',
        [
            step(
                "/a",
                extract=[
                    {"var": "etag", "from": "header", "name": "etag", "scope": "session"},
                    {"var": "text", "from": "body", "scope": "session"},
                ],
            ),
            step("/b", "it 2", headers={"E": "${session.etag}"}, data="${session.text}"),
        ],
    ),
    ("assert of a status", 'assert client.get("/a").status_code == 200', [step("/a", **asserts({"type": "status_code", "value": 200}))]),
    (
        "of one of several",
        'assert client.get("/a").status_code in (200, 204)',
        [step("/a", **asserts({"type": "status_code", "value": [200, 204]}))],
    ),
    ("in a set", 'assert client.get("/a").status_code in {200}', [step("/a", **asserts({"type": "status_code", "value": 200}))]),
    (
        "of a range",
        'assert 200 <= client.get("/a").status_code < 202',
        [step("/a", **asserts({"type": "status_code", "value": [200, 201]}))],
    ),
    ("of ok", 'assert client.get("/a").ok', [{**step("/a"), "on_failure": "stop"}]),
    ("raise_for_status", 'client.get("/a").raise_for_status()', [{**step("/a"), "on_failure": "stop"}]),
    (
        "assert of JSON",
        'a = client.get("/a").json()\nassert a["n"] == 3 and a["ok"] is True',
        [step("/a", **asserts({"type": "json_path", "path": "$.n", "value": 3}, {"type": "json_path", "path": "$.ok", "value": True}))],
    ),
    (
        "of what counts as true",
        'assert client.get("/a").json()["id"]',
        [step("/a", **asserts({"type": "json_path", "path": "$.id", "truthy": True}))],
    ),
    (
        "of a value of the user",
        'assert client.get("/a").json()["u"] == users.name',
        [step("/a", **asserts({"type": "json_path", "path": "$.u", "value": "${csv.users.name}"}))],
    ),
    ("of the text", 'assert "yes" in client.get("/a").text', [step("/a", **asserts({"type": "contains", "value": "yes"}))]),
    ("of no text", 'assert "no" not in client.get("/a").text', [step("/a", **asserts({"type": "not_contains", "value": "no"}))]),
    ("of the time", 'assert client.get("/a").elapsed_ms < 500', [step("/a", **asserts({"type": "response_time", "max_ms": 500}))]),
    (
        "with a message",
        'assert client.get("/a").status_code == 200, "broken"',
        [step("/a", **asserts({"type": "status_code", "value": 200}))],
    ),
    ("a loop over plain values", "for path in PATHS:\n    client.get(path)", [step("/a"), step("/b", "it 2")]),
    (
        "a loop with a counter",
        'for n in range(LIMIT):\n    if n == 1:\n        continue\n    client.get(f"/{n}")',
        [step("/0"), step("/2", "it 2")],
    ),
    ("break and else", 'for n in (1, 2):\n    break\nelse:\n    client.get("/no")\nclient.get("/a")', [step("/a")]),
    (
        "enumerate and zip",
        'for n, (a, b) in enumerate(zip(PATHS, "xy")):\n    client.get(f"{a}{b}{n}")',
        [step("/ax0"), step("/by1", "it 2")],
    ),
    ("a branch on a constant", 'client.get("/a" if FLAG else "/b")\nif not FLAG:\n    client.get("/c")', [step("/a")]),
    ("a comprehension of plain values", 'client.get("/a", json=[n * 2 for n in range(LIMIT) if n])', [step("/a", json=[2, 4])]),
    ("plain arithmetic and formats", "client.get(f\"/{LIMIT * 2 + 1:03d}/{'a'.upper()}\")", [step("/007/A")]),
    ("walrus", 'if (n := LIMIT) > 2:\n    client.get(f"/{n}")', [step("/3")]),
    ("unpacking of plain objects", 'client.get("/a", headers={**HEADERS, "Y": "1"})', [step("/a", headers={"X-App": "shop", "Y": "1"})]),
    ("keywords of a plain object", 'more = {"params": {"q": 1}}\nclient.get("/a", **more)', [step("/a", params={"q": 1})]),
    ("a constant of the class", 'client.get(f"/{self.kept}/{self.size}")', [step("/5/3")]),
    ("a method", 'self.helper(client, "/a")', [step("/a")]),
    ("a function of the file", "fetch(client, path_of(7), size=2)", [step("/items/7", params={"size": 2})]),
    (
        "a function that takes any arguments",
        'asked(client, *PATHS, params={"q": 1})',
        [step("/a", params={"q": 1}), step("/b", "it 2", params={"q": 1})],
    ),
    ("a row of the user", "client.get(f\"/{users.name}/{users['pin']}\")", [step("/${csv.users.name}/${csv.users.pin}")]),
    ("a random number", 'client.get(f"/{rand.int(1, 9)}")', [step("/${randint(1,9)}")]),
    (
        "made-up values",
        'client.get("/a", json=[fake.name(), uuid(), now()])',
        [step("/a", json=["${faker.name}", "${uuid()}", "${now()}"])],
    ),
    ("names of the package", 'client.get(f"/{loadflow.rand.int(1, 2)}")', [step("/${randint(1,2)}")]),
    ("a pause", 'client.get("/a")\nsleep(0.5)\nsleep(1)', [step("/a", think_time=1.5)]),
    ("a drawn pause", 'client.get("/a")\nsleep(1, 2)', [step("/a", think_time={"min": 1, "max": 2})]),
    ("return", 'client.get("/a")\nreturn\nclient.get("/b")', [step("/a")]),
    (
        "a user and a password",
        'client.get("/a", auth=("u", users.pin), timeout=3)',
        [step("/a", auth={"type": "basic", "username": "u", "password": "${csv.users.pin}"}, timeout=3)],
    ),
    ("bytes", 'client.get("/a", data=b"\\x00")', [step("/a", data_base64="AA==")]),
    ("a method of the client by another name", 'go = client.get\ngo("/a")', [step("/a")]),
]

REFUSED: list[tuple[str, str, str]] = [
    ("a branch on an answer", 'if client.get("/a").json()["x"]:\n    client.get("/b")', "branches on a value of an answer"),
    ("a branch on its status", 'a = client.get("/a")\nif a.status_code == 200:\n    client.get("/b")', "outside of an assert"),
    ("a branch on ok", 'if client.get("/a").ok:\n    pass', "branches on a comparison"),
    ("a conditional expression", 'client.get("/a" if self.token else "/b")', "branches on a value of an answer"),
    ("or of a value", 'client.get("/" + (self.token or "x"))', "branches on a value of an answer"),
    ("while", 'while True:\n    client.get("/a")', "repeats while"),
    ("a loop over an answer", 'for x in client.get("/a").json()["items"]:\n    client.get("/b")', "loops over a value of an answer"),
    ("a comprehension over an answer", '[client.get("/b") for x in client.get("/a").json()]', "loops over a value of an answer"),
    ("arithmetic", 'n = client.get("/a").json()["n"]\nclient.get(f"/{n + 1}")', "joins a text and a int"),
    ("multiplication", 'client.get("/a", json=client.get("/b").json()["n"] * 2)', "computes with a value of an answer"),
    ("negation", 'client.get("/a", json=-client.get("/b").json()["n"])', "computes with a value of an answer"),
    ("the percent sign", 'client.get("/%s" % self.token)', "computes with a value of an answer"),
    ("a format specification", 'client.get(f"/{self.token:>5}")', "formats a value of an answer"),
    ("repr in an f-string", 'client.get(f"/{self.token!r}")', "formats a value of an answer"),
    ("len", 'client.get(f"/{len(self.token)}")', "computes with a value of an answer"),
    ("int", 'client.get(f"/{int(self.token)}")', "computes with a value of an answer"),
    ("a slice", 'client.get(f"/{self.token[1:]}")', "takes a slice of a value of an answer"),
    ("a part of an earlier value", 'client.get(f"/{self.token[0]}")', "reads an answer after a later request"),
    ("a method of a text", 'client.get("/" + self.token.upper())', "reads .upper of a value of an answer"),
    ("get of an answer", 'client.get("/" + client.get("/a").json().get("x"))', "reads .get of a value of an answer"),
    ("in", 'a = client.get("/a")\nassert "x" in a.json()', "in a way that steps have not"),
    ("a key that is a value", 'client.get("/a", json={self.token: 1})', "makes a key"),
    ("a look-up by a value", "client.get(HEADERS[self.token])", "looks up a value of an answer"),
    ("taking apart", 'a, b = client.get("/a").json()', "takes apart a value of an answer"),
    ("** of a value", 'client.get("/a", **client.get("/b").json())', "passes ** of what is no plain object"),
    ("match", 'match client.get("/a").status_code:\n    case 200:\n        pass', "uses match"),
    ("try", 'try:\n    client.get("/a")\nexcept Exception:\n    pass', "catches exceptions"),
    ("with", 'with contextlib.suppress(Exception):\n    client.get("/a")', "uses with"),
    ("raise", 'client.get("/a")\nraise ValueError', "raises an exception"),
    ("yield", 'yield client.get("/a")', "is a generator"),
    ("a generator expression", 'client.get("/".join(str(n) for n in (1, 2)))', "uses a generator"),
    ("lambda", 'f = lambda: client.get("/a")\nf()', "defines a function"),
    ("a function within", 'def f():\n    client.get("/a")\nf()', "defines a function"),
    ("an import within", 'import sys\nclient.get("/a")', "imports a module"),
    ("time", 'client.get(f"/{time.time()}")', "reads time, a module"),
    ("time.sleep", 'client.get("/a")\ntime.sleep(1)', "reads time, a module"),
    ("random", 'client.get(f"/{random.randint(1, 9)}")', "reads random, a module"),
    ("secrets", 'client.get(f"/{secrets.token_hex()}")', "reads secrets, a module"),
    ("datetime", 'client.get(f"/{dates.date.today()}")', "reads dates, a module"),
    ("uuid4 of Python", 'client.get(f"/{uuid4()}")', "calls uuid4, which is not in the scenario's file"),
    ("the environment", 'client.get(os.environ["HOME"])', "reads os, a module"),
    ("json of Python", 'client.get("/a", data=json.dumps({}))', "reads json, a module"),
    ("a file", 'client.get("/a", data=open("x").read())', "calls open"),
    ("print", 'print("x")\nclient.get("/a")', "calls print"),
    ("input", "client.get(input())", "calls input"),
    ("isinstance", 'isinstance(self.token, str)\nclient.get("/a")', "calls isinstance"),
    ("a thread", 'threading.Thread(target=note).start()\nclient.get("/a")', "reads threading, a module"),
    ("a global that changes", 'client.get(f"/{COUNT}")', "reads COUNT, which is bound"),
    ("a list that changes", "client.get(CHANGED[0])", "reads CHANGED, which line"),
    ("a name that is set twice", "client.get(TWICE)", "reads TWICE, which is bound 2 times"),
    ("a function with a closure", "made(client)", "uses names of the function around it: hidden"),
    ("a lambda of the module", "client.get(Path())", "is not in its source"),
    ("a function that changes its module", 'note()\nclient.get("/a")', "changes names of its module"),
    ("a property", "client.get(self.made)", "reads self.made, a property"),
    ("a list of the class", "client.get(self.names[0])", "reads self.names, a list"),
    ("an attribute that a task sets", 'self.seen = "x"\nclient.get("/a")', "sets self.seen outside of on_start"),
    ("a counter of the user", 'self.size += 1\nclient.get("/a")', "changes a list, an object or an attribute"),
    ("an entry that is set", 'body = {}\nbody["a"] = 1\nclient.get("/a", json=body)', "changes a list or an object"),
    ("append", 'body = []\nbody.append(1)\nclient.get("/a", json=body)', "calls .append of a list"),
    ("an attribute that nothing sets", "client.get(self.nothing)", "reads self.nothing, which nothing sets"),
    ("a drawn value that is used twice", 'n = rand.int(1, 9)\nclient.get(f"/{n}/{n}")', "uses a drawn value twice"),
    ("random numbers between values", 'client.get(f"/{rand.int(1, users.pin)}")', "draws a number"),
    (
        "an earlier answer",
        'a = client.get("/a")\nclient.get("/b")\nclient.get(f"/{a.json()[\'x\']}")',
        "reads an answer after a later request",
    ),
    ("an earlier assert", 'a = client.get("/a")\nok = a.ok\nclient.get("/b")\nassert ok', "asserts of an answer after a later request"),
    ("a status that has failed", 'assert client.get("/a").status_code == 404', "takes a status of 400 or more"),
    ("another status", 'assert client.get("/a").status_code != 500', "takes a status of 400 or more"),
    ("== True", 'assert client.get("/a").json()["x"] == True', "compares with True or False by =="),
    ("an inequality", 'assert client.get("/a").json()["n"] > 3', "in a way that steps have not"),
    ("or in an assert", 'a = client.get("/a")\nassert a.json()["a"] or a.json()["b"]', "branches on a value of an answer"),
    ("not in an assert", 'assert not client.get("/a").json()["x"]', "computes with a value of an answer"),
    ("what is never true", 'client.get("/a")\nassert LIMIT == 4', "asserts what is never true"),
    ("what raises each time", "client.get(PATHS[7])", "raises IndexError each time"),
    ("a batch of what is asked", 'n = client.get("/a").json()["n"]\nclient.batch(n)', "client.batch with what is no plain list"),
    ("a batch without a path", 'client.batch([{"method": "get"}])', "a request of batch has no path"),
    ("a batch by another keyword", 'client.batch(all=[{"path": "/a"}])', "calls client.batch with other arguments"),
    (
        "an assert on the first answer of a batch",
        'one, two = client.batch([{"path": "/a"}, {"path": "/b"}])\nassert one.ok',
        "asserts of an answer of a batch that is not its last",
    ),
    (
        "a value of the first answer of a batch",
        'one, two = client.batch([{"path": "/a"}, {"path": "/b"}])\nclient.get("/" + one.json()["x"])',
        "reads an answer of a batch that is not its last",
    ),
    ("another method of the client", 'client.stream("/a")', "calls client.stream"),
    ("the client as a value", 'client.get("/a", json=client)', "sends the client"),
    ("an answer as a value", 'client.get("/a", json=client.get("/b"))', "sends a whole answer"),
    ("the time of an answer", "client.get(f\"/{client.get('/a').elapsed_ms}\")", "uses the time of an answer"),
    ("an option that there is not", 'client.get("/a", paras={})', "takes no 'paras'"),
    ("a set", 'client.get("/a", json={1, 2})', "sends a frozenset"),
    ("a placeholder by chance", 'client.get("/${x}")', "begin a placeholder"),
    ("a pause before the first request", 'sleep(1)\nclient.get("/a")', "sleeps before its first request"),
    ("no request", "pass", "makes no request"),
    ("recursion", "self.again(client)", "calls functions within functions too deeply"),
    ("print of an f-string that is never used", 'x = f"{self.token:x}"\nclient.get("/a")', "formats a value"),
    ("a value of a caught name", "client.get(undefined_name)", "reads undefined_name, which is not defined"),
    ("a deleted name", 'x = 1\ndel x\nclient.get("/a")', "deletes a name"),
    ("a task that is wrapped", "self.wrapped(client)", "calls wrapped"),
    ("walrus of an answer", 'if (found := client.get("/a").json()["x"]):\n    client.get(f"/{found}")', "branches on a value of an answer"),
    ("a comparison of two answers", 'if client.get("/a").json()["x"] == self.token:\n    client.get("/b")', "outside of an assert"),
    ("while with a counter", 'n = 0\nwhile n < 3:\n    client.get("/a")\n    n += 1', "repeats while"),
    ("try and finally", 'try:\n    client.get("/a")\nfinally:\n    client.get("/b")', "catches exceptions"),
    (
        "a loop with the numbers of an answer",
        'for n, x in enumerate(client.get("/a").json()):\n    client.get("/b")',
        "computes with a value",
    ),
    ("as many turns as an answer says", 'for n in range(client.get("/a").json()["n"]):\n    client.get("/b")', "computes with a value"),
    (
        "a dict comprehension over an answer",
        'client.get("/a", json={k: 1 for k in client.get("/b").json()})',
        "loops over a value of an answer",
    ),
    ("dict(**answer)", 'client.get("/a", json=dict(**client.get("/b").json()))', "passes ** of what is no plain object"),
    ("an answer spread into an object", 'client.get("/a", json={**client.get("/b").json()})', "unpacks what is no plain object"),
    ("an answer spread into a list", 'client.get("/a", json=[*client.get("/b").json()])', "loops over a value of an answer"),
    ("* of a value", 'client.get(*client.get("/a").json())', "loops over a value of an answer"),
    ("sorted", 'client.get("/a", json=sorted(client.get("/b").json()))', "computes with a value of an answer"),
    ("any", 'assert any(client.get("/a").json())', "computes with a value of an answer"),
    ("a length in an assert", 'assert len(client.get("/a").json()) == 3', "computes with a value of an answer"),
    ("one of several texts", 'assert client.get("/a").json()["x"] in ("a", "b")', "in a way that steps have not"),
    ("is not None", 'assert client.get("/a").json()["x"] is not None', "in a way that steps have not"),
    ("a chain of comparisons", 'assert 1 < client.get("/a").json()["n"] < 3', "asserts a chain of comparisons"),
    ("a header by itself", 'assert client.get("/a").headers["X"]', "asserts a value of an answer by itself"),
    ("get of headers", 'client.get("/" + client.get("/a").headers.get("X"))', "reads .get of the headers of an answer"),
    ("split", 'client.get("/" + client.get("/a").text.split(",")[0])', "reads .split of a value of an answer"),
    ("join of an answer", 'client.get("/" + ",".join(client.get("/a").json()))', "joins what is no plain list"),
    ("bytes of an answer", 'client.get("/a", data=client.get("/b").content)', "reads .content of an answer"),
    ("super", 'super().helper(client, "/a")', "uses names of the function around it: __class__"),
    ("getattr", 'client.get(getattr(self, "token"))', "calls getattr"),
    ("the class of the user", 'client.get(f"/{self.__class__.__name__}")', "reads self.__class__"),
    ("a class within", 'class X:\n    pass\nclient.get("/a")', "defines a class"),
    ("global", 'global COUNT\nCOUNT = 1\nclient.get("/a")', "changes names of its module"),
    ("functools", 'functools.partial(client.get, "/a")()', "reads functools, a module"),
]
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
