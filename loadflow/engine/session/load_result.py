"""What a load gave, as a value: frozen, typed, of plain parts, so that whatever stores JSON or pickles gives it back equal."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import SeriesSummary
from loadflow.errors import RunError

if TYPE_CHECKING:
    from loadflow.engine.session.execute import Results

__all__ = ["LoadResult"]


@dataclass(frozen=True)
class LoadResult:
    """One load: its verdict and its figures, over all and by name. Every hit is in its folder: `run()`.

    `names` come in the order of first use; their fields say their units. `report_url` is where the HTML report opens, `flow_run_url`
    the flow run's page; "" where there is none. `users_peak` is the most users at once; with several
    engine processes it is an upper bound: the sum of the most that each had within a second.

    >>> load = run_script(script_path="checkout.json", variables={"base": base})  # doctest: +SKIP
    >>> load.verdict, load["GET /items"].latency.p95_ms  # doctest: +SKIP
    (<VerdictKind.PASSED: 'passed'>, 12.4)
    """

    run_id: str
    label: str
    script: str
    target: str
    folder: str
    started_unix_s: float
    duration_s: float
    verdict: VerdictKind
    reasons: tuple[str, ...]  # whole sentences, the deciding one first; empty only for a plain pass
    warnings: tuple[str, ...]
    users_peak: int
    overall: SeriesSummary
    names: tuple[SeriesSummary, ...]
    flow_run_ids: tuple[str, ...] = ()  # those that ran it, the outermost first; () without Prefect
    report_url: str = ""
    flow_run_url: str = ""

    _results = None  # no field: it is part of no comparison, and is not stored

    @classmethod
    def of(cls, run: Run) -> LoadResult:
        """Of a run whose load is over."""
        summary, facts, report = run.summary(), run.facts, run.folder.resolve() / "report.html"
        return cls(
            run_id=facts.id,
            label=facts.label,
            script=facts.script,
            target=facts.target,
            folder=str(run.folder.resolve()),
            started_unix_s=facts.started_unix_s,
            duration_s=summary.duration_s,
            verdict=summary.verdict.kind,
            reasons=tuple(summary.verdict.reasons),
            warnings=tuple(f"{warning.message} {warning.advice}".strip() for warning in summary.warnings),
            users_peak=summary.users_peak,
            overall=summary.overall,
            names=summary.series,
            flow_run_ids=facts.flow_run_ids,
            flow_run_url=facts.flow_run_url,
            report_url=report.as_uri() if report.exists() else "",
        )

    @property
    def passed(self) -> bool:
        return self.verdict is VerdictKind.PASSED

    @property
    def results(self) -> Results | None:
        """What each action of the script gave; None for a load that was stored and read again, or that no script made."""
        return self._results

    def among(self, results: Results) -> LoadResult:
        """The same, with the results of its script."""
        copy = type(self)(**self.__getstate__())
        object.__setattr__(copy, "_results", results)
        return copy

    def __getitem__(self, name: str) -> SeriesSummary:
        """The figures of a name, written alone or after its method. Raises KeyError for one that is not there, or several that are."""
        found = [one for one in self.names if name in (one.name, f"{one.method} {one.name}")]
        if len(found) == 1:
            return found[0]
        known = [f"{one.method} {one.name}" for one in found or self.names]
        if found:
            raise KeyError(f"{name!r} is a name of several methods; say which: {', '.join(known)}")
        close = difflib.get_close_matches(name, [*known, *(one.name for one in self.names)], 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
        raise KeyError(f"{name!r} was not requested; {hint}")

    def run(self) -> Run:
        """Its folder, with every hit. Raises RunError where that is not there: on another machine, or removed."""
        return Run.open(self.folder)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _repr_html_(self) -> str:
        """For a notebook: the verdict, a row per name, and the latencies over time where the folder is there."""
        from loadflow.engine.session.notebook import html_of

        return html_of(self, self._run_if_there())

    def _run_if_there(self) -> Run | None:
        try:
            return self.run() if Path(self.folder).is_dir() else None
        except RunError:
            return None
