"""Thresholds by PromQL and conditions of a load, with a real Prometheus that scrapes a real server, and with one that goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from loadflow.engine.exporters.shared.bounded import MOST_BYTES, Bounded
from loadflow.engine.load import asking
from loadflow.engine.load.asking import ask_condition, in_window
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.watching import OnlyIf
from loadflow.engine.records.judge import EndReason
from loadflow.engine.records.run import Run
from loadflow.engine.records.threshold import ThresholdState
from loadflow.engine.records.watched import Answer, AnswerLog, TargetThreshold, answers_of, decide_target, parse_bound
from loadflow.engine.reports.html import html_report
from loadflow.engine.reports.junit_cases import threshold_cases
from loadflow.engine.session.execute import execute_action, load_script
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import ConditionBroken, ScriptError
from tests.exporters.servers import Prometheus, wait_until
from tests.exporters.test_bounded import answer, drip, playing

QUERY = "shop_busy"


@dataclass
class Shop:
    """Serves its metrics, a health page and the load; `busy` is what it says of itself."""

    busy: float = 0.5
    well: bool = True
    port: int = 0
    served: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    own = Shop()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = f"shop_busy {own.busy}\n".encode() if self.path == "/metrics" else b"well"
            if self.path == "/":
                own.served.append(time.monotonic())
            self.send_response(503 if self.path.startswith("/health") and not own.well else 200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    own.port = server.server_port
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield own
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def prometheus(shop: Shop) -> Iterator[Prometheus]:
    with Prometheus(shop.port).running() as own:
        wait_until(lambda: own.number(QUERY) is not None, "the shop was scraped")
        yield own


def loaded(shop: Shop, folder: Path, observers: list[Observer] | None = None, **more: Any) -> Run:
    test = {
        "user_detail_dict": {"user": "fast_http_user"},
        "rate": 20,
        "test_time": 4,
        "tasks": [{"method": "get", "request_url": f"{shop.url}/"}],
        **more,
    }
    with use_session(Session(runs_dir=folder, observers=observers or [])) as session:
        execute_action([["LD_start_test", test]]).raise_for_failure()
        return session.all_runs[-1]


def at(prometheus: Prometheus) -> dict[str, Any]:
    return {"url": prometheus.url, "every": 1}


def test_a_value_that_holds_passes_and_one_that_does_not_fails(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    thresholds = [{"promql": QUERY, "is": "< 0.8", "title": "CPU of the shop"}, {"promql": f"{QUERY} * 2", "is": "< 0.8"}]
    run = loaded(shop, tmp_path, prometheus=at(prometheus), thresholds=[*thresholds, "p95 < 60 s"])
    own, low, high = run.threshold_results()
    assert (low.state, low.observed, low.expression) == (ThresholdState.PASSED, 0.5, "CPU of the shop < 0.8")
    assert (high.state, high.observed, own.state) == (ThresholdState.FAILED, 1.0, ThresholdState.PASSED)
    summary = run.summary()
    assert str(summary.verdict.kind) == "failed"
    assert "shop_busy * 2 < 0.8 of the target: observed 1" in summary.verdict.reasons[0]
    page = html_report([run], tmp_path / "x.html")
    assert "CPU of the shop of the target over time, by Prometheus; between 0.5 and 0.5." in page
    cases = threshold_cases(summary)
    assert [case.problem is None for case in cases] == [True, True, False]
    asked = [one.at_s for one in answers_of(run.folder) if one.number == 0]
    assert len(asked) >= 4
    assert asked[-1] == pytest.approx(run.load_s, abs=1.0)


class Switch(Observer):
    """Changes something once the load has run for so many seconds."""

    def __init__(self, after_s: int, change: Any) -> None:
        self._after_s, self._change = after_s, change

    def snapshot(self, run: Run, snapshot: Any) -> None:
        if snapshot.second + 1 == self._after_s:
            self._change()


def test_one_bad_value_is_enough_and_ends_the_load(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    thresholds = [{"promql": QUERY, "is": "< 0.8", "abort_on_fail": True, "abort_delay": 1}]
    busy = Switch(2, lambda: setattr(shop, "busy", 0.95))
    run = loaded(shop, tmp_path, [busy], prometheus=at(prometheus), thresholds=thresholds, test_time=120)
    assert run.end().reason is EndReason.THRESHOLD
    assert run.load_s < 100
    (result,) = run.threshold_results()
    assert (result.state, result.observed) == (ThresholdState.FAILED, 0.95)


def test_without_an_answer_nothing_is_passed(shop: Shop, unused_port: int, tmp_path: Path) -> None:
    run = loaded(shop, tmp_path, prometheus=f"http://127.0.0.1:{unused_port}", thresholds=[{"promql": QUERY, "is": "< 0.8"}])
    (result,) = run.threshold_results()
    assert result.state is ThresholdState.INCONCLUSIVE
    assert "can't be reached" in result.text
    assert str(run.summary().verdict.kind) == "inconclusive"


def test_a_prometheus_that_was_away_says_it_later(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    away, back = Switch(1, prometheus.stop), Switch(4, prometheus.start)
    run = loaded(shop, tmp_path, [away, back], prometheus=at(prometheus), thresholds=[{"promql": QUERY, "is": "< 0.8"}], test_time=6)
    (result,) = run.threshold_results()
    assert result.state is ThresholdState.PASSED
    assert all(one.values for one in answers_of(run.folder)), "what was not answered was asked for again"


def test_a_wrong_query_is_told_before_anything_is_sent(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"thresholds \(PromQL 1\): bad_data: .*parse error"):
        loaded(shop, tmp_path, prometheus=at(prometheus), thresholds=[{"promql": "rate(", "is": "< 1"}])
    assert not shop.served


def test_a_query_of_a_range_is_told(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="the query gives a matrix"):
        loaded(shop, tmp_path, prometheus=at(prometheus), thresholds=[{"promql": f"{QUERY}[1m]", "is": "< 1"}])


# what was answered, in order (None: no answer; {}: no value), how it is taken together, and what is said
TABLE: list[tuple[str, list[dict[str, float] | None], str, str, float | None]] = [
    ("all hold", [{"": 0.1}, {"": 0.7}], "every", "passed", 0.7),
    ("one does not", [{"": 0.1}, {"": 0.9}, {"": 0.1}], "every", "failed", 0.9),
    ("one of its series does not", [{"a": 0.1, "b": 0.9}], "every", "failed", 0.9),
    ("the mean holds", [{"": 0.1}, {"": 0.9}], "mean", "passed", 0.5),
    ("the last does not", [{"": 0.1}, {"": 0.9}], "last", "failed", 0.9),
    ("no answer at all", [None, None], "every", "inconclusive", None),
    ("no value at all", [{}, {}], "every", "inconclusive", None),
    ("values begin late", [{}, {}, {}, {"": 0.1}, {"": 0.2}], "every", "passed", 0.2),
    ("values end early", [{"": 0.1}, {"": 0.2}, {}, {}], "every", "inconclusive", 0.2),
    ("half is missing", [{"": 0.1}, None, {"": 0.2}, None], "every", "inconclusive", 0.2),
    ("half is missing, and one does not hold", [{"": 0.1}, None, {"": 0.9}, None], "every", "failed", 0.9),
    ("half is missing, and the mean does not hold", [{"": 0.9}, None], "mean", "inconclusive", 0.9),
    ("a twentieth is missing", [*[{"": 0.1}] * 19, None], "every", "passed", 0.1),
]


@pytest.mark.parametrize(("answers", "over", "state", "observed"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_answers_say(answers: list[dict[str, float] | None], over: str, state: str, observed: float | None) -> None:
    threshold = TargetThreshold(QUERY, "< 0.8", over=over)
    result = decide_target(threshold, [Answer(float(second), "threshold", 0, one) for second, one in enumerate(answers)], 60.0)
    assert (str(result.state), result.observed) == (state, pytest.approx(observed) if observed is not None else None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.9, 0.1, 0.2], "observed 0.9 (3 samples; 1 does not hold, at 0 s)"),
        ([0.1, 0.9, 1], "observed 1 (3 samples; 2 do not hold, from 1 s to 2 s)"),
    ],
)
def test_a_broken_threshold_says_when_it_did_not_hold(values: list[float], said: str) -> None:
    answers = [Answer(float(second), "threshold", 0, {"": value}) for second, value in enumerate(values)]
    assert decide_target(TargetThreshold(QUERY, "< 0.8"), answers, 60.0).text.endswith(said)


@pytest.mark.parametrize(
    ("text", "held", "broken", "worst"),
    [("< 1", 0.5, 1, 2), (">= 3", 3, 2.9, 1), ("== 1", 1, 0, 0), ("!= 0", 1, 0, 0), ("> -1", 0, -1, -2)],
)
def test_bounds(text: str, held: float, broken: float, worst: float) -> None:
    bound = parse_bound(text)
    assert bound.holds(held)
    assert not bound.holds(broken)
    assert bound.worst([held, worst]) == worst


# -- interlocks


def test_secrets_of_questions_are_written_nowhere(
    shop: Shop, prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADFLOW_SECRET_SHOP", "hunter22-hunter22")
    asked = {"http": f"{shop.url}/health?key=${{secret.shop}}"}
    query = {"promql": f'label_replace({QUERY}, "key", "${{secret.shop}}", "", "")', "is": "< 0.1"}
    at = {"url": prometheus.url, "every": 1, "headers": {"Authorization": "Bearer ${secret.shop}"}}
    run = loaded(shop, tmp_path, prometheus=at, only_if=[asked], thresholds=[query], test_time=2)
    assert run.threshold_results()[0].state is ThresholdState.FAILED
    assert not [path.name for path in run.folder.iterdir() if b"hunter22" in path.read_bytes()]
    shop.well = False
    with pytest.raises(ConditionBroken) as error:
        loaded(shop, tmp_path, only_if=[asked])
    assert "hunter22" not in str(error.value)


def condition(shop: Shop, **more: Any) -> dict[str, Any]:
    return {"http": f"{shop.url}/health", "contains": "well", **more}


def test_a_condition_that_does_not_hold_keeps_the_load_back(shop: Shop, tmp_path: Path) -> None:
    shop.well = False
    with pytest.raises(ConditionBroken, match=r"/health answers .*: it answered with status 503; nothing was sent"):
        loaded(shop, tmp_path, only_if=[condition(shop)])
    assert not shop.served
    with use_session(Session(runs_dir=tmp_path)):
        test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": shop.url}]}
        results = execute_action([["LD_start_test", {**test, "only_if": [condition(shop)]}]])
    assert str(results.verdict.kind) == "inconclusive"


def test_one_that_breaks_meanwhile_ends_it(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    conditions = [condition(shop), {"promql": QUERY, "is": "< 0.8"}]
    ill = Switch(2, lambda: setattr(shop, "well", False))
    run = loaded(shop, tmp_path, [ill], prometheus=at(prometheus), only_if=conditions, test_time=120)
    assert run.end().reason is EndReason.CONDITION
    verdict = run.summary().verdict
    assert str(verdict.kind) == "inconclusive"
    assert "ended early by an interlock" in verdict.reasons[0]


def test_one_that_breaks_pauses_the_load_until_it_holds_again(shop: Shop, prometheus: Prometheus, tmp_path: Path) -> None:
    ill, well = Switch(3, lambda: setattr(shop, "well", False)), Switch(9, lambda: setattr(shop, "well", True))
    more = {"rate": 50, "test_time": 16, "rate_tolerance": 1.0}
    run = loaded(shop, tmp_path, [ill, well], prometheus=at(prometheus), only_if=[condition(shop, **{"else": "pause"})], **more)
    assert run.end().reason is EndReason.COMPLETED
    assert run.pace is not None
    (begin_s, paused), (end_s, resumed) = run.pace.changes
    assert paused * resumed == pytest.approx(1)
    due_s = sorted(run.hits()["due_ns"] / 1e9)
    assert not [one for one in due_s if begin_s + 0.1 < one < end_s], "nothing is due in a pause"
    assert [one for one in due_s if one < begin_s]
    assert [one for one in due_s if one > end_s]
    verdict = run.summary().verdict
    assert str(verdict.kind) == "inconclusive"
    assert any("the load was paused by an interlock" in reason for reason in verdict.reasons)


def test_one_that_breaks_shrinks_the_load_to_half_until_it_holds_again(shop: Shop, tmp_path: Path) -> None:
    ill, well = Switch(3, lambda: setattr(shop, "well", False)), Switch(12, lambda: setattr(shop, "well", True))
    more = {"rate": 50, "test_time": 20, "rate_tolerance": 1.0, "prometheus": {"url": "http://127.0.0.1:1", "every": 1}}
    run = loaded(shop, tmp_path, [ill, well], only_if=[condition(shop, **{"else": "shrink"})], **more)
    assert run.end().reason is EndReason.COMPLETED
    assert run.pace is not None
    (begin_s, shrunk), (end_s, resumed) = run.pace.changes
    assert (shrunk, resumed) == (0.5, 2.0)
    due_s = run.hits()["due_ns"] / 1e9
    per_s = {
        "before": (due_s < begin_s).sum() / begin_s,
        "between": ((due_s >= begin_s) & (due_s < end_s)).sum() / (end_s - begin_s),
        "after": (due_s >= end_s).sum() / (20 - end_s),
    }
    assert per_s == {"before": pytest.approx(50, abs=1), "between": pytest.approx(25, abs=1), "after": pytest.approx(50, abs=1)}
    verdict = run.summary().verdict
    assert str(verdict.kind) == "inconclusive"
    assert any("the load was shrunk by an interlock" in reason for reason in verdict.reasons)


def vector(*values: str) -> bytes:
    result = [{"metric": {"n": str(number)}, "value": [0, value]} for number, value in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


# what a Prometheus answers to `busy < 0.8`; whether the condition holds, and why not (None: it could not be asked)
HOSTILE: list[tuple[str, bytes, bool | None, str]] = [
    ("a value", vector("0.5"), True, ""),
    ("NaN", vector("NaN"), None, "Prometheus has no value"),
    ("NaN beside a value", vector("NaN", "0.9"), False, "it is 0.9"),
    ("infinity", vector("+Inf"), False, "it is 1e+300"),
    ("minus infinity", vector("-Inf"), True, ""),
    ("a number that no float holds", json.dumps({"data": {"resultType": "scalar", "result": [0, 10**400]}}).encode(), None, "not one of"),
    ("no number", vector("banana"), None, "its answer is not one of Prometheus"),
    ("a value without a value", b'{"data": {"resultType": "vector", "result": [{"metric": {}, "value": [0]}]}}', None, "not one of"),
    ("labels that are none", b'{"data": {"resultType": "vector", "result": [{"metric": 5, "value": [0, "1"]}]}}', None, "not one of"),
    ("a result that is none", b'{"data": {"resultType": "vector", "result": {"a": 1}}}', None, "its answer is not one of Prometheus"),
    ("another kind of value", b'{"data": {"resultType": "string", "result": [0, "x"]}}', None, "the query gives a string"),
    ("a list", b"[1, 2]", None, "its answer is not one of Prometheus"),
    ("a page", b"<html>log in</html>", None, "its answer is not one of Prometheus"),
    ("nothing", b"", None, "its answer is not one of Prometheus"),
    ("brackets without end", b"[" * 100_000, None, "its answer is not one of Prometheus"),
    ("more than is read", b" " * (MOST_BYTES + 1), None, "its answer is larger than 4.19 MB"),
    ("many series", vector(*["0.1"] * 201), None, "the query gives 201 series, and at most 200 are taken"),
    ("the worst one as the last of many", vector(*["0.1"] * 199, "0.9"), False, "it is 0.9"),
]


@pytest.mark.parametrize(("body", "holds", "why"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_whatever_a_prometheus_answers_the_outcome_is_clear(body: bytes, holds: bool | None, why: str) -> None:
    web = Bounded(60.0)
    one = OnlyIf(promql="busy", **{"is": "< 0.8"})
    with playing(answer(body)) as url:
        said, _ = ask_condition(one, web, asking.Prometheus(web, url, {}), None, 0.0)
    assert said.holds is holds
    assert why in said.why


@pytest.mark.parametrize(
    ("what", "body", "holds", "why"),
    [
        ("the text is there", b"all is well", True, ""),
        ("another text", b"\xff\x00", False, "its answer does not contain 'well'"),
        ("too far behind", b" " * MOST_BYTES + b"well", False, "the first 4.19 MB of its answer do not contain 'well'"),
    ],
)
def test_whatever_a_page_answers_the_outcome_is_clear(what: str, body: bytes, holds: bool, why: str) -> None:
    web = Bounded(60.0)
    with playing(answer(body)) as url:
        said, _ = ask_condition(OnlyIf(http=url, contains="well"), web, None, None, 0.0)
    assert (said.holds, said.why) == (holds, why)


def test_an_answer_that_never_ends_holds_the_load_back_and_a_load_that_goes_on_counts_three(shop: Shop, tmp_path: Path) -> None:
    with playing(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a", 0.2)) as url:
        web = Bounded(0.5)
        said, _ = ask_condition(OnlyIf(http=url), web, None, None, 0.0)
        assert said.holds is None
        assert "did not answer whole within 0.5 s" in said.why
        with pytest.raises(ConditionBroken, match=r"did not answer whole within 5 s; nothing was sent"):
            loaded(shop, tmp_path, only_if=[{"http": url}])


def test_a_load_whose_answers_can_not_be_written_ends(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: AnswerLog, answer: Answer) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AnswerLog, "add", full)
    run = loaded(shop, tmp_path, only_if=[condition(shop)], test_time=120)
    assert run.end().reason is EndReason.CONDITION
    assert "target.ndjson can't be written (No space left on device)" in run.end().message
    assert str(run.summary().verdict.kind) == "inconclusive"


def test_what_prefect_says_is_a_condition(shop: Shop, tmp_path: Path) -> None:
    told = {("variable", "load_allowed"): "yes", ("automation", "nightly"): ["nightly"], ("automation", "*"): []}

    def ask(kind: str, name: str) -> object:
        return told[kind, name]

    def check(*conditions: dict[str, Any]) -> None:
        test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 1}
        tasks = [{"method": "get", "request_url": f"{shop.url}/"}]
        with use_session(Session(runs_dir=tmp_path)) as session:
            session.ask_prefect = ask
            execute_action([["LD_start_test", {**test, "tasks": tasks, "only_if": list(conditions)}]]).raise_for_failure()

    check({"variable": "load_allowed", "is": "yes"}, {"variable": "load_allowed"}, {"automation": "*"})
    for condition, why in (
        ({"variable": "load_allowed", "is": "no"}, "it is 'yes'"),
        ({"automation": "nightly"}, "the automation nightly is not paused: nightly is paused"),
    ):
        with pytest.raises(ConditionBroken, match=why):
            check(condition)


def test_prefect_is_not_asked_outside_of_a_flow(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"only_if\[0\].variable: is Prefect's, and this is no flow run"):
        loaded(shop, tmp_path, only_if=[{"variable": "x"}])


WINDOWS = [
    ("2026-11-30 12:00", "09:00", "17:00", None, True),
    ("2026-11-30 17:00", "09:00", "17:00", None, False),
    ("2026-11-30 23:00", "22:00", "06:00", ["mon"], True),
    ("2026-12-01 05:59", "22:00", "06:00", ["mon"], True),
    ("2026-12-01 06:00", "22:00", "06:00", ["mon"], False),
    ("2026-12-01 23:00", "22:00", "06:00", ["mon"], False),
    ("2026-11-30 23:59", "00:00", "24:00", ["mon"], True),
]


@pytest.mark.parametrize(("now", "begins", "ends", "days", "inside"), WINDOWS)
def test_windows_of_the_calendar(now: str, begins: str, ends: str, days: list[str] | None, inside: bool) -> None:
    assert in_window(datetime.fromisoformat(now), begins, ends, days) is inside


MISTAKES = [
    ({"thresholds": [{"promql": "up", "is": "below 1"}]}, "is not a bound"),
    ({"thresholds": [{"promql": "up"}]}, "is: is missing"),
    ({"thresholds": [{"promql": "up", "is": "== 1"}]}, "no Prometheus is named"),
    ({"only_if": [{}]}, "says no condition"),
    ({"only_if": [{"promql": "up", "is": "== 1", "http": "http://127.0.0.1/"}]}, "promql and http are two conditions"),
    ({"only_if": [{"promql": "up"}]}, "is: is missing"),
    ({"only_if": [{"between": ["22", "06:00"]}]}, "'22' is not a time of day"),
    ({"only_if": [{"between": ["22:00", "06:00"], "timezone": "Mars"}]}, "is not a time zone"),
    ({"only_if": [{"http": "http://127.0.0.1/", "else": "pause"}]}, "pause needs a rate"),
    ({"only_if": [{"http": "http://127.0.0.1/", "else": "shout"}]}, "is not a reaction"),
    ({"prometheus": "shop:9090", "thresholds": [{"promql": "up", "is": "== 1"}]}, "is not an http:// or https:// URL"),
]


@pytest.mark.parametrize(("keys", "said"), MISTAKES)
def test_mistakes_are_told_by_the_check(keys: dict[str, Any], said: str) -> None:
    test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:1/"}], **keys}
    with pytest.raises(ScriptError) as error:
        load_script(json.dumps([["LD_start_test", test]]), session=Session())
    assert said in str(error.value)
    assert set(keys) <= set(StartTest.model_fields)
