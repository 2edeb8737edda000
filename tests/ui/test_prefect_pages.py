"""Prefect's pages as a person uses them, in headless Chromium: a run from the form, its progress, its story, its report, its end by hand.

Pictures of each station lie in the test's folder, and in LOADFLOW_SCREENSHOTS if that is set; docs/images/ has them from there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ends.deploying import deploy, project_file, python
from tests.ends.processes import Stage, stage
from tests.prefect_servers import ASK_S, PrefectServer
from tests.services import free_port
from tests.targets.fixture import Target
from tests.ui.conftest import new_window
from tests.ui.site import Site
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect]


# nothing moves, and the picture of a flow's tasks is drawn five times a second: a page of a run takes a quarter of a core otherwise
STILL = """
const timers = new Map();
let last = 0;
window.requestAnimationFrame = (draw) => {
    const id = ++last;
    timers.set(id, setTimeout(() => { timers.delete(id); draw(performance.now()); }, 200));
    return id;
};
window.cancelAnimationFrame = (id) => { clearTimeout(timers.get(id)); timers.delete(id); };
document.addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = "*, *::before, *::after { animation: none !important; transition: none !important; }";
    document.head.append(style);
});
"""


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests, as a person has it: the pages' five megabytes of code are read once."""
    for window in new_window(browser):
        window.add_init_script(STILL)
        yield window


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    page = window.new_page()
    yield page
    page.close()


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
    site.write(page.locator(".cm-content").first, '{"page": "from-the-form"}')
    site.picture("form")
    site.submit()
    site.open_new_run()

    expect(site.state("Running")).to_be_visible()
    run_page = page.url
    wait_for("progress with numbers", lambda: "users" in site.told("loadflow-checkout-progress"), 60, every_s=ASK_S)
    page.reload()  # a tab shows what there was when it was opened
    site.open_tab("Artifacts")
    expect(page.get_by_text(re.compile(r"^0:\d\d of 0:12 · \d users? · .* · 0 failed \(0 %\)$")).first).to_be_visible()
    site.picture("progress")

    site.open(run_page)
    expect(site.state("Completed")).to_be_visible()
    site.open_tab("Artifacts")
    expect(page.get_by_role("heading", name="loadflow-checkout", exact=True).first).to_be_visible()
    site.picture("artifacts")

    site.open_artifact("loadflow-checkout")
    expect(page.get_by_role("heading", name="passed").last).to_be_visible()
    expect(page.get_by_role("cell", name="the page").first).to_be_visible()
    charts = page.get_by_role("main").locator('img[src^="data:image/svg+xml"]')
    expect(charts.first).to_be_visible()
    for chart in charts.all():
        page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=chart.element_handle())
    site.picture("story", whole=True)

    report = site.open_in_new_tab(page.get_by_role("link", name="HTML report").first)
    assert report.url.startswith(on.settings["LOADFLOW_REPORTS_URL"]), report.url
    expect(report.get_by_text("passed", exact=False).first).to_be_visible()
    expect(report.get_by_text("the page").first).to_be_visible()
    Site(report, on).picture("report")
    report.close()

    assert [record for record in on.target.records("/ok") if record.target.endswith("?from-the-form")]


@pytest.mark.long
def test_a_person_cancels_a_run(page: Page, on: Stage) -> None:
    write_script(on, on.script(test_time=300))
    site = Site(page, on)
    site.open_deployment("ad-hoc")
    site.choose_run("Quick run")
    site.open_new_run()
    on.wait_for_load()
    expect(site.state("Running")).to_be_visible()

    site.cancel()
    expect(site.state("Cancelled")).to_be_visible()
    on.no_engine(within_s=60)
    silent_from = len(on.arrivals_ns())
    site.open_artifact("loadflow-script")
    expect(page.get_by_role("heading", name="interrupted").last).to_be_visible()
    site.picture("cancelled")
    assert len(on.arrivals_ns()) == silent_from


@pytest.mark.long
def test_a_person_fills_the_form_that_a_script_was_deployed_with(page: Page, on: Stage) -> None:
    test = on.script(test_time=1, host="${var.base}", user_count="${var.users}")[0]
    test[1]["tasks"] = [{"name": "the page", "method": "get", "request_url": "/ok?${var.goods}"}]
    variables = {
        "base": {"description": "Where the shop answers, e.g. https://shop.test.example"},
        "users": {"default": 2, "min": 1, "max": 5, "description": "How many buy at the same time"},
        "goods": {"default": "books", "choices": ["books", "records"], "description": "What they buy"},
        "strict": {"default": False, "description": "Whether a slow answer is a failure"},
    }
    document = {"description": "Some users buy.", "variables": variables, "load_density": [test]}
    (on.folder / "buy.json").write_text(json.dumps(document))
    python(on, "-m", "loadflow", "deploy", "buy.json", "--work-pool", on.name, "--from", "embedded")
    site = Site(page, on)
    site.open_deployment("buy")
    site.choose_run("Custom run")
    expect(page.get_by_text("Where the shop answers, e.g. https://shop.test.example.")).to_be_visible()
    expect(page.get_by_text("${secret.NAME}").first).to_be_visible()
    site.picture("deployed-form", whole=True)

    site.submit_in_vain("base")
    site.picture("deployed-form-refused")
    page.get_by_label("base").fill(on.target.url)
    site.submit()
    site.open_new_run()
    expect(site.state("Completed")).to_be_visible()
    assert [record for record in on.target.records("/ok") if record.target.endswith("?books")]


def write_script(on: Stage, script: list[Any]) -> None:
    (on.folder / "script.json").write_text(json.dumps(script))
