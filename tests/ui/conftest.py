"""Pages of headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.services import need

# the first that is there; Debian's shell is Chromium without a window around the page, which is half of the CPU seconds
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-gpu-rasterization", "--disable-3d-apis"]  # a GPU of software costs more than none
SIZE = {"width": 1280, "height": 860}
PATIENCE_MS = 60_000  # a busy machine may be slow; nothing here waits longer than it has to


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests of the folder: each has a page without anything of the others. Afterwards Playwright leaves no event loop."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    need(program, "Chromium is not installed (Debian: apt-get install chromium-headless-shell)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    for window in new_window(browser):
        yield window.new_page()


def new_window(browser: Browser) -> Iterator[BrowserContext]:
    """Without anything of the others, until its end."""
    context = browser.new_context(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    context.close()
