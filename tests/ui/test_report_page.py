"""The HTML report in headless Chromium: zoom, values beside the pointer, a name's charts, files; and nothing that its policy forbids."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from loadflow.engine.records.run import Run
from loadflow.engine.records.threshold import Threshold
from loadflow.engine.reports.html import write_html_report
from tests.builders import build_run, facts, make_rows

NAMES = [("GET", "/items"), ("POST", "=1+1"), ("GET", "<b>/search</b>")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "20260921-141320-smoke-1f2e3d4c"
    run = build_run(folder, make_rows(6_000, seconds=60, failure_rate=0.05), names=NAMES, run_facts=facts(planned_s=60.0))
    held = Run(folder, run.facts, shards=1, max_failure_rate=1.0, thresholds=[Threshold("p95 < 60 ms"), Threshold("p99 < 9 s")])
    return write_html_report([held], folder / "report.html")


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    yield page
    page.close()
    assert said == [], "an error, or something that the policy forbids"
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]


def test_a_part_that_is_dragged_over_is_shown_alone_in_all_charts_and_saved_alone(page: Page, tmp_path: Path) -> None:
    drag(page, "rate", 15.3 / 60, 30.3 / 60)
    expect(page.locator("#shown")).to_have_text("0:15 – 0:30")
    for name in ("rate", "latency", "users", "failures", "statuses"):
        ticks = page.locator(f"svg[data-chart={name}] .tick").all_text_contents()
        assert "0:20" in ticks
        assert "0:50" not in ticks
    saved = list(csv.reader(io.StringIO(save(page, "seconds.csv", tmp_path))))
    assert saved[0][:3] == ["from s", "to s", "rate: successes"]
    assert [row[0] for row in saved[1:]] == [str(second) for second in range(15, 31)]
    page.get_by_role("button", name="Show all").click()
    assert "0:50" in page.locator("svg[data-chart=rate] .tick").all_text_contents()
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()


def test_the_keys_zoom_too(page: Page) -> None:
    chart = page.locator("svg[data-chart=latency]")
    chart.focus()
    page.keyboard.press("+")
    expect(page.locator("#shown")).to_have_text("0:15 – 0:45")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#shown")).to_have_text("0:22 – 0:52")
    page.keyboard.press("Escape")
    expect(page.locator("#shown")).to_have_text("")


def test_the_pointer_has_the_second_with_its_values(page: Page) -> None:
    values = json.loads(page.locator("#report-data").text_content() or "")["charts"]["rate"]["layers"]
    chart = page.locator("svg[data-chart=rate]")
    chart.scroll_into_view_if_needed()
    page.mouse.move(*point(page, "rate", 20.5 / 60))
    words = page.locator("#pointer").inner_text().split("\n")
    assert words[0] == "0:20 – 0:21"
    for line, layer in zip(words[1:], values, strict=True):
        label, number = line.rsplit(" ", 1)
        assert label.strip() == layer["label"]
        assert float(number) == pytest.approx(layer["values"][20], rel=0.01)


def test_a_name_opens_its_own_charts_and_closes_them(page: Page) -> None:
    button = page.get_by_role("button", name="<b>/search</b>")
    button.click()
    panel = page.locator("#one-name")
    expect(panel.get_by_role("heading", level=3)).to_have_text("GET <b>/search</b>")
    expect(panel.locator("svg.chart")).to_have_count(3)
    expect(button).to_have_attribute("aria-expanded", "true")
    page.get_by_role("button", name="/items").click()
    expect(panel.get_by_role("heading", level=3)).to_have_text("GET /items")
    expect(panel.locator("svg.chart")).to_have_count(3)
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="/items")).to_be_focused()


def test_the_limit_of_a_threshold_is_a_line_where_it_fits_and_words_where_it_does_not(page: Page) -> None:
    assert page.locator("svg[data-chart=latency] .limit-label").all_text_contents() == ["p95 < 60 ms"]
    expect(page.locator("figure", has=page.locator("svg[data-chart=latency]")).locator("figcaption")).to_contain_text(
        "p99 < 9 s is above the chart"
    )


def test_the_names_are_saved_as_numbers_and_no_text_as_a_formula(page: Page, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(save(page, "names.csv", tmp_path))))
    assert [row["Name"] for row in rows] == ["/items", "'=1+1", "<b>/search</b>", "all"]
    assert sum(int(row["Requests"]) for row in rows[:3]) == 6_000 == int(rows[3]["Requests"])
    whole = json.loads(save(page, "report.json", tmp_path))
    assert whole["in_short"] == (page.locator(".short").text_content() or "").replace("\u00a0", " ")
    assert [one["p95 ms"] for one in whole["names"]] == [float(row["p95 ms"]) for row in rows]
    assert len(whole["seconds"]) == 60


def point(page: Page, chart: str, share: float) -> tuple[float, float]:
    """Where a share of the chart's time axis is on the screen; the axis is from 58 to 536 of 560 (chart.Plot)."""
    box = page.locator(f"svg[data-chart={chart}]").bounding_box()
    assert box is not None
    return box["x"] + (58 + share * (536 - 58)) / 560 * box["width"], box["y"] + box["height"] / 2


def drag(page: Page, chart: str, start: float, end: float) -> None:
    page.locator(f"svg[data-chart={chart}]").scroll_into_view_if_needed()
    page.mouse.move(*point(page, chart, start))
    page.mouse.down()
    page.mouse.move(*point(page, chart, (start + end) / 2))
    page.mouse.move(*point(page, chart, end))
    page.mouse.up()


def save(page: Page, file: str, folder: Path) -> str:
    with page.expect_download() as waiting:
        page.locator(f"button[data-file='{file}']").click()
    waiting.value.save_as(folder / file)
    return (folder / file).read_bytes().decode("utf-8")
