"""Prefect's pages (v2) as a person clicks through them: a click that is lost on a busy machine is done again, one that worked never is."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, Request, Response, expect

from tests.ends.processes import Stage
from tests.prefect_servers import ASK_S
from tests.waiting import wait_for

__all__ = ["Site"]

PATIENCE_S = 60.0
AGAIN_AFTER_S = 8.0  # of a page at rest, with no request of the click on its way
LOOK_MS = 250
TOAST = "[data-sonner-toast]"  # the library that Prefect's pages show their short messages with


class Site:
    """Where a person clicks, by what is written there."""

    def __init__(self, page: Page, on: Stage) -> None:
        self._page = page
        self._on = on
        self._base = on.server.url.removesuffix("/api") + "/v2"
        self._known: set[str] = set()
        self._waiting: list[Request] = []  # what the page asked and has no answer to
        self._refused: list[str] = []
        self._toasts: list[str] = []
        page.on("request", lambda request: self._waiting.append(request))
        page.on("requestfinished", self._answered)
        page.on("requestfailed", self._answered)
        page.on("response", self._heard)

    def press(self, what: str, click: Callable[[], None], came: Callable[[], bool]) -> None:
        """Clicks, and clicks again when the page is at rest and nothing came of it; what came of it stays single.

        `click` may be several clicks, each of which may find that the one before has led on already.
        """
        until = time.monotonic() + PATIENCE_S
        self._page.wait_for_load_state("networkidle")
        while time.monotonic() < until:
            try:
                click()
            except Error as error:  # not there, or gone since: by a click that worked after all
                self._refused.append(str(error).splitlines()[0])
            if self._comes(came):
                return
        raise AssertionError(f"{what}: nothing came of it within {PATIENCE_S:g} s. {self._said()}")

    def _comes(self, came: Callable[[], bool]) -> bool:
        at_rest_since = time.monotonic()
        while time.monotonic() - at_rest_since < AGAIN_AFTER_S:
            if came():
                return True
            if any(request.method != "GET" for request in self._waiting):
                at_rest_since = time.monotonic()
            self._note_toasts()
            self._page.wait_for_timeout(LOOK_MS)
        return came()

    def _answered(self, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)

    def _heard(self, response: Response) -> None:
        if response.status >= 400:
            self._refused.append(f"{response.status} {response.request.method} {response.url}")

    def _note_toasts(self) -> None:
        self._toasts += [text for text in self._page.locator(TOAST).all_inner_texts() if text not in self._toasts]

    def _said(self) -> str:
        refused = "; ".join(dict.fromkeys(self._refused)) or "nothing"
        return f"The page is {self._page.url}; its messages: {' | '.join(self._toasts) or 'none'}; what went wrong below: {refused}"

    # -- pages

    def open(self, url: str) -> None:
        self._page.goto(url)

    def open_deployment(self, name: str) -> None:
        self.open(f"{self._base}/deployments")
        self.follow(self._page.get_by_role("link", name=name).first)

    def follow(self, link: Locator) -> None:
        """A link within the site, until the address says that it was followed."""
        before = self._page.url
        self.press("a link", lambda: link.click(timeout=PATIENCE_S * 1000), lambda: self._page.url != before)

    def choose_run(self, kind: str) -> None:
        self._known = self._runs()
        before = self._page.url
        self.press(kind, lambda: self._choose(self._button("Run"), kind), lambda: bool(self._new_runs()) or self._page.url != before)

    def choose(self, button: str, item: str, came: Callable[[], bool]) -> None:
        self.press(item, lambda: self._choose(self._button(button), item), came)

    def _button(self, name: str) -> Locator:
        return self._page.get_by_role("main").get_by_role("button", name=name, exact=True)

    def _choose(self, button: Locator, name: str) -> None:
        item = self._page.get_by_role("menuitem", name=name)
        if not item.is_visible():  # a menu that is open would be closed
            button.click()
        item.click(timeout=AGAIN_AFTER_S * 1000)

    def submit(self) -> None:
        self._known = self._runs()
        button = self._page.get_by_role("button", name="Submit")
        self.press("Submit", lambda: button.click(timeout=PATIENCE_S * 1000), lambda: bool(self._new_runs()))

    def submit_in_vain(self, field: str) -> None:
        """The page names the field, and no run is made."""
        known = self._runs()
        message = self._page.get_by_text(re.compile(f"{field}.*required", re.IGNORECASE)).first
        button = self._page.get_by_role("button", name="Submit")
        self.press("Submit", lambda: button.click(timeout=PATIENCE_S * 1000), message.is_visible)
        assert self._runs() == known

    def open_new_run(self) -> None:
        """From the page of the deployment, which lists it as soon as there is one."""
        (new,) = wait_for("a flow run", lambda: self._new_runs() or None, PATIENCE_S, every_s=ASK_S)
        self.follow(self._page.locator(f'main a[href*="/runs/flow-run/{new}"]').first)

    def _new_runs(self) -> set[str]:
        return self._runs() - self._known

    def _runs(self) -> set[str]:
        return {run["id"] for run in self._on.server.ask("POST", "/flow_runs/filter", {})}

    def cancel(self) -> None:
        """The run whose page is open."""
        run = self._page.url.rpartition("/")[2].partition("?")[0]

        def state() -> str:
            return str(self._on.server.ask("GET", f"/flow_runs/{run}")["state"]["name"])

        confirm = self._page.get_by_role("alertdialog").get_by_role("button", name="Cancel Flow Run")
        self.choose("Open menu", "Cancel", confirm.is_visible)
        self.press("Cancel Flow Run", lambda: confirm.click(timeout=AGAIN_AFTER_S * 1000), lambda: state().startswith("Cancel"))

    def open_tab(self, name: str) -> None:
        tab = self._page.get_by_role("tab", name=name)
        self.press(name, tab.click, lambda: tab.get_attribute("aria-selected") == "true")

    def open_artifact(self, key: str) -> None:
        """The newest of a key: its page lists the versions, each opens by its id."""
        self.open(f"{self._base}/artifacts/key/{key}")
        self.follow(self._page.locator('main a[href*="/artifacts/artifact/"]').first)

    def open_in_new_tab(self, link: Locator) -> Page:
        opened: list[Page] = []
        self._page.context.on("page", lambda page: opened.append(page))
        self.press("a link to a new tab", lambda: link.click(modifiers=["Control"]), lambda: bool(opened))
        opened[0].wait_for_load_state()
        return opened[0]

    # -- what is there

    def told(self, key: str) -> str:
        """The words of the newest artifact of a key; none yet: empty."""
        found = self._on.server.ask("POST", "/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
        return str(found[0]["description"]) if found else ""

    def state(self, name: str) -> Locator:
        return self._page.get_by_role("main").get_by_text(name, exact=True).first

    def write(self, editor: Locator, text: str) -> None:
        """Into an editor of code, in place of what is there."""

        def typed() -> None:
            editor.click()
            self._page.keyboard.press("Control+A")
            self._page.keyboard.insert_text(text)

        self.press("typing", typed, lambda: editor.inner_text().strip() == text)
        expect(editor).to_have_text(text)

    def picture(self, name: str, *, whole: bool = False) -> None:
        self._page.wait_for_load_state("networkidle")
        path = self._on.folder / f"{name}.png"
        self._page.screenshot(path=path, full_page=whole, animations="disabled")
        if folder := os.environ.get("LOADFLOW_SCREENSHOTS"):
            shutil.copy(path, Path(folder) / path.name)
