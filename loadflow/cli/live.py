"""The view of a running load: a panel on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadflow.cli.console import print_warning
from loadflow.cli.progress import WINDOW_S, Progress, clock, milliseconds
from loadflow.engine.base.counted import counted
from loadflow.engine.records.judge import asked_too_much
from loadflow.engine.session.observer import Observer

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.snapshot import Snapshot
    from loadflow.engine.records.summary import Summary

__all__ = ["Lines", "Panels", "panel", "view_for"]

LINE_EVERY_S = 5
BUSY_CPU = 0.9  # of one core; the limit that the verdict uses too


def view_for(console: Console) -> Lines | Panels:
    """Panels where the cursor can move, else lines."""
    return Panels(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


class _View(Observer):
    """Folds snapshots into a Progress and shows it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.going: dict[str, Progress] = {}  # by the id of the run; several of a test with populations

    def run_started(self, run: Run) -> None:
        facts = run.facts
        self.going[facts.id] = Progress(facts.label or facts.script or facts.id, facts.target, facts.planned_s)
        if warning := asked_too_much(run.ceiling):
            print_warning(self.console, warning)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self.going[run.facts.id].add(snapshot)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self.going.pop(run.facts.id, None)

    def close(self) -> None:
        """Give the terminal back; safe to call at any time and more than once."""


class Lines(_View):
    """A line when the load starts and one every LINE_EVERY_S seconds of load."""

    def run_started(self, run: Run) -> None:
        super().run_started(run)
        facts = run.facts
        planned = f" for {facts.planned_s:g} s" if facts.planned_s else ""
        made = f"; made by Locust, as {facts.why_not_native}" if facts.why_not_native else ""
        self._print(f"{self.going[facts.id].label}: {counted(facts.users, 'user')} on {facts.target}{planned}{made}")

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        super().snapshot(run, snapshot)
        progress = self.going[run.facts.id]
        if progress.ran_s % LINE_EVERY_S == 0:
            self._print(progress.line())

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class Panels(_View):
    """A panel that is drawn again in place; what others print meanwhile goes above it."""

    def __init__(self, console: Console, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console)
        self._clock_s = clock_s
        self._second_at_s: float | None = None  # when the last complete second came in
        self._live: Live | None = None

    def run_started(self, run: Run) -> None:
        super().run_started(run)
        self._second_at_s = None
        if self._live is not None:
            return
        # transient: the table at the end says it all again, and better
        self._live = Live(console=self.console, get_renderable=self._panels, refresh_per_second=4, transient=True)
        self._live.start()

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        super().snapshot(run, snapshot)
        self._second_at_s = self._clock_s()

    def run_ended(self, run: Run, summary: Summary) -> None:
        super().run_ended(run, summary)
        if not self.going:
            self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _panels(self) -> Group:
        since_s = 0.0 if self._second_at_s is None else self._clock_s() - self._second_at_s
        return Group(*(panel(one, one.ran_s + min(since_s, 1.0)) for one in list(self.going.values())))


def panel(progress: Progress, elapsed_s: float) -> Panel:
    """The live panel. `elapsed_s` moves the bar between two snapshots."""
    planned_s = progress.planned_s
    bar = Table.grid(padding=(0, 2), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    ran = min(elapsed_s, planned_s) if planned_s else elapsed_s
    bar.add_row(
        ProgressBar(total=planned_s, completed=ran, pulse=planned_s is None),
        f"{clock(ran)} of {clock(planned_s)}" if planned_s else clock(ran),
    )
    p50, p95, p99 = (milliseconds(value) for value in progress.latencies_ms())
    health = progress.health
    figures = Table.grid(padding=(0, 3))
    for _ in range(4):
        figures.add_column(no_wrap=True)
    busy = "bold red" if health.cpu >= BUSY_CPU else ""
    figures.add_row(
        _figure("hits/s", f"{progress.rate_per_s:,.0f}"),
        _figure("users", f"{health.users:,}"),
        _figure("p50", p50, "ms"),
        _figure("hits", f"{progress.hits:,}"),
    )
    figures.add_row(
        _figure("failed", f"{progress.failures:,}", style="bold red" if progress.failures else ""),
        _figure("in flight", f"{health.in_flight:,}"),
        _figure("p95", p95, "ms"),
        _figure("generator", f"{health.cpu:.0%}", "cpu", style=busy),
    )
    dropped = _figure("dropped", f"{progress.passes.dropped:,}", style="bold red" if progress.passes.dropped else "")
    figures.add_row(dropped if progress.passes.due else "", "", _figure("p99", p99, "ms"), Text(f"last {WINDOW_S} s", style="dim"))
    parts: list[Table | Text] = [bar, figures]
    if progress.errors:
        errors = sorted(progress.errors.items(), key=lambda item: -item[1])
        parts.append(Text("errors: " + ", ".join(f"{count:,} {kind}" for kind, count in errors[:5]), style="red"))
    title = f"{progress.label} · {progress.target}" if progress.target else progress.label
    return Panel(
        Group(*parts), title=Text(title), title_align="left", subtitle="Ctrl-C ends the load; results are kept", subtitle_align="right"
    )


def _figure(name: str, value: str, unit: str = "", style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style or "bold"), (f" {unit}" if unit else "", "dim"))
