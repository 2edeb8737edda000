"""What running a script gave, in the form that the table, the JSON document and the exit code are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.records.run import Run
from loadflow.engine.records.summing import summary_of

if TYPE_CHECKING:
    from loadflow.engine.base.redact import Redactor
    from loadflow.engine.session.execute import ActionResult

__all__ = ["ActionOutcome", "ScriptOutcome", "document_of"]

DOCUMENT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """One action that was run. `error` is "" where it went well; `written` is the file it wrote, if it writes one."""

    name: str
    error: str = ""
    written: Path | None = None

    @classmethod
    def of(cls, result: ActionResult, redactor: Redactor) -> ActionOutcome:
        if result.error is not None:
            return cls(result.action.name, redactor.text(str(result.error) or type(result.error).__name__))
        is_report = result.action.name.endswith("_report") and isinstance(result.value, str) and result.value != ""
        written = result.value if is_report else result.value.get("page") if isinstance(result.value, Mapping) else None
        return cls(result.action.name, written=Path(written) if isinstance(written, str) else None)

    def to_json(self) -> dict[str, object]:
        return {"action": self.name, "ok": not self.error, "error": self.error or None}


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """`source` is the script's file, or its name where it has none."""

    source: str
    verdict: Verdict
    runs: tuple[Run, ...] = ()
    actions: tuple[ActionOutcome, ...] = field(default=())

    def places(self) -> list[tuple[str, Path]]:
        """What was written, and where: reports that the script asked for, then each run's folder with its own report."""
        places = [("report", action.written) for action in self.actions if action.written]
        for run in self.runs:
            report = run.folder / "report.html"
            if report.exists():
                places.append(("report", report))
            places.append(("run folder", run.folder))
        return places

    def to_json(self) -> dict[str, object]:
        return {
            "script": self.source,
            "verdict": verdict_json(self.verdict),
            "actions": [action.to_json() for action in self.actions],
            "runs": [str(run.folder) for run in self.runs],
            "reports": [str(path) for what, path in self.places() if what == "report"],
        }


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """As `Summary.to_json` has it."""
    return {
        "verdict": str(verdict.kind),
        "passed": verdict.kind is VerdictKind.PASSED,
        "reasons": list(verdict.reasons),
        "exit_code": verdict.exit_code,
    }


def document_of(outcomes: Sequence[ScriptOutcome]) -> dict[str, object]:
    """What `--json` prints: one verdict over all scripts, each script's own, and one summary of all runs (None: no load ran)."""
    runs = [run for outcome in outcomes for run in outcome.runs]
    return {
        "format": "loadflow-result",
        "version": DOCUMENT_VERSION,
        "verdict": verdict_json(worst(outcome.verdict for outcome in outcomes)),
        "scripts": [outcome.to_json() for outcome in outcomes],
        "summary": summary_of(runs).to_json() if runs else None,
    }
