"""A scenario sends and records the same, whichever way its functions run: as steps or in Python, on either engine."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.tracing import trace
from tests.load.harness import Outcomes, detail, load
from tests.targets.fixture import Target

SCENARIO = """
    from loadflow import VUser, csv, rand, scenario, sleep, task, uuid

    users = csv("USERS")
    PATHS = ("/ok?one", "/ok?two")
    MORE = {"X-App": "shop", "X-Kind": "load"}


    def echo(client, **more):
        return client.post("/echo", **more)


    class Base(VUser):
        def on_start(self, client):
            answer = client.post("/login", json={"user": users.name}, name="log in")
            assert answer.ok
            self.token = answer.json()["token"]
            self.kind = "basic"

        def on_stop(self, client):
            client.get(f"/ok?bye={self.token}")

        @task(weight=2)
        def chain(self, client):
            found = echo(client, json={"items": [{"id": 7}]}, headers={"Authorization": f"Bearer {self.token}", **MORE})
            body = found.json()
            assert body["method"] == "POST"
            client.get(f"/ok?m={body['method']}&t={body['target']}", name="next")

        @task
        def loops(self, client):
            for number, path in enumerate(PATHS):
                client.get(f"{path}={number}")
            client.put("/echo", data={"a": 1, "b": [2, 3]}, params={"q": "x y", "n": None})

        @task
        def draws(self, client):
            client.get(f"/ok?n={rand.int(1, 1000)}")
            sleep(0.001, 0.002)
            client.post("/echo", json={"id": uuid(), "pin": users.pin, "deep": [None, True, 1.5, "ü"]})


    @scenario(rps=1, seed=5)
    class Shop(Base):
        @task
        async def later(self, client):
            answer = await client.get("whoami")
            await client.patch("/echo", data="text " + self.kind, cookies={"c": "1"})

        @task
        def status_alone(self, client):
            client.get("/status/503")
            client.get("/ok?after")

        @task
        def raised(self, client):
            client.get("/status/500").raise_for_status()
            client.get("/ok?never")

        @task
        def lacks(self, client):
            answer = client.get("/ok?lacks")
            client.get(f"/ok?{answer.json()['nothing']}")

        @task
        def wrong(self, client):
            assert client.get("/ok?wrong").status_code == 201
            client.get("/ok?never")

        @task
        def there_all_the_same(self, client):
            body = client.get("/status/404").json()
            client.get(f"/ok?s={body['status']}")

        @task
        def refused(self, client):
            client.get("http://127.0.0.1:1/", name="nobody")
            client.get("/ok?never")

        @task
        def checked(self, client):
            client.get("/ok?unchecked")
            client.post("/echo", json=[])

        def check_checked(self, status, body):
            assert status == 200 and body["method"] == "GET"
"""
WAYS = (("steps", "native"), ("steps", "fast_http_user"), ("python", "native"), ("python", "fast_http_user"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = tmp_path / "users.csv"
    rows.write_text("name,pin\nann,1\nbob,2\n")
    path = tmp_path / "shop.py"
    path.write_text(dedent(SCENARIO).replace("USERS", str(rows)))
    return path


def arguments_of(file: Path, way: str) -> dict[str, Any]:
    (made,) = load_scenarios(file)
    found = trace(made)
    assert found.refused == {}
    return dict(script_of(made, found, file, in_python=way == "python")["load_density"][0][1])


def run(folder: Path, file: Path, way: str, engine: str, target: Target, **more: Any) -> Outcomes:
    arguments = arguments_of(file, way)
    for key in ("rate", "host", "thresholds", "user_detail_dict"):
        arguments.pop(key, None)
    user = {**detail(engine), **({"user": "python_user"} if way == "python" else {})}
    steps = arguments.pop("tasks")
    given = {"host": target.url, "user_count": 1, "iterations": 26, **arguments, **more}
    return load(folder, steps, user=None, user_detail_dict=user, **given)


def sent(target: Target) -> list[Any]:
    fields = ("authorization", "x-app", "x-kind", "content-type", "cookie")
    return [(one.method, one.target, one.body, [one.header(name) for name in fields]) for one in target.records()]


def test_the_same_requests_and_outcomes(target: Target, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    seen = {}
    for way, engine in WAYS:
        target.reset()
        done = run(tmp_path / f"{way}-{engine}", file, way, engine, target)
        hits = [(hit.name, hit.outcome, hit.status, hit.flags) for hit in done.hits]
        seen[way, engine] = (_without_tokens(sent(target)), hits, done.summary["passes"], done.summary["totals"]["requests"])
    first = seen[WAYS[0]]
    assert len(first[0]) > 40
    for way in WAYS[1:]:
        for mine, theirs in zip(first, seen[way], strict=True):
            assert theirs == mine, way


def _without_tokens(requests: list[Any]) -> list[Any]:
    """The target numbers its tokens over all runs."""
    import re

    return [re.sub(r"[ts]-\d+", "t", repr(one)) for one in requests]


@pytest.mark.parametrize("engine", ["native", "fast_http_user"])
def test_users_with_a_pace_keep_their_row_and_their_token(
    target: Target, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(ALLOW, "1")
    target.reset()
    # all passes are due at first, so that a slow machine has time to make them
    pace = {"mode": "stages", "stages": [{"duration": 1, "rps": 24}, {"duration": 9, "rps": 0}]}
    done = run(tmp_path, file, "python", engine, target, iterations=None, user_count=2, rate=pace)
    counts = done.counts()
    assert counts["on_start: log in"] == 2
    assert counts["chain"] == counts["next"] == 4
    assert done.summary["passes"]["made"] == 24
    names = {one.json["user"] for one in target.records("/login")}
    assert names == {"ann", "bob"}


IN_PYTHON = """
    import asyncio

    from loadflow import RequestFailed, VUser, scenario, task

    @scenario(rps=1)
    class Shop(VUser):
        def on_start(self, client):
            self.token = "hush-hush-token"
            self.count = 0

        @task
        def branches(self, client):
            if client.get("/status/404").status_code == 404:
                client.get("/ok?missing", name="after the branch")

        @task
        def counts(self, client):
            self.count += 1
            client.get(f"/ok?count={self.count}")

        @task
        def batch(self, client):
            slow, quick = client.batch([{"path": "/delay/200"}, {"method": "POST", "path": "/echo", "json": {"n": 1}}])
            assert slow.json()["delay_ms"] == 200 and quick.json()["method"] == "POST"

        @task
        async def gathers(self, client):
            await asyncio.sleep(0.01)
            one, other = await asyncio.gather(self.ask(client, 1), self.ask(client, 2))
            assert (one, other) == (1, 2)

        async def ask(self, client, n):
            await client.get(f"/ok?gathered={n}")
            return n

        @task
        def catches(self, client):
            try:
                client.get("http://127.0.0.1:1/", name="nobody")
            except RequestFailed:
                client.get("/ok?caught", name="caught")

        @task
        def raises(self, client):
            client.get("/ok?raises")
            raise LookupError(f"no item for {self.token}")

        @task
        def breaks(self, client):
            client.get("/ok", paras={"q": 1})

        @task
        def idle(self, client):
            pass

        @task
        async def waits(self, client):
            await client.get("/ok?waits")
            await asyncio.get_running_loop().create_future()
"""


@pytest.mark.parametrize("engine", ["native", "fast_http_user"])
def test_python_for_each_pass(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setenv(ALLOW, "1")
    target.reset()
    file = tmp_path / "shop.py"
    file.write_text(dedent(IN_PYTHON))
    (made,) = load_scenarios(file)
    assert set(trace(made).refused) == {task.name for task in made.tasks}
    done = run_python(tmp_path, file, target, engine, iterations=18)
    outcomes = {hit.name: (hit.outcome.label, hit.error) for hit in done.hits}
    counts = done.counts()
    assert counts["after the branch"] == counts["batch"] == counts["batch 2"] == counts["gathers 2"] == counts["caught"] == 2
    assert {name: one for name, one in outcomes.items() if one[0] != "ok"} == {
        "branches": ("status", "status 404 Not Found"),
        "nobody": ("connect", outcomes["nobody"][1]),
        "raises": ("extract", "LookupError: no item for *** (line 47)"),
        "breaks": ("template", outcomes["breaks"][1]),
        "idle": ("template", "made no request"),
        "waits": (
            "extract",
            "RuntimeError: no running event loop; what can be awaited is requests, asyncio.sleep and asyncio.gather (line 60)",
        ),
    }
    assert outcomes["breaks"][1].startswith("TypeError: a request takes no 'paras'; it takes name, params")
    assert [one.target for one in target.records("/ok") if "count" in one.target] == ["/ok?count=1", "/ok?count=2"]
    assert done.summary["passes"]["made"] == 18


def run_python(folder: Path, file: Path, target: Target, engine: str, **more: Any) -> Outcomes:
    (made,) = load_scenarios(file)
    arguments = dict(script_of(made, trace(made), file)["load_density"][0][1])
    for key in ("rate", "host"):
        del arguments[key]
    arguments["user_detail_dict"] = {**detail(engine), "user": "python_user"}
    return load(folder, arguments.pop("tasks"), **{"host": target.url, "user_count": 1, **arguments, **more})
