"""A run that is going on, over HTTP: its stream of events, its page, the end, and who may stop it. No load: a run folder that grows."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from loadflow.cli.live_server import live_page
from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.records.going_on import going_on
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.run import Run
from loadflow.engine.reports.html import write_html_report
from loadflow.engine.reports.live_feed import Feed
from loadflow.engine.session.observer import Observer
from tests.builders import build_run, facts, make_rows
from tests.waiting import HANG_S

SECONDS = 30
SO_FAR = 12
MOST_BYTES = 2_000  # of an event: what a slow line can take each second


@dataclass
class Growing:
    """A run of SECONDS seconds, of which `seconds` are on disk; going on until `end` or `die`."""

    run: Run
    lines: list[str]
    seconds: int = SO_FAR
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def path(self) -> Path:
        return self.run.folder / "snapshots.ndjson"

    def grow(self, seconds: int = 1) -> None:
        with self.path.open("a") as file:
            file.writelines(self.lines[self.seconds : self.seconds + seconds])
        self.seconds += seconds

    def end(self) -> None:
        self.run.finish(self.run.fold(), RunEnd(EndReason.COMPLETED, "", SECONDS, SECONDS))
        write_html_report([self.run], self.run.folder / "report.html")

    def die(self) -> None:
        self.held.close()


def growing_run(runs_dir: Path, run_id: str = "20260921-141320-smoke-1f2e3d4c", **changes: Any) -> Growing:
    own = facts(id=run_id, folder=str(runs_dir / run_id), **changes)
    run = build_run(runs_dir / run_id, make_rows(3_000, seconds=SECONDS), run_facts=own, cut_off=True)
    grown = Growing(run, (run.folder / "snapshots.ndjson").read_text().splitlines(keepends=True))
    grown.path.write_text("".join(grown.lines[:SO_FAR]))
    grown.held.enter_context(going_on(run.folder))
    return grown


@dataclass
class Served:
    """As `loadflow run --live` serves it, `client` at its address."""

    growing: Growing
    observer: Observer
    client: httpx.Client
    token: str

    @property
    def below(self) -> str:
        return f"/{self.growing.run.folder.name}"

    def events(self, *, after: str = "", **headers: str) -> Iterator[dict[str, Any]]:
        """Server-Sent Events as the HTML standard has them read; `bytes` is the size of each."""
        with self.client.stream("GET", f"{self.below}/live{after}", headers=headers, timeout=60) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            event: dict[str, Any] = {"bytes": 0}
            for line in answer.iter_lines():
                event["bytes"] += len(line.encode()) + 1
                name, _, value = line.partition(": ")
                if line == "":
                    if "data" in event:
                        yield event
                    event = {"bytes": 0}
                elif name:  # without one it is a comment
                    event[name] = json.loads(value) if name in ("data", "id") else value


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(growing_run(tmp_path)) as served:
        yield served


@contextmanager
def serving(growing: Growing) -> Iterator[Served]:
    said = io.StringIO()
    with growing.held, live_page(growing.run.folder.parent, Console(file=said, width=300)) as observer:
        observer.run_started(growing.run)
        found = re.search(r"(http://[^/]+)/([^/]+)/report.html#stop=(\S+)", said.getvalue())
        assert found
        assert found[2] == growing.run.folder.name
        with httpx.Client(base_url=found[1], timeout=HANG_S) as client:
            yield Served(growing, observer, client, found[3])


def ids(events: list[dict[str, Any]]) -> list[int]:
    return [event["id"] for event in events if event["event"] == "second"]


def take(events: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [next(events) for _ in range(count)]


def test_a_late_joiner_gets_every_second_then_each_as_it_comes_then_the_end(served: Served) -> None:
    events = served.events()
    past = take(events, SO_FAR)
    assert ids(past) == list(range(SO_FAR))
    assert max(event["bytes"] for event in past) < MOST_BYTES
    served.growing.grow()
    now = next(events)
    assert now["id"] == SO_FAR
    assert now["data"]["second"] == SO_FAR
    assert "shown" in now["data"]
    assert ["shown" in event["data"] for event in past] == [False] * (SO_FAR - 1) + [True], "it says what is so now, once"
    served.growing.grow(SECONDS)
    served.growing.end()
    *rest, end = events  # the stream ends by itself
    assert [*ids(past), now["id"], *ids(rest)] == list(range(SECONDS))
    assert (end["event"], end["data"]) == ("end", {"report": True})
    requests = sum(event["data"]["requests"] for event in [*past, now, *rest])
    assert requests == served.growing.run.totals().hits
    assert rest[-1]["data"]["shown"]["requests"] == f"{requests:,}"


@pytest.mark.parametrize(
    ("after", "headers", "first"),
    [
        ("", {"Last-Event-ID": "4"}, 5),
        ("?after=7", {}, 8),
        ("?after=2", {"Last-Event-ID": "9"}, 10),  # a page that was cut off asks by its first address
        ("?after=-1", {}, 0),
    ],
)
def test_it_goes_on_where_it_was_cut_off(served: Served, after: str, headers: dict[str, str], first: int) -> None:
    assert ids(take(served.events(after=after, **headers), SO_FAR - first)) == list(range(first, SO_FAR))


def test_twenty_viewers_see_the_same(served: Served) -> None:
    with ThreadPoolExecutor(20) as pool:
        viewers = [pool.submit(lambda: list(served.events())) for _ in range(20)]
        served.growing.grow(3)
        served.growing.end()
        seen = [viewer.result(60) for viewer in viewers]
    assert all(one == seen[0] for one in seen)
    assert ids(seen[0]) == list(range(SO_FAR + 3))


def test_a_second_that_is_half_on_disk_waits_for_the_other_half(served: Served) -> None:
    events = served.events()
    take(events, SO_FAR)
    line = served.growing.lines[SO_FAR]
    with served.growing.path.open("a") as file:
        for part in (line[:40], line[40:]):
            file.write(part)
            file.flush()
    assert next(events)["id"] == SO_FAR


def test_a_run_whose_maker_was_killed_ends_without_a_report(served: Served) -> None:
    events = served.events()
    take(events, SO_FAR)
    served.growing.die()
    assert [(event["event"], event["data"]) for event in events] == [("end", {"report": False})]
    assert served.client.get(f"{served.below}/report.html").status_code == 404


def test_the_page_is_the_reports_and_then_the_report(served: Served) -> None:
    page = served.client.get(f"{served.below}/report.html")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert '<section class="banner running"' in page.text
    assert f'data-second="{SO_FAR - 1}"' in page.text
    assert 'data-stop="yes"' in page.text
    assert page.text.count("<svg") == 5
    assert served.token not in page.text, "who can read it can not stop it"
    assert "Requests by name" not in page.text
    assert served.client.get(f"{served.below}/summary.json").status_code == 404
    served.growing.end()
    report = served.client.get(f"{served.below}/report.html")
    assert report.content == (served.growing.run.folder / "report.html").read_bytes()


def test_the_head_of_the_page_does_not_wait_for_what_is_on_disk(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    may_read, refresh = threading.Event(), Feed.refresh
    monkeypatch.setattr(Feed, "refresh", lambda feed: may_read.wait(60) and refresh(feed))
    with served.client.stream("GET", f"{served.below}/report.html") as answer:
        parts = answer.iter_text()
        head = next(parts)
        assert '<section class="banner running"' in head
        assert "<svg" not in head
        may_read.set()
        assert "".join(parts).count("<svg") == 5
    assert served.client.get(f"{served.below}/report.html").text.startswith(head)


def test_a_page_before_the_first_second(tmp_path: Path) -> None:
    growing = growing_run(tmp_path)
    growing.path.unlink()
    with serving(growing) as served:
        page = served.client.get(f"{served.below}/report.html").text
        assert 'data-second="-1"' in page
        assert "nothing to draw" in page


def test_the_page_of_a_rate_says_what_it_asks(tmp_path: Path) -> None:
    pace = Pace((Segment(float(SECONDS), 100.0, 100.0),), max_in_flight=50)
    with serving(growing_run(tmp_path, plan={"pace": pace.to_json()})) as served:
        page = served.client.get(f"{served.below}/report.html").text
        assert "Arrival rate, 100/s, at most 50 in flight" in page
        assert "from the moment a request was due" in page


def test_only_who_has_the_token_stops_it_and_only_this_load(served: Served) -> None:
    def stop(path: str, authorization: str = "") -> int:
        return served.client.post(path, headers={"Authorization": authorization}).status_code

    right = f"Bearer {served.token}"
    assert stop(f"{served.below}/stop") == 403
    assert stop(f"{served.below}/stop", "Bearer " + "x" * len(served.token)) == 403
    assert stop(f"{served.below}/stop?token={served.token}") == 403
    assert stop("/another-run/stop", right) == 409
    assert served.client.get(f"{served.below}/stop", headers={"Authorization": right}).status_code == 404
    assert served.observer.stop_requested() == ""
    assert stop(f"{served.below}/stop", right) == 202
    assert served.observer.stop_requested() == "stopped on the live page"


def test_who_has_the_token_changes_the_rate_of_a_load_that_has_one(tmp_path: Path) -> None:
    pace = Pace((Segment(float(SECONDS), 100.0, 100.0),), max_in_flight=50)
    with serving(growing_run(tmp_path, plan={"pace": pace.to_json()})) as served:

        def ask(factor: str, token: str = served.token, run: str = served.below) -> int:
            return served.client.post(f"{run}/rate", content=factor, headers={"Authorization": f"Bearer {token}"}).status_code

        assert ask("1.5", "x" * len(served.token)) == 403
        assert ask("1.5", run="/another-run") == 404
        wrong = ["", "0", "-1", "nan", "inf", "1e999", "10.1", "0.09", "1.5x", "½", "1" * 1_000_000]
        assert [ask(factor) for factor in wrong] == [400] * len(wrong)
        assert served.observer.rate_factor() == 1.0
        assert [ask("1.5"), ask("2")] == [202, 202]
        assert [served.observer.rate_factor() for _ in range(2)] == [3.0, 1.0]
        assert "rate × 1.5" in served.client.get(f"{served.below}/report.html").text
        ask("1.5")
        served.observer.run_ended(served.growing.run, served.growing.run.summary())
        assert ask("1.5") == 409
        served.observer.run_started(served.growing.run)
        assert served.observer.rate_factor() == 1.0


@pytest.mark.parametrize("load", [{}, {"plan": {"pace": Pace((Segment(30.0, 9.0, 9.0),)).to_json()}, "environment": {"agents": "2"}}])
def test_where_the_rate_can_not_be_changed_the_page_does_not_offer_it(load: dict[str, Any], tmp_path: Path) -> None:
    with serving(growing_run(tmp_path, **load)) as served:
        assert "rate × 1.5" not in served.client.get(f"{served.below}/report.html").text
        answer = served.client.post(f"{served.below}/rate", content="1.5", headers={"Authorization": f"Bearer {served.token}"})
        assert answer.status_code == 409


def test_a_load_that_is_over_can_not_be_stopped(served: Served) -> None:
    served.observer.run_ended(served.growing.run, served.growing.run.summary())
    answer = served.client.post(f"{served.below}/stop", headers={"Authorization": f"Bearer {served.token}"})
    assert answer.status_code == 409
    assert served.observer.stop_requested() == ""


@pytest.mark.parametrize(
    ("path", "status"),
    [("/live?after=x", 400), ("/live?after=1e3", 400), ("/live?after=²", 400), ("/live?after=9999999999", 400), ("/run.json", 404)],
)
def test_bad_questions(served: Served, path: str, status: int) -> None:
    assert served.client.get(served.below + path).status_code == status


@pytest.mark.parametrize("path", ["/nowhere/live", "/%2e%2e/live", "/nowhere/report.html", "/.hidden/live"])
def test_what_is_no_run_has_no_stream(served: Served, path: str) -> None:
    assert served.client.get(path).status_code == 404


def test_another_name_is_refused_everywhere(served: Served) -> None:
    for method, path in (("GET", "/live"), ("POST", "/stop"), ("GET", "/report.html")):
        headers = {"Host": "evil.test", "Authorization": f"Bearer {served.token}"}
        assert served.client.request(method, served.below + path, headers=headers).status_code == 421
    assert served.observer.stop_requested() == ""
