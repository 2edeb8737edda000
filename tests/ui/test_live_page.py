"""The page of a load that is going on, in headless Chromium: it paints, its numbers change, it ends as the report, its button works.

Pictures lie in the test's folder, and in LOADFLOW_SCREENSHOTS if that is set.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.cli.running import load, start, steps_script
from tests.targets.fixture import Target
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes]
MOST_WAIT_S = 60


@contextmanager
def live_run(folder: Path, url: str, **keys: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run with its live page, and the address that it prints."""
    action = load(url, **{"test_time": 600, **keys})
    if "rate" in keys:  # says itself when each request is sent
        action[1] = {key: value for key, value in action[1].items() if key not in ("spawn_rate", "wait_time", "user_count")}
    script = steps_script(folder, action)
    process = start(folder, "run", "--live", "--direct", script)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    try:
        address = next(found.group() for line in lines if (found := re.search(r"http://127\S+", line)))
        threading.Thread(target=lambda: list(lines), daemon=True).start()  # so that it never waits for a reader
        yield process, address
    finally:
        process.kill()
        process.communicate()


def picture(page: Page, folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    page.screenshot(path=path, full_page=True, animations="disabled")
    if kept := os.environ.get("LOADFLOW_SCREENSHOTS"):
        shutil.copy(path, Path(kept) / path.name)


def number(page: Page, name: str) -> int:
    text = page.locator(f'[data-live="{name}"]').inner_text()
    return int(text.replace(",", "")) if text != "–" else -1


def pointed_at(page: Page, chart: Locator) -> str:
    """What stands beside the pointer; it may have been on a chart that was just drawn anew."""
    page.mouse.move(0, 0)
    chart.hover()
    return page.locator("#pointer").inner_text()


def test_its_numbers_and_charts_move_until_it_is_the_report(page: Page, target: Target, tmp_path: Path) -> None:
    thresholds = ["p95 < 400 ms", "received_bytes > 1 kB"]
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    with live_run(tmp_path, f"{target.url}/ok", thresholds=thresholds) as (process, address):
        page.goto(address)
        expect(page.get_by_role("heading", name="Running")).to_be_visible()
        expect(page.locator("#live-state")).to_have_text("live")
        expect(page.locator('[data-live="requests"]')).not_to_have_text("–")
        before = number(page, "requests")
        wait_for("a higher number", lambda: number(page, "requests") > before, MOST_WAIT_S)
        chart = page.locator('svg[data-chart="rate"]')
        expect(chart).to_be_visible()
        drawn = chart.inner_html()
        wait_for("the chart drawn anew", lambda: chart.inner_html() != drawn, MOST_WAIT_S)
        expect(page.get_by_role("row", name=re.compile("p95 < 400 ms"))).to_contain_text("passed")
        expect(page.get_by_role("row", name=re.compile("received_bytes"))).to_contain_text("–")
        wait_for("values beside the pointer", lambda: "successes" in pointed_at(page, chart), MOST_WAIT_S)
        page.mouse.move(0, 0)
        picture(page, tmp_path, "live")

        process.send_signal(signal.SIGINT)
        expect(page.get_by_role("heading", name="Interrupted")).to_be_visible()
        expect(page.get_by_role("heading", name="Requests by name")).to_be_visible()
        assert "#" not in page.url
        picture(page, tmp_path, "live-ended")
        assert process.wait(60) == 4
    assert told == []


def test_its_button_ends_the_load(page: Page, target: Target, tmp_path: Path) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    with live_run(tmp_path, f"{target.url}/ok") as (process, address):
        page.goto(address.partition("#")[0])
        expect(page.get_by_text("the address that `loadflow run --live` printed")).to_be_visible()
        expect(page.get_by_role("button", name="Stop the load")).to_be_hidden()
        page.goto("about:blank")
        page.goto(address)
        expect(page.locator('[data-live="requests"]')).not_to_have_text("–")
        page.get_by_role("button", name="Stop the load").click()
        expect(page.get_by_role("heading", name="Interrupted")).to_be_visible()
        expect(page.get_by_text("stopped on the live page").first).to_be_visible()
        assert process.wait(60) == 4


@pytest.mark.long
def test_its_button_makes_the_rate_higher(page: Page, target: Target, tmp_path: Path) -> None:
    with live_run(tmp_path, f"{target.url}/ok", rate=20) as (process, address):
        page.goto(address)
        expect(page.locator('[data-live="requests"]')).not_to_have_text("–")
        page.get_by_role("button", name="rate × 1.5").click()
        expect(page.locator("#live-state")).to_contain_text("the rate becomes × 1.5")
        expect(page.locator('[data-live="rate"]')).to_have_text("30.0/s")
        picture(page, tmp_path, "live-rate")
        process.send_signal(signal.SIGINT)
        expect(page.get_by_text("The rate was changed by hand").first).to_be_visible()
        assert process.wait(60) == 4
