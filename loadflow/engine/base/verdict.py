"""The one judgement of a run, which the report, the exit code and the Prefect state all read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EXIT_CODES", "Verdict", "VerdictKind", "worst"]


class VerdictKind(StrEnum):
    """Ordered from best to worst: a script's verdict is its worst run's."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"  # the numbers can't be trusted or say nothing; never to be read as passed
    FAILED = "failed"  # the target did not do what the script asks of it
    INTERRUPTED = "interrupted"  # the run was ended early; it has results up to then
    ERROR = "error"  # loadflow, its engine or the machine failed

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self]


# 2 is taken: command-line usage, and scripts that can't be run as written
EXIT_CODES = {
    VerdictKind.PASSED: 0,
    VerdictKind.FAILED: 1,
    VerdictKind.INCONCLUSIVE: 3,
    VerdictKind.INTERRUPTED: 4,
    VerdictKind.ERROR: 5,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` are whole sentences, the deciding one first; empty only for a plain pass."""

    kind: VerdictKind
    reasons: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return self.kind.exit_code

    def __str__(self) -> str:
        return f"{self.kind}: {self.reasons[0]}" if self.reasons else str(self.kind)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst kind, with the reasons of all verdicts of that kind; passed when there are none."""
    verdicts = list(verdicts)
    order = list(VerdictKind)
    kind = max((verdict.kind for verdict in verdicts), key=order.index, default=VerdictKind.PASSED)
    reasons = dict.fromkeys(reason for verdict in verdicts if verdict.kind is kind for reason in verdict.reasons)
    return Verdict(kind, tuple(reasons))
