"""Prefect's pages as a person uses them, in headless Chromium: a run from the form, its progress, its story, its report, its end by hand.

Pictures of each station lie in the test's folder, and in LOADFLOW_SCREENSHOTS if that is set; docs/images/ has them from there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.ends.deploying import deploy, project_file
from tests.ends.processes import PrefectServer, Stage, free_port, stage, wait_for
from tests.services import need
from tests.targets.fixture import Target

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.timeout(400)]

SIZE = {"width": 1280, "height": 860}
PATIENCE_MS = 60_000  # a busy machine may be slow; nothing here waits longer than it has to


@pytest.fixture
def page() -> Iterator[Page]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    need(program, "Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def on(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server with its UI, the deployment `ad-hoc` of prefect.yaml, a worker, and the reports served."""
    target.reset()
    folder = tmp_path_factory.mktemp("pages")
    home = folder / "home"
    home.mkdir()
    server = PrefectServer(home, ui=True)
    port = free_port()
    settings = {"LOADFLOW_REPORTS_URL": f"http://127.0.0.1:{port}", "PREFECT_LOGGING_TO_API_ENABLED": "true"}
    with stage(server, target, folder, f"pages-{os.getpid()}") as made:
        made.settings.update(settings)
        document = project_file()
        document["deployments"] = [one for one in document["deployments"] if one["name"] == "ad-hoc"]
        document["deployments"][0]["parameters"] = {"script_path": str(folder / "script.json")}
        deploy(made, document)
        made.runs_dir.mkdir()
        made.start_reports(port)
        made.start_worker(made.name)
        yield made
    server.stop()


def test_a_person_runs_a_load_test_from_the_form_and_reads_its_story(page: Page, on: Stage) -> None:
    step = {"method": "get", "request_url": on.target.url + "/ok?${var.page}", "name": "the page"}
    write_script(on, on.script(test_time=12, tasks=[step]))
    site = Site(page, on)
    site.open_deployment("ad-hoc")
    site.choose_run("Custom run")
    page.get_by_role("textbox", name="label (Optional)").fill("checkout")
    expect(page.get_by_text("A script file on the machine that runs the flow")).to_be_visible()
    write(page, page.locator(".cm-content").first, '{"page": "from-the-form"}')
    site.picture("form")
    page.get_by_role("button", name="Submit").click()
    site.open_new_run()

    expect(site.state("Running")).to_be_visible()
    run_page = page.url
    wait_for("progress with numbers", lambda: "users" in site.told("loadflow-checkout-progress"), 60)
    page.reload()  # a tab shows what there was when it was opened
    site.open_tab("Artifacts")
    expect(page.get_by_text(re.compile(r"^0:\d\d of 0:12 · \d users? · .* · 0 failed \(0 %\)$")).first).to_be_visible()
    site.picture("progress")

    site.open(run_page)
    expect(site.state("Completed")).to_be_visible()
    site.open_tab("Artifacts")
    expect(page.get_by_role("heading", name="loadflow-checkout-names")).to_be_visible()
    site.picture("artifacts")

    site.open_artifact("loadflow-checkout")
    expect(page.get_by_role("heading", name="passed").last).to_be_visible()
    expect(page.get_by_role("cell", name="the page").first).to_be_visible()
    for chart in page.get_by_role("main").locator('img[src^="data:image/svg+xml"]').all():
        assert chart.evaluate("image => image.complete && image.naturalWidth > 100"), "a chart that does not show"
    assert page.get_by_role("main").locator('img[src^="data:image/svg+xml"]').count() >= 1
    site.picture("story", whole=True)

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="HTML report").first.click(modifiers=["Control"])
    report = opened.value
    report.wait_for_load_state()
    assert report.url.startswith(on.settings["LOADFLOW_REPORTS_URL"]), report.url
    expect(report.get_by_text("passed", exact=False).first).to_be_visible()
    expect(report.get_by_text("the page").first).to_be_visible()
    Site(report, on).picture("report")
    report.close()

    site.open_artifact("loadflow-checkout-names")
    expect(page.get_by_text("the page").first).to_be_visible()
    assert [record for record in on.target.records("/ok") if record.target.endswith("?from-the-form")]


def test_a_person_cancels_a_run(page: Page, on: Stage) -> None:
    write_script(on, on.script(test_time=300))
    site = Site(page, on)
    site.open_deployment("ad-hoc")
    site.choose_run("Quick run")
    site.open_new_run()
    on.wait_for_load()
    expect(site.state("Running")).to_be_visible()

    page.get_by_role("main").get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name="Cancel").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel Flow Run").click()
    expect(site.state("Cancelled")).to_be_visible()
    on.no_engine(within_s=60)
    silent_from = len(on.arrivals_ns())
    site.open_artifact("loadflow-script")
    expect(page.get_by_role("heading", name="interrupted").last).to_be_visible()
    site.picture("cancelled")
    assert len(on.arrivals_ns()) == silent_from


def write_script(on: Stage, script: list[Any]) -> None:
    (on.folder / "script.json").write_text(json.dumps(script))


def write(page: Page, editor: Locator, text: str) -> None:
    """Into an editor of code, in place of what is there."""
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    expect(editor).to_have_text(text)


class Site:
    """Where a person clicks, by what is written there."""

    def __init__(self, page: Page, on: Stage) -> None:
        self._page = page
        self._on = on
        self._base = on.server.url.removesuffix("/api") + "/v2"
        self._known: set[str] = set()

    def open(self, url: str) -> None:
        self._page.goto(url)

    def open_deployment(self, name: str) -> None:
        self.open(f"{self._base}/deployments")
        self._page.get_by_role("link", name=name).first.click()

    def choose_run(self, kind: str) -> None:
        self._known = self._runs()
        self._page.get_by_role("button", name="Run", exact=True).click()
        self._page.get_by_role("menuitem", name=kind).click()

    def open_new_run(self) -> None:
        """From the page of the deployment, which lists it as soon as there is one."""
        (new,) = wait_for("a flow run", lambda: self._runs() - self._known or None, 60)
        self._page.locator(f'main a[href*="/runs/flow-run/{new}"]').first.click()

    def _runs(self) -> set[str]:
        return {run["id"] for run in self._on.server.ask("POST", "/flow_runs/filter", {})}

    def open_tab(self, name: str) -> None:
        self._page.get_by_role("tab", name=name).click()

    def open_artifact(self, key: str) -> None:
        """The newest of a key: its page lists the versions, each opens by its id."""
        self.open(f"{self._base}/artifacts/key/{key}")
        self._page.locator('main a[href*="/artifacts/artifact/"]').first.click()

    def told(self, key: str) -> str:
        """The words of the newest artifact of a key; none yet: empty."""
        found = self._on.server.ask("POST", "/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
        return str(found[0]["description"]) if found else ""

    def state(self, name: str) -> Locator:
        return self._page.get_by_role("main").get_by_text(name, exact=True).first

    def picture(self, name: str, *, whole: bool = False) -> None:
        self._page.wait_for_load_state("networkidle")
        path = self._on.folder / f"{name}.png"
        self._page.screenshot(path=path, full_page=whole, animations="disabled")
        if folder := os.environ.get("LOADFLOW_SCREENSHOTS"):
            shutil.copy(path, Path(folder) / path.name)
