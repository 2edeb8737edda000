"""The HTML report: true to the summary, safe with any text, small for any run, and whole without a network."""

import dataclasses
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loadflow.engine.base import figures
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.judge import EndReason, RunEnd, Warning_
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.summary import ErrorSummary, SeriesSummary, Summary
from loadflow.engine.records.summing import summary_of
from loadflow.engine.reports.html import render_html, write_html_report
from loadflow.errors import RunError
from tests.builders import Failure, build_run, facts, make_rows
from tests.reports.pages import Page, read_page

NASTY = "</script><img src=x onerror=alert(1)>\"'&<!--\u2028${x}{{ 7*7 }}"
MB = 1_000_000


def page_of(*runs: Run) -> Page:
    return read_page(render_html(summary_of(runs), [row for run in runs for row in run.seconds()]))


@pytest.fixture(scope="module")
def failed_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    sample = {"at_s": 3.25, "user": 7, "request": {"method": "GET", "url": "http://shop.test/items", "headers": {"accept": "*/*"}}}
    failures = [Failure(Outcome.STATUS, "status 503", 503, sample), Failure(Outcome.TIMEOUT, "no answer within 5 s")]
    return build_run(tmp_path_factory.mktemp("failed"), make_rows(5000, failures=2, arrival_rate=True), failures=failures)


def test_the_banner_is_the_verdict_with_its_reasons(failed_run: Run) -> None:
    page, summary = page_of(failed_run), failed_run.summary()
    banner = page.one("section", "banner")
    assert "failed" in (banner.attributes["class"] or "")
    assert summary.verdict.reasons[0] in banner.words
    assert page.one("title").words == "Failed: smoke"


def test_every_number_shown_comes_from_the_summary(failed_run: Run) -> None:
    page, summary = page_of(failed_run), failed_run.summary()
    key = page.one("dl", "figures").words
    overall = summary.overall
    for text in (
        figures.count_text(overall.count),
        f"{figures.rate_text(overall.rate_per_s)}/s",
        figures.percent_text(overall.failure_rate),
        *(
            figures.latency_text(ms)
            for ms in (overall.latency.p50_ms, overall.latency.p95_ms, overall.latency.p99_ms, overall.latency.max_ms)
        ),
        figures.size_text(overall.received_bytes),
        figures.size_text(overall.sent_bytes),
    ):
        assert text in key
    assert figures.latency_text(overall.service.p99_ms) in page.one("p", "meaning").words  # type: ignore[union-attr]
    names = page.one("table", "sortable")
    rows = [row.words for row in page.all("tr") if row.parent and row.parent.tag == "tbody" and row.parent.parent is names]
    assert rows[:3] == [expected_row(one) for one in summary.series]
    assert page.one("tfoot").words == expected_row(overall)
    counts = [one.words for one in page.all("strong", "count")]
    assert counts == [figures.count_text(error.count) for error in summary.errors]


def expected_row(one: SeriesSummary) -> str:
    latency = one.latency
    times = (
        latency.min_ms,
        latency.mean_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p999_ms,
        latency.max_ms,
        *((one.service.p50_ms, one.service.p99_ms) if one.service else ()),
    )
    return "".join(
        (
            one.method,
            one.name,
            figures.count_text(one.count),
            figures.count_text(one.failures),
            figures.percent_text(one.failure_rate),
            figures.rate_text(one.rate_per_s),
            *(figures.latency_text(ms) for ms in times),
            figures.size_text(one.received_bytes),
            figures.size_text(one.sent_bytes),
        )
    )


def test_what_was_tested_stands_on_the_page(failed_run: Run) -> None:
    words = page_of(failed_run).all("dl", "facts")[0].words
    for text in (
        "examples/shop.json",
        "smoke",
        "http://shop.test:8080",
        "fast_http_user · locust",
        "2026-09-21 14:13:20 UTC",
        "planned: 30 s",
    ):
        assert text in words


def test_a_closed_loop_says_what_its_latency_hides(tmp_path: Path) -> None:
    page = page_of(build_run(tmp_path, make_rows(500, failure_rate=0.0)))
    assert "50 users in a closed loop" in page.all("p", "muted")[0].words
    assert "Response time = service time" in page.one("p", "meaning").words
    assert "do not include the waiting" in page.one("p", "meaning").words


def test_an_arrival_rate_says_that_latency_runs_from_due(failed_run: Run) -> None:
    assert "from the moment a request was due" in page_of(failed_run).one("p", "meaning").words


def test_the_charts_name_their_units_and_describe_themselves(failed_run: Run) -> None:
    charts = page_of(failed_run).all("svg", "chart")
    assert [chart.attributes["data-chart"] for chart in charts] == ["rate", "latency", "users", "failures", "distribution"]
    assert all(chart.attributes["role"] == "img" and chart.attributes["aria-label"] for chart in charts)
    for chart, unit in zip(charts, ("requests per second", "response time", "active users", "share of requests", "requests"), strict=True):
        assert unit in chart.words
    assert all("time since the start" in chart.words for chart in charts[:4])


def test_the_values_beside_the_pointer_are_those_of_the_seconds(failed_run: Run) -> None:
    page = page_of(failed_run)
    (data,) = [one for one in page.all("script") if one.attributes.get("type") == "application/json"]
    values = json.loads(data.words)
    seconds = list(failed_run.seconds())
    assert len(values["times"]) == len(seconds) == 30
    rate, latency = ([layer["values"][4] for layer in values["charts"][name]["layers"]] for name in ("rate", "latency"))
    assert rate == [seconds[4].succeeded.count, seconds[4].failed.count]
    whole = Histogram.merged((seconds[4].succeeded, seconds[4].failed))
    assert latency == pytest.approx([whole.quantile_ns(q) / 1e6 for q in (0.5, 0.95, 0.99)], rel=1e-4)


def test_every_table_head_has_a_scope(failed_run: Run) -> None:
    heads = page_of(failed_run).all("th")
    assert heads
    assert all(head.attributes.get("scope") in ("col", "row", "rowgroup") for head in heads)


def test_an_empty_run_is_a_valid_page_that_says_so(tmp_path: Path) -> None:
    page = page_of(build_run(tmp_path, make_rows(0)))
    assert "Inconclusive" in page.one("section", "banner").words
    assert "No hit was recorded, so nothing was tested" in page.one("section", "banner").words
    assert "there is nothing to draw" in page.one("p", "empty").words
    assert not page.all("svg")
    assert not page.all("table")


def test_an_interrupted_run_is_headed_so_and_has_the_hits_that_no_second_holds(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(3000, seconds=7.3), cut_off=True, stored_seconds=5)
    path = write_html_report([run], tmp_path / "made" / "for" / "it" / "report.html")
    page = read_page(path.read_text(encoding="utf-8"))
    assert page.one("title").words.startswith("Interrupted: smoke")
    banner = page.one("section", "banner").words.strip()
    assert banner.startswith("‖")
    assert "Stopped after 7.3 s of 30 s" in banner
    assert "not every second was stored" not in path.read_text(encoding="utf-8")
    (data,) = [one for one in page.all("script") if one.attributes.get("type") == "application/json"]
    values = json.loads(data.words)
    assert len(values["times"]) == 8
    assert values["charts"]["users"]["layers"][0]["values"] == [10, 20, 30, 40, 50, None, None, None]


def test_seconds_that_do_not_hold_every_hit_are_said_to_be_incomplete(failed_run: Run) -> None:
    html = render_html(failed_run.summary(), list(failed_run.seconds())[:3])
    assert "of 5,000 requests, because not every second was stored" in html
    read_page(render_html(failed_run.summary(), []))


def test_several_runs_stand_one_after_another(tmp_path: Path, failed_run: Run) -> None:
    later = build_run(tmp_path / "b", make_rows(900, seconds=9), run_facts=facts(label="second load", started_unix_s=2e9))
    page = read_page(write_html_report([later, failed_run], tmp_path / "r.html").read_text(encoding="utf-8"))
    rate = page.all("svg", "chart")[0]
    assert rate.words.index("smoke") < rate.words.index("second load")
    assert page.all("strong")[0].words == "5,900"


@pytest.mark.parametrize("kind", [EndReason.STOPPED, EndReason.ENGINE_LOST, EndReason.COMPLETED])
def test_hostile_text_anywhere_stays_text(tmp_path: Path, kind: EndReason) -> None:
    sample = {
        NASTY: NASTY,
        "request": {"method": NASTY, "url": NASTY, "headers": {NASTY: NASTY}, "body": NASTY},
        "list": [NASTY, {NASTY: 1}],
    }
    hostile = dict.fromkeys(("id", "label", "script", "folder", "protocol", "engine", "target"), NASTY)
    run = build_run(
        tmp_path,
        make_rows(500, failure_rate=0.2),
        names=[(NASTY, NASTY), ("GET", NASTY), ("", "\ud800")],
        failures=[Failure(Outcome.ASSERTION, NASTY, 200, sample)],
        end=RunEnd(kind, NASTY, 30.0, 3.0),
        run_facts=facts(**hostile, plan={NASTY: [NASTY], "load_shape": NASTY}, environment={NASTY: NASTY}),
    )
    summary = dataclasses.replace(run.summary(), warnings=(Warning_(NASTY, NASTY, NASTY),))
    html = render_html(summary, run.seconds(), title=NASTY)
    page = read_page(html)
    assert not page.all("img")
    assert len(page.all("script")) == 2
    assert not [name for one in page.elements for name in one.attributes if name.startswith("on")]
    assert "49" not in page.one("h1").words, "templates in texts are not run"
    assert page.one("h1").words == NASTY
    assert NASTY in page.all("pre")[0].words
    html.encode("utf-8")
    read_page(write_html_report([run, run], tmp_path / "two.html").read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_anywhere(failed_run: Run) -> None:
    html = render_html(failed_run.summary(), failed_run.seconds())
    page = read_page(html)
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href", "background"):
            assert element.attributes.get(name, "data:,") == "data:,"
        assert "style" not in element.attributes, "the content security policy forbids it"
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page.one("style").words + page.all("script")[1].words)
    policy = next(one.attributes["content"] for one in page.all("meta") if one.attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def long_seconds(count: int) -> Iterator[SecondRow]:
    values = np.random.default_rng(1).lognormal(16, 2, (50, 40)).astype(np.int64)
    rows = []
    for number, own in enumerate(values):
        good, bad = Histogram(), Histogram()
        good.add(own[:30])
        bad.add(own[30:])
        rows.append(SecondRow(0, good, bad, Health(users=number)))
    for second in range(count):
        yield dataclasses.replace(rows[second % 50], second=second)


def worst_summary(run: Run) -> Summary:
    """1,000 names and more, as many errors, with texts that grow when they are escaped, samples larger than anybody promised."""
    summary, noise = run.summary(), random.Random(1)
    one = dataclasses.replace(summary.series[0], failures=5, retries=1)
    quotes = "\"<&>'" * 60
    names = tuple(
        dataclasses.replace(one, name=f"{number}{quotes}"[:300], method=quotes, count=noise.randrange(10**9)) for number in range(1500)
    )
    sample = {
        "request": {"method": "GET", "url": quotes * 99, "headers": {quotes: quotes}, "body": "<" * MB},
        **{str(k): quotes for k in range(99)},
    }
    errors = tuple(ErrorSummary("status", quotes * 2, quotes, f"{number}{quotes}", 7, 0, 1, (sample,) * 9) for number in range(3000))
    fat = dataclasses.replace(summary.runs[0], **dict.fromkeys(("script", "label", "target", "engine", "id", "folder"), "<" * 100000))
    fat = dataclasses.replace(fat, plan={str(k): "<" * 1000 for k in range(3000)}, environment={str(k): "<" * 9000 for k in range(3000)})
    verdict = dataclasses.replace(summary.verdict, reasons=("<" * 9999,) * 999)
    warnings = (Warning_("<" * 9999, "<" * 9999, "<" * 9999),) * 999
    overall = dataclasses.replace(summary.overall, retries=1, late=1)
    return dataclasses.replace(summary, series=names, errors=errors, runs=(fat,) * 300, verdict=verdict, warnings=warnings, overall=overall)


def test_the_worst_run_stays_below_5_mb_and_says_what_it_left_out(failed_run: Run) -> None:
    html = render_html(worst_summary(failed_run), long_seconds(20_000))
    page = read_page(html)
    assert len(html.encode("utf-8")) < 5 * MB
    words = page.one("main").words
    for text in (
        "and 500 more names",
        "and 2,800 more kinds of failure",
        "and 280 more runs",
        "more reasons",
        "and 959 more warnings",
        "more in the run folder",
        "(the first 6,000 of 1,03",
        "shortened; run.json",
        "more values",
        "more; run.json has them all",
        "and 1,201 more names; the summary",
    ):
        assert text in words, text
    (data,) = [one for one in page.all("script") if one.attributes.get("type") == "application/json"]
    assert len(json.loads(data.words)["times"]) <= 240


def test_what_can_not_be_written_is_an_error_with_the_way_out(tmp_path: Path, failed_run: Run) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose a folder that can be written"):
        write_html_report([failed_run], tmp_path / "file" / "report.html")
    with pytest.raises(RunError, match="give at least one run folder"):
        write_html_report([], tmp_path / "report.html")
