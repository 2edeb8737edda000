"""How much load, when, by whom: users, passes, weights, rates, shapes, data, retries, drain."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.outcome import HitFlag, Outcome
from tests.load import harness
from tests.load.harness import Outcomes, get, load, raw
from tests.targets.fixture import Target


@pytest.fixture(params=("fast_http_user", "native"), autouse=True)
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test of this file runs with both: how much load there is must not depend on who makes it."""
    monkeypatch.setattr(harness, "DEFAULT", request.param)
    return str(request.param)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_hit_is_recorded_and_every_recorded_hit_was_received(processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/ok"), get("/status/500")], host=target.url, user_count=11, iterations=7, processes=processes)
    assert target.counts() == {"/ok": 77, "/status/500": 77}
    assert done.summary["totals"] | {"requests": 154, "failures": 77} == done.summary["totals"]
    assert len(done.rows) == 154
    assert sum(snapshot.delta.hits for snapshot in done.snapshots) == 154
    rows = done.rows
    assert (rows["due_ns"] <= rows["start_ns"]).all()
    assert (rows["start_ns"] < rows["end_ns"]).all()
    assert (rows["sent_bytes"] > 50).all()
    assert (rows["received_bytes"] > 50).all()


def test_two_thousand_users_each_make_their_pass(target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/ok"), get("/ok")], host=target.url, user_count=2000)
    assert target.counts() == {"/ok": 4000}
    assert len({hit.user for hit in done.hits}) == 2000
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}


def test_each_weight_is_within_one_of_its_exact_share(target: Target, tmp_path: Path) -> None:
    weights = {"/ok?a": 5, "/ok?b": 3, "/ok?c": 1, "/ok?never": 0}
    steps = {"mode": "weighted", "tasks": [get(path, name=path, weight=weight) for path, weight in weights.items()]}
    target.reset()
    load(tmp_path, steps, host=target.url, user_count=7, iterations=29)
    counts = Counter(record.target for record in target.records())
    total = 7 * 29
    assert sum(counts.values()) == total
    assert {path: abs(counts[path] - total * weight / 9) < 1 for path, weight in weights.items()} == dict.fromkeys(weights, True)


def test_a_sequence_is_kept_by_each_user(target: Target, tmp_path: Path) -> None:
    target.reset()
    load(tmp_path, [get(f"/echo/{n}") for n in range(4)], host=target.url, user_count=5, iterations=3)
    by_connection: dict[int, list[str]] = defaultdict(list)
    for record in target.records():
        by_connection[record.connection].append(record.path)
    assert list(by_connection.values()) == [["/echo/0", "/echo/1", "/echo/2", "/echo/3"] * 3] * 5


def test_conditions_decide_per_user_and_hit(target: Target, tmp_path: Path) -> None:
    steps = [
        {
            "method": "post",
            "request_url": "/login",
            "skip_if": "${session.token}",
            "extract": [{"var": "token", "path": "token", "scope": "session"}],
        },
        get("/whoami", run_if={"truthy": "${session.token}"}),
        get("/ok", run_if={"equals": ["${var.mode}", "other"]}),
        get("/204", run_if={"in": ["a", ["a", "b"]]}, skip_if={"not_equals": [1, 1]}),
    ]
    target.reset()
    load(tmp_path, {"mode": "conditional", "tasks": steps}, host=target.url, user_count=3, iterations=4, variables={"mode": "this"})
    assert target.counts() == {"/login": 3, "/whoami": 12, "/204": 12}


CONDITIONS = [  # of LoadDensity, where every placeholder is text: which of them hold
    ({"equals": ["${var.limit}", "5"]}, True),
    ({"equals": ["${var.limit}", 5]}, True),  # never, in LoadDensity: `loadflow check` says so
    ({"equals": ["${var.limit}", "5.0"]}, False),
    ({"equals": ["${var.debug}", "False"]}, True),
    ({"equals": ["${var.debug}", "0"]}, False),
    ({"in": ["${var.code}", ["200", "201"]]}, True),
    ({"in": ["${var.code}", "it was 200"]}, True),
    ({"in": ["2", "${var.code}"]}, False),
    ({"in": ["${var.code}", {"200": 0}]}, True),
    ({"in": [True, ["TRUE"]]}, True),
    ({"in": [True, [1]]}, False),
    ({"not_equals": ["${var.id}", "5"]}, False),
    ({"equals": ["${var.half}", "0.5"]}, True),
    ({"equals": ["${var.half}", 0.5]}, True),
    ({"equals": ["${var.nobody}", "null"]}, False),
]


def test_text_equals_a_number_or_boolean_that_is_written_like_it(target: Target, tmp_path: Path) -> None:
    kept = [{"var": "code", "from": "status_code"}, {"var": "id", "path": "id"}, {"var": "half", "path": "half"}]
    first = get(raw(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"id": 5, "half":0.5}'), extract=kept)
    asked = [get(f"/status/2{number:02}", run_if=condition) for number, (condition, _) in enumerate(CONDITIONS)]
    skipped = [get(f"/status/4{number:02}", skip_if=condition, assertions=[{"type": "status_code", "value": 400 + number}])
               for number, (condition, _) in enumerate(CONDITIONS)]  # fmt: skip
    target.reset()
    load(tmp_path, [first, *asked, *skipped], host=target.url, user_count=1, iterations=1, variables={"limit": 5, "debug": False})
    wanted = {f"/status/2{number:02}" for number, (_, holds) in enumerate(CONDITIONS) if holds}
    wanted |= {f"/status/4{number:02}" for number, (_, holds) in enumerate(CONDITIONS) if not holds}
    assert set(target.counts()) - {"/raw"} == wanted


@pytest.mark.parametrize("processes", [1, 2])
def test_a_throttle_holds_its_rate_over_all_users(processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/ok", throttle={"rps": 40})], host=target.url, user_count=20, iterations=2, processes=processes)
    times = sorted(record.at_ns for record in target.records())
    assert len(times) == 40
    # n hits at r per second take (n - 1)/r from the load's start, in each process for its share; no machine is fast enough to make
    # that shorter. From the first arrival it may be: a busy machine is late with it
    began_ns = read_header(done.run.hits_path(0)).origin_monotonic_ns
    assert (times[-1] - began_ns) / 1e9 > (40 / processes - 1) / (40 / processes)


def test_each_attempt_is_a_hit_and_the_last_one_decides(target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/flaky/3", retry={"transient": 5, "base_delay": 0.01})], host=target.url)
    assert target.counts() == {"/flaky/3": 3}
    assert [hit.outcome for hit in done.hits] == [Outcome.STATUS, Outcome.STATUS, Outcome.OK]
    assert [hit.flags for hit in done.hits] == [HitFlag.FIRST | HitFlag.SUPERSEDED, HitFlag.SUPERSEDED | HitFlag.RETRY, HitFlag.RETRY]
    assert done.summary["verdict"]["verdict"] == "passed"
    assert done.summary["totals"]["retries"] == 2


def test_a_used_up_retry_fails_and_permanent_failures_are_not_retried(target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [get("/status/503", retry={"transient": 2, "base_delay": 0.01}), get("/status/404", retry={"base_delay": 0.01})]
    done = load(tmp_path, steps, host=target.url)
    assert target.counts() == {"/status/503": 3, "/status/404": 1}
    assert done.summary["verdict"]["reasons"] == ["2 of 2 hits failed (100.00%); max_failure_rate allows none"]


def test_once_gives_each_row_to_one_step_also_over_processes(target: Target, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "".join(f"{n},x{n}\n" for n in range(12)), encoding="utf-8")
    source = {"name": "rows", "file_path": str(tmp_path / "rows.csv"), "mode": "once"}
    target.reset()
    done = load(
        tmp_path,
        [get("/echo?a=${csv.rows.a}&b=${csv.rows.b}", name="row")],
        host=target.url,
        user_count=4,
        iterations=4,
        processes=2,
        csv_sources=[source],
    )
    received = sorted((record.target for record in target.records()), key=lambda text: int(text.split("=")[1].split("&")[0]))
    assert received == [f"/echo?a={n}&b=x{n}" for n in range(12)]
    assert Counter(hit.outcome for hit in done.hits if hit.outcome is not Outcome.TEMPLATE) == {Outcome.OK: 12}
    # of two users that share 6 rows one may have had its 4 before the other had any
    without = [hit.user for hit in done.hits if hit.outcome is Outcome.TEMPLATE]
    assert len(without) == len(set(without))
    assert 2 <= len(without) <= 4


def test_requests_in_flight_at_the_end_are_drained_and_recorded(target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/delay/1200")], host=target.url, user_count=3, iterations=None, test_time=0.5, drain_time=20)
    assert target.counts() == {"/delay/1200": 3}
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 3
    assert all(hit.flags & HitFlag.DRAINED for hit in done.hits)


def test_what_outlasts_the_drain_is_recorded_as_unfinished(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/delay/60000")], host=target.url, user_count=3, iterations=None, test_time=0.5, drain_time=0.2)
    assert [hit.outcome for hit in done.hits] == [Outcome.UNFINISHED] * 3
    assert "unfinished" in {warning["code"] for warning in done.summary["warnings"]}


def users_by_second(done: Outcomes) -> list[int]:
    return [snapshot.health.users for snapshot in done.snapshots]


def test_a_spike_goes_up_and_down_again(target: Target, tmp_path: Path) -> None:
    shape = {"baseline_users": 2, "spike_users": 9, "spawn_rate": 1000, "pre_seconds": 2, "spike_seconds": 2, "post_seconds": 2}
    done = load(tmp_path, [get("/delay/20")], host=target.url, iterations=None, load_shape="spike", shape_config=shape)
    users = users_by_second(done)
    assert users[0] == 2
    assert max(users) == 9
    assert users[-2] == 2
    assert done.summary["runs"][0]["planned_s"] == 6


def test_a_shape_can_be_cut_short_by_test_time(target: Target, tmp_path: Path) -> None:
    shape = {"stages": [{"duration": 100, "users": 1, "spawn_rate": 10}]}
    done = load(tmp_path, [get("/delay/20")], host=target.url, iterations=None, test_time=1, load_shape="stages", shape_config=shape)
    assert done.summary["runs"][0]["planned_s"] == 1


def test_two_loads_at_once_in_one_process_do_not_mix(target: Target, tmp_path: Path) -> None:
    target.reset()
    done: dict[str, Outcomes] = {}

    def run(name: str) -> None:
        done[name] = load(
            tmp_path / name, [get(f"/echo/{name}/${{var.own}}", name=name)], host=target.url, iterations=20, variables={"own": name}
        )

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.counts() == {"/echo/a/a": 20, "/echo/b/b": 20}
    assert {name: one.counts() for name, one in done.items()} == {"a": {"a": 20}, "b": {"b": 20}}


SECRET = "sEntinel/9f3a+77"


def test_secrets_are_in_no_file_of_the_run_folder_and_not_in_the_summary(target: Target, tmp_path: Path) -> None:
    steps = [
        {
            "method": "post",
            "request_url": "/echo?api_key=${var.api_key}",
            "json": {"user": "ann", "password": SECRET},
            "headers": {"Authorization": f"Bearer {SECRET}", "X-Session-Token": SECRET},
            "cookies": {"sid": SECRET},
            "assertions": [{"type": "status_code", "value": 500}],
        },
        {
            "method": "get",
            "request_url": f"/echo?q={SECRET.replace('/', '%2F').replace('+', '%2B')}",
            "auth": {"type": "basic", "username": "ann", "password": SECRET},
            "assertions": [{"type": "contains", "value": f"never {SECRET}"}],
        },
        {
            "method": "post",
            "request_url": "/login",
            "extract": [{"var": "token", "path": "token"}],
            "assertions": [{"type": "contains", "value": "no"}],
        },
    ]
    done = load(tmp_path, steps, host=target.url, variables={"api_key": SECRET})
    import base64
    from urllib.parse import quote

    forms = [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"ann:{SECRET}".encode()).decode(),
        quote(SECRET, safe=""),
    ]
    assert done.summary["totals"]["failures"] == 3
    for path in done.run.folder.iterdir():
        text = path.read_bytes().decode("latin-1")
        assert not [form for form in forms if form in text], path
    assert not [form for form in forms if form in str(done.summary)]
