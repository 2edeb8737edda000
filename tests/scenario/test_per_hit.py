"""Functions of a scenario that the native core calls hit by hit: what they may wait for, how they end, and what is said of them."""

from __future__ import annotations

import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load.start import start_test
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.scenario.loading import ALLOW
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import Interrupted
from tests.load.harness import Outcomes, raw
from tests.scenario.test_ways import run_python
from tests.services import need
from tests.targets.fixture import Target

BOTH = ("native", "fast_http_user")
HEAD = """
    import asyncio
    import time

    from loadflow import RequestFailed, VUser, scenario, task

    BRANCH = [1, 2]
    BRANCH.append(3)


    @scenario(rps=1)
    class Shop(VUser):
"""


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    need(is_built(), "the native core is not built")
    monkeypatch.setenv(ALLOW, "1")


def written(folder: Path, body: str, head: str = HEAD) -> Path:
    file = folder / "shop.py"
    indented = "\n".join(f"    {line}" if line.strip() else "" for line in dedent(body).strip("\n").split("\n"))
    file.write_text(dedent(head) + indented + "\n")
    return file


def made(folder: Path, target: Target, body: str, engine: str = "native", **more: Any) -> Outcomes:
    return run_python(folder, written(folder, body), target, engine, **{"iterations": 1, **more})


def test_a_collection_while_hits_wait_has_only_the_load_s_own_objects(target: Target, tmp_path: Path) -> None:
    count = "import gc\n    assert gc.get_freeze_count() > len(gc.get_objects())"
    body = "@task\nasync def one(self, client):\n    await client.get('/ok')\n    "
    done = made(tmp_path, target, body + count)
    assert (done.counts(), done.summary["totals"]["failures"]) == ({"one": 1}, 0)


def test_the_core_makes_the_load_and_says_so(target: Target, tmp_path: Path) -> None:
    done = made(tmp_path, target, "@task\nasync def one(self, client):\n    if BRANCH:\n        await client.get('/ok')")
    assert (done.run.facts.protocol, done.run.facts.engine, done.counts()) == ("python_user", "native", {"one": 1})
    told = done.summary["generator"]["python"]
    assert 0 <= told["share"] <= 1 and told["slowest"] == "Shop.one" and told["slowest_ms"] > 0


BATCHES = """
    @task
    async def waits(self, client):
        found = await client.batch([{"path": f"/delay/{ms}"} for ms in (300, 20, 150)])
        assert [one.json()["delay_ms"] for one in found] == [300, 20, 150]
        await client.get("/ok?after")

    @task
    def asks(self, client):
        found = client.batch([{"path": "/delay/200", "name": "slow"}, {"method": "post", "path": "/echo", "json": {"n": 1}}])
        assert [one.json().get("method") for one in found] == [None, "POST"]

    @task
    async def none(self, client):
        assert await client.batch([]) == []
        await client.get("/ok?none")

    @task
    async def fails(self, client):
        try:
            await client.batch([{"path": "/status/404"}, {"path": "http://127.0.0.1:1/"}, {"path": "/close"}, {"path": "/ok?last"}])
        except RequestFailed as error:
            assert "refused" in str(error), error
            await client.get("/ok?caught")

    @task
    def keeps_cookies(self, client):
        client.batch([{"path": "/login", "method": "post", "json": {"user": "ann"}}, {"path": "/ok"}])
        assert client.get("/whoami").json()["sid"]
        one, other = client.batch([{"path": "/whoami"}, {"path": "/whoami"}])
        assert one.json()["sid"] == other.json()["sid"] != None
"""


@pytest.mark.parametrize("engine", BOTH)
def test_a_batch_is_sent_at_once_and_answered_in_order(target: Target, tmp_path: Path, engine: str) -> None:
    target.reset()
    done = made(tmp_path, target, BATCHES, engine, iterations=5)
    outcomes = {hit.name: hit.outcome for hit in done.hits}
    failed = {name: outcome for name, outcome in outcomes.items() if outcome is not Outcome.OK}
    assert failed == {"fails": Outcome.STATUS, "fails 2": Outcome.CONNECT, "fails 3": Outcome.CLOSED}, done.hits
    assert {"waits", "waits 2", "waits 3", "waits 4", "slow", "asks 2", "none", "fails 4", "fails 5"} <= outcomes.keys()
    rows = done.rows
    slow = [row for row, hit in zip(rows, done.hits, strict=True) if hit.name in ("waits", "waits 2", "waits 3")]
    starts, ends = [int(row["start_ns"]) for row in slow], [int(row["end_ns"]) for row in slow]
    assert max(starts) < min(ends), "they were on their way at the same time"
    assert done.summary["passes"]["made"] == 5


WAITS = {
    "for an answer": "await client.get('/delay/60000')",
    "asleep": "await client.get('/ok')\nawait asyncio.sleep(60)",
    "in a batch": "await client.batch([{'path': '/ok'}, {'path': '/delay/60000'}, {'path': '/delay/50000'}])",
    "in a greenlet": "client.get('/delay/60000')",
    "in finally": "try:\n    await asyncio.sleep(60)\nfinally:\n    await client.get('/ok?finally')",
    "swallowing": """
while True:
    try:
        await client.get('/ok')
        await asyncio.sleep(60)
    except BaseException:
        pass
""".strip(),
}


class Stopper(Observer):
    """Asks for the end after the first second."""

    def __init__(self) -> None:
        self.asked_s = 0.0

    def snapshot(self, run: Any, snapshot: Any) -> None:
        self.asked_s = self.asked_s or time.monotonic()

    def stop_requested(self) -> str:
        return "enough" if self.asked_s else ""


@pytest.mark.parametrize("waits", WAITS)
@pytest.mark.parametrize("stopped", [False, True], ids=["its time is over", "a stop"])
def test_a_function_that_waits_ends_with_the_load(target: Target, tmp_path: Path, waits: str, stopped: bool) -> None:
    code = WAITS[waits].replace("\n", "\n    ")
    kind = "def" if waits == "in a greenlet" else "async def"
    file = written(
        tmp_path, f"@task\n{kind} one(self, client):\n    BRANCH.copy()\n    {code}\ndef on_stop(self, client):\n    client.get('/ok?bye')"
    )
    steps = {"mode": "weighted", "tasks": [{"name": "one", "call": f"{file}:Shop.one"}]}
    arguments = {
        "host": target.url,
        "user_count": 3,
        "spawn_rate": 100,
        "tasks": steps,
        "drain_time": 0.5,
        "test_time": 60 if stopped else 1,
    }
    hook = {"on_stop": [{"name": "on_stop", "call": f"{file}:Shop.on_stop"}]}
    stopper = Stopper()
    observers: list[Observer] = [stopper] if stopped else []
    with use_session(Session(runs_dir=tmp_path / "runs", observers=observers)) as session:
        begun_s = time.monotonic()
        if stopped:
            with pytest.raises(Interrupted):
                start_test({"user": "python_user", "engine": "native"}, **arguments, **hook)
        else:
            start_test({"user": "python_user", "engine": "native"}, **arguments, **hook)
        # without a stop: the engine's start, a second, and the drain
        took_s = time.monotonic() - (stopper.asked_s or begun_s + 10)
    assert took_s < 5
    summary = session.runs[-1].summary().to_json()
    unfinished = {error["message"] for error in summary["errors"] if error["kind"] == "unfinished"}
    assert bool(unfinished) == (waits in ("for an answer", "in a batch", "in a greenlet"))
    passes = summary["passes"]
    assert passes["started"] == passes["made"] + passes["cut_off"]


ERRORS = """
    @task
    async def foreign(self, client):
        await client.get("/ok?foreign")
        await foreign()

    @task
    async def goes_on(self, client):
        try:
            await foreign()
        except RuntimeError:
            await client.get("/ok?goes_on")

    @task
    async def forgets(self, client):
        client.get("/ok?never")

    @task
    async def reads_too_early(self, client):
        await client.get("/ok?early")
        client.get("/ok?never").json()

    @task
    async def raises(self, client):
        await client.get("/ok?raises")
        raise LookupError("nothing there")

    @task
    def wrong_option(self, client):
        client.get("/ok?right")
        client.get("/ok?wrong", paras={})

    @task
    async def asserts(self, client):
        found = await client.get("/ok?asserts")
        assert found.json()["n"] < 0
"""
FOREIGN = """
    import asyncio

    from loadflow import VUser, scenario, task


    def foreign():
        return asyncio.new_event_loop().create_future()


    @scenario(rps=1)
    class Shop(VUser):
"""


def test_what_a_function_does_wrong_is_a_failed_pass_with_its_line(target: Target, tmp_path: Path) -> None:
    file = written(tmp_path, ERRORS, FOREIGN)
    lines = file.read_text().split("\n")
    done = run_python(tmp_path, file, target, "native", iterations=7)
    outcomes = {hit.name: (hit.outcome.label, hit.error) for hit in done.hits}

    def line(code: str) -> int:
        return next(number for number, text in enumerate(lines, start=1) if code in text)

    label, text = outcomes["foreign"]
    assert label == "extract" and text.startswith('RuntimeError: awaits "Future", which needs an event loop of asyncio')
    assert '@task(engine="locust")' in text and text.endswith(f"(line {line('await foreign()')})")
    assert outcomes["goes_on"] == ("ok", "")
    assert outcomes["forgets"] == ("template", "RuntimeError: did not await 1 request of its own, so nothing was sent for it")
    assert "has no answer: in an async def, await it" in outcomes["reads_too_early"][1]
    assert outcomes["raises"] == ("extract", f"LookupError: nothing there (line {line('raise LookupError')})")
    wrong = [(hit.outcome.label, hit.error) for hit in done.hits if hit.name == "wrong_option"]
    assert wrong[0] == ("ok", "") and wrong[1][0] == "template" and wrong[1][1].startswith("TypeError: a request takes no 'paras'")
    assert outcomes["asserts"] == ("assertion", f'assert found.json()["n"] < 0 (line {line("assert found")})')
    assert done.summary["passes"]["made"] == 7
    assert not [one for one in target.records("/ok") if "never" in one.target]


def test_a_failure_is_kept_with_its_request_and_its_answer(target: Target, tmp_path: Path) -> None:
    body = """
        @task
        async def one(self, client):
            BRANCH.copy()
            answer = await client.post("/echo", json={"a": 1}, headers={"X-A": "b"})
            raise ValueError(answer.status_code)

        @task
        async def other(self, client):
            BRANCH.copy()
            await client.get("/status/503")
            await client.get("/ok?after")
    """
    done = made(tmp_path, target, body, iterations=2)
    samples = {
        error["name"]: error["samples"][0]["sample"] if "sample" in error["samples"][0] else error["samples"][0]
        for error in done.summary["errors"]
    }
    assert samples["one"]["request"]["headers"]["X-A"] == "b" and samples["one"]["request"]["body"] == '{"a":1}'
    assert samples["one"]["response"]["status"] == 200 and '"method"' in samples["one"]["response"]["body"]
    assert samples["other"]["response"]["status"] == 503 and samples["other"]["response"]["body"] == '{"status": 503}'


HOSTILE = [
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain; charset=latin-1\r\n\r\n\xe4\xf6\xfc!"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00!"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2}"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n [NaN,1] "),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xef\xbb\xbf[]"),
    raw(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"\\ud800"'),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x00[\x00]\x00\x00"),
    raw(b"HTTP/1.1 200 OK\r\nX-A: \xfc\r\nX-A: b\r\nContent-Length: 0\r\n\r\n"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nnot"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1204\r\n\r\n" + b"[" * 602 + b"]" * 602),
    "/gzip",
    "/deflate",
    "/chunked",
    "/no-content",
    "/bytes/100000",
]
LOOKS = """
    @task
    async def looks(self, client):
        for path in PATHS:
            answer = await client.get(path, name="hostile")
            seen = [answer.status_code, answer.ok, answer.headers.get("x-a"), "x-b" in answer.headers]
            for look in (lambda: answer.text[:200], lambda: answer.content[:200], lambda: str(answer.json())[:200]):
                try:
                    seen.append(repr(look()))
                except Exception as error:
                    seen.append(type(error).__name__)
            await client.post("/echo", json=[path, *map(str, seen)])
"""


def test_answers_are_the_same_in_both_engines(target: Target, tmp_path: Path) -> None:
    head = HEAD.replace("BRANCH = [1, 2]", f"PATHS = {HOSTILE!r}").replace("BRANCH.append(3)", "PATHS.append('/ok')")
    seen = {}
    for engine in BOTH:
        target.reset()
        folder = tmp_path / engine
        folder.mkdir()
        done = run_python(folder, written(folder, LOOKS, head), target, engine, iterations=1)
        seen[engine] = ([one.json for one in target.records("/echo")], [(hit.name, hit.outcome, hit.status) for hit in done.hits])
    assert len(seen["native"][0]) == len(HOSTILE) + 1
    for mine, theirs in zip(*(seen[engine][0] for engine in BOTH), strict=True):
        assert mine == theirs
    assert seen["native"][1] == seen["fast_http_user"][1]


def test_a_function_that_blocks_is_counted_and_named(target: Target, tmp_path: Path) -> None:
    body = """
        @task
        async def blocks(self, client):
            BRANCH.copy()
            await client.get("/ok")
            time.sleep(0.03)

        @task
        async def quick(self, client):
            BRANCH.copy()
            await client.get("/ok")
    """
    done = made(tmp_path, target, body, iterations=10)
    told = done.summary["generator"]["python"]
    assert told["slow"] >= 5 and told["slowest_ms"] >= 30 and told["slowest"] == "Shop.blocks"
    warnings = {one["code"]: one for one in done.summary["warnings"]}
    assert "Shop.blocks" in str(warnings["slow-function"])


def test_a_pause_is_no_part_of_a_hit(target: Target, tmp_path: Path) -> None:
    head = HEAD.replace("import RequestFailed, VUser", "import RequestFailed, VUser, sleep")
    body = """
        @task
        async def awaits(self, client):
            BRANCH.copy()
            await client.get("/ok?1")
            await asyncio.sleep(0.2)
            sleep(0.2)
            await client.get("/ok?2")

        @task
        def stands(self, client):
            BRANCH.copy()
            client.get("/ok?1")
            sleep(0.2, 0.3)
            client.get("/ok?2")
    """
    done = run_python(tmp_path, written(tmp_path, body, head), target, "native", iterations=2)
    rows = {hit.name: row for row, hit in zip(done.rows, done.hits, strict=True)}
    assert int(rows["awaits 2"]["start_ns"]) - int(rows["awaits"]["end_ns"]) >= 400_000_000
    assert int(rows["stands 2"]["start_ns"]) - int(rows["stands"]["end_ns"]) >= 200_000_000
    assert all(row["end_ns"] - row["start_ns"] < 190_000_000 for row in rows.values())
    assert done.summary["generator"]["python"]["slow"] == 0
