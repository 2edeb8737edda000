"""What is on disk of a run that is going on, read as it grows: an event for each second, and a page of all there is.

Bounded whatever the run's length but for the events, of which a day has 20 MB; a page has the bins of a report.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from loadflow.engine.base.figures import clock_text, count_text, latency_text, rate_text
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.passes import RateSummary
from loadflow.engine.records.rate_changes import why_rate_stays
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.summary import Summary, summarise
from loadflow.engine.records.threshold import Threshold, ThresholdResult, ThresholdState, decide, parse_expression
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.reports.html import Live, render_live
from loadflow.engine.reports.timeline import Timeline

__all__ = ["Feed"]

WINDOW_S = 5  # seconds that count as "now": a single second varies too much to be read
ALL = SeriesName("", "all")
# of all requests together; what else there is (names, bytes, lateness) is counted from the hits when the load is over
KNOWN = ("count", "requests", "rate", "dropped")
KNOWN_WITHOUT_RETRIES = ("failures", "failure_rate")


class Feed:
    """Follows one run. `events`: one for each second, its index the second, as Server-Sent Events have them.

    Safe to be used from several threads.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.events: list[bytes] = []
        self.timeline = Timeline()
        self._hits = self._failures = 0
        self._paced = run.pace is not None
        self._health = Health()  # the peaks
        self._recent: deque[Histogram] = deque(maxlen=WINDOW_S)
        self._read_bytes = 0
        self._lock = threading.RLock()

    def refresh(self) -> bool:
        """Read what was appended. Whether the run is over: its report is there, or the process that would make it is gone."""
        with self._lock:
            over = not self.run.running and ((self.run.folder / "report.html").exists() or not self.run.held)
            last = None
            for line in self._new_lines():
                if last is not None:
                    self._add(last, shown=False)
                last = SecondRow.from_json(read_json(line))
            if last is not None:
                self._add(last, shown=True)
            return over

    def head(self, *, can_stop: bool, why_no_stop: str) -> str:
        """How each page of this run begins, as far as nothing has to be read for it: up to the banner's end."""
        nothing = Timeline()
        live = Live(-1, can_stop, why_no_stop, not why_rate_stays(self.run))
        return render_live(self._summary(nothing), nothing, live)[0]

    def rest(self, *, can_stop: bool, why_no_stop: str) -> str:
        """What follows on `head`: the report's page, of what was read."""
        with self._lock:
            live = Live(len(self.events) - 1, can_stop, why_no_stop, not why_rate_stays(self.run))
            return render_live(self._summary(self.timeline), self.timeline, live)[1]

    def _summary(self, timeline: Timeline) -> Summary:
        """All requests together, from the seconds so far; the verdict in it says nothing yet."""
        total = timeline.total()
        overall = SeriesTotals(total.succeeded, total.failed)
        totals = Totals({ALL: overall} if timeline.end_s else {}, passes=total.passes, duration_s=float(timeline.end_s))
        return summarise(
            totals,
            duration_s=totals.duration_s,
            runs=[self.run.facts],
            verdict=Verdict(VerdictKind.INCONCLUSIVE, ("the load is still going on",)),
            warnings=(),
            health=[self._health],
            samples={},
            thresholds=[self._decide(one, totals) for one in self.run.thresholds],
            rate=RateSummary.of(totals.passes, totals.duration_s) if self.run.pace else None,
        )

    def _new_lines(self) -> Iterator[bytes]:
        try:
            with open_regular(self.run.folder / "snapshots.ndjson", "rb") as file:
                file.seek(self._read_bytes)
                for line in file:
                    if not line.endswith(b"\n"):  # it is being written
                        break
                    self._read_bytes += len(line)
                    yield line
        except OSError:  # not there yet, or not any more
            return

    def _add(self, row: SecondRow, *, shown: bool) -> None:
        """`shown`: no other second is on disk yet, so this one's event says what a page shows."""
        self.timeline.add(row)
        health = self._health
        self._hits += row.succeeded.count + row.failed.count
        self._failures += row.failed.count
        self._recent.append(Histogram.merged((row.succeeded, row.failed)) if row.failed.count else row.succeeded)
        self._health = replace(
            row.health,
            cpu=max(health.cpu, row.health.cpu),
            lag_ms=max(health.lag_ms, row.health.lag_ms),
            users_peak=max(health.users_peak, row.health.users_peak, row.health.users),
        )
        event = {**self._event(row), **({"shown": self._shown(row)} if shown else {})}
        data = json.dumps(event, separators=(",", ":"))
        self.events.append(f"id: {row.second}\nevent: second\ndata: {data}\n\n".encode())

    def _event(self, row: SecondRow) -> dict[str, object]:
        """The second's own numbers."""
        response = self._recent[-1]
        p50, p95, p99 = (round(value_ns / 1e6, 3) for value_ns in response.quantiles_ns((0.5, 0.95, 0.99)))
        passes = {"due": row.passes.due, "started": row.passes.started, "dropped": row.passes.dropped} if self._paced else {}
        return {
            "second": row.second,
            "requests": response.count,
            "failed": row.failed.count,
            **({"p50_ms": p50, "p95_ms": p95, "p99_ms": p99} if response.count else {}),
            "users": row.health.users,
            "in_flight": row.health.in_flight,
            **passes,
        }

    def _shown(self, row: SecondRow) -> dict[str, str]:
        """What a page shows of the run: all so far, and the last WINDOW_S seconds."""
        now = Histogram.merged(self._recent)
        planned = self.run.facts.planned_s
        return {
            "ran": clock_text(row.second + 1) + (f" of {clock_text(planned)}" if planned else ""),
            "rate": f"{rate_text(now.count / len(self._recent))}/s",
            "p95": latency_text(now.quantile_ns(0.95) / 1e6) if now.count else "–",
            "in_flight": count_text(row.health.in_flight),
            "requests": count_text(self._hits),
            "failed": count_text(self._failures),
        }

    def _decide(self, threshold: Threshold, totals: Totals) -> ThresholdResult:
        """So far. Thresholds that need more than the seconds of all names together are left out."""
        result = decide(threshold, totals, totals.duration_s)
        expression = parse_expression(threshold.expression)
        known = expression.metric in KNOWN or (
            expression.kind == "time" and not expression.timing and not (expression.service and self.run.pace)
        )
        known = known or (expression.metric in KNOWN_WITHOUT_RETRIES and not self.run.plans_retries)
        if known and threshold.name is None and threshold.window is None:
            return result
        return replace(result, state=ThresholdState.INCONCLUSIVE, observed=None, samples=0, note="known when the load is over")
