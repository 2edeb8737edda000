"""What was asked of the target and of the world around it while a load ran: thresholds by PromQL, conditions, and their answers.

watched.json of a run's folder has the questions, target.ndjson a line for each answer.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import counted
from loadflow.engine.base.disk import told_disk
from loadflow.engine.base.figures import clock_text
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.base.private import opener
from loadflow.engine.base.regular_file import open_regular, read_regular
from loadflow.engine.base.typed import typed
from loadflow.engine.records.threshold import ThresholdResult, ThresholdState

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = [
    "ANSWERS",
    "WATCHED",
    "Answer",
    "AnswerLog",
    "Bound",
    "Condition",
    "TargetCurve",
    "TargetThreshold",
    "Watched",
    "answers_of",
    "condition_doubts",
    "curves_of",
    "decide_target",
    "parse_bound",
    "target_results",
    "watched_of",
    "worst_of",
]

WATCHED, ANSWERS = "watched.json", "target.ndjson"
FORMAT, VERSION = "loadflow-watched", 1
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_BOUND = re.compile(r"\s*(?P<operator><=|>=|==|!=|<|>)\s*(?P<limit>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
MOST_MISSING = 0.1  # of the answers since the first one: with more of them missing, nothing can be said


@dataclass(frozen=True, slots=True)
class Bound:
    """What a value must be, such as `< 0.8`."""

    operator: str
    limit: float

    def holds(self, value: float) -> bool:
        return OPERATORS[self.operator](value, self.limit)

    def worst(self, values: Iterable[float]) -> float:
        """The value that is furthest on the wrong side; of `==` and `!=` one that does not hold, if there is one."""
        found = list(values)
        if self.operator in ("<", "<="):
            return max(found)
        if self.operator in (">", ">="):
            return min(found)
        return next((value for value in found if not self.holds(value)), found[0])


def parse_bound(text: str) -> Bound:
    """Raises ValueError, whose two arguments are what is wrong and the way out.

    >>> parse_bound("<= 0.8")
    Bound(operator='<=', limit=0.8)
    """
    match = _BOUND.fullmatch(text)
    try:
        return Bound(match["operator"], float(match["limit"]))  # type: ignore[index]  # no match is a TypeError
    except (TypeError, ValueError):
        raise ValueError(f"{text[:60]!r} is not a bound", "write an operator and a number, such as < 0.8, >= 3 or == 1") from None


@dataclass(frozen=True, slots=True)
class TargetThreshold:
    """A threshold on what Prometheus knows of the target. `title`: what people call it, else the query. `over`: "every" answer must hold,
    or their "mean", or the "last". `window` in seconds since the load began; None: all of it.
    """

    promql: str
    bound: str
    title: str = ""
    over: str = "every"
    window: tuple[float, float] | None = None
    abort_on_fail: bool = False
    abort_delay_s: float = 10.0

    @property
    def expression(self) -> str:
        return f"{' '.join((self.title or self.promql).split())} {self.bound}"

    @property
    def scope(self) -> str:
        when = f" from {self.window[0]:g} s to {self.window[1]:g} s" if self.window else ""
        return f"of the target{'' if self.over == 'every' else f', {self.over} value'}{when}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `only_if`, as it was written, in words; `reaction`: what a load does while it does not hold: end, pause or shrink."""

    text: str
    reaction: str = "end"


@dataclass(frozen=True, slots=True)
class Watched:
    """`prometheus`: its address, without a user; `every_s`: how often each question is asked."""

    prometheus: str = ""
    every_s: float = 5.0
    thresholds: tuple[TargetThreshold, ...] = ()
    only_if: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind`: "threshold" or "condition", and `number`: which of them. `values`: by the labels of each series; of a threshold that got no
    answer None, and `why`. `holds`: whether the condition does; None: it could not be asked.
    """

    at_s: float
    kind: str
    number: int
    values: JsonMapping | None = None
    why: str = ""
    holds: bool | None = None


class AnswerLog:
    """Keeps questions and answers in a run's folder."""

    def __init__(self, folder: Path, watched: Watched) -> None:
        self._folder = folder
        with told_disk(folder):
            write_atomically(folder / WATCHED, json.dumps({"format": FORMAT, "version": VERSION, **asdict(watched)}, indent=2))
            self._file = open(folder / ANSWERS, "a", encoding="utf-8", buffering=1, opener=opener)  # noqa: SIM115  open as long as the load

    def add(self, answer: Answer) -> None:
        self._file.write(json.dumps(asdict(answer), separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def watched_of(folder: Path) -> Watched:
    """With no questions where the run had none."""
    try:
        return typed(Watched, read_json(read_regular(folder / WATCHED)), WATCHED)
    except (OSError, ValueError):
        return Watched()


def answers_of(folder: Path) -> list[Answer]:
    """In the order of their times: those that were asked for again later stand at their time."""
    found: dict[tuple[str, int, float], Answer] = {}
    try:
        with open_regular(folder / ANSWERS, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    one = typed(Answer, read_json(line), ANSWERS)
                    found[one.kind, one.number, one.at_s] = one
    except (OSError, ValueError):
        pass  # the last line may be torn
    return sorted(found.values(), key=lambda one: one.at_s)


def worst_of(threshold: TargetThreshold, answer: Answer) -> float | None:
    """Of the series of one answer, the value that decides; None where it has none."""
    known = [float(value) for value in (answer.values or {}).values() if math.isfinite(float(value))]
    return parse_bound(threshold.bound).worst(known) if known else None


@dataclass(frozen=True, slots=True)
class TargetCurve:
    """What Prometheus said of the target over the time of a load: (seconds, value). The limit is what `label` says."""

    title: str
    label: str
    limit: float
    every_s: float
    points: tuple[tuple[float, float], ...]


def curves_of(run: Run) -> list[TargetCurve]:
    """One for each threshold on the target that has values."""
    watched = watched_of(run.folder)
    answers = answers_of(run.folder) if watched.thresholds else []
    found = []
    for number, one in enumerate(watched.thresholds):
        own = (answer for answer in answers if (answer.kind, answer.number) == ("threshold", number))
        points = tuple((answer.at_s, value) for answer in own if (value := worst_of(one, answer)) is not None)
        if points:
            found.append(TargetCurve(one.title or one.promql, one.bound, parse_bound(one.bound).limit, watched.every_s, points))
    return found


def target_results(run: Run) -> Iterator[ThresholdResult]:
    watched = watched_of(run.folder)
    if not watched.thresholds:
        return
    answers = answers_of(run.folder)
    for number, threshold in enumerate(watched.thresholds):
        own = [one for one in answers if (one.kind, one.number) == ("threshold", number)]
        yield decide_target(threshold, own, run.load_s)


def decide_target(threshold: TargetThreshold, answers: Iterable[Answer], load_s: float) -> ThresholdResult:
    """`answers` in the order of their times. Those before the first value are none: what has not begun has no value yet."""
    from_s, to_s = threshold.window or (0.0, math.inf)
    asked = [one for one in answers if from_s <= one.at_s <= min(to_s, load_s)]
    values = [worst_of(threshold, one) for one in asked]
    first = next((place for place, value in enumerate(values) if value is not None), len(values))
    since = values[first:]
    known = [value for value in since if value is not None]
    bound = parse_bound(threshold.bound)
    if not known:
        return _result(threshold, bound, ThresholdState.INCONCLUSIVE, None, 0, _why(asked) or "it was never asked")
    observed = bound.worst(known)
    if threshold.over == "mean":
        observed = sum(known) / len(known)
    elif threshold.over == "last":
        observed = known[-1]
    missing = len(since) - len(known)
    broken = not bound.holds(observed)
    if missing > MOST_MISSING * len(since) and not (broken and threshold.over == "every"):  # one broken answer is enough
        words = f"{counted(missing, 'answer')} of {len(since):,} {'is' if missing == 1 else 'are'} missing"
        return _result(threshold, bound, ThresholdState.INCONCLUSIVE, observed, len(known), f"{words}: {_why(asked[first:])}")
    if not broken:
        return _result(threshold, bound, ThresholdState.PASSED, observed, len(known), "")
    note = ""
    if threshold.over == "every":
        note = _when([one.at_s for one, value in zip(asked, values, strict=True) if value is not None and not bound.holds(value)])
    return _result(threshold, bound, ThresholdState.FAILED, observed, len(known), note)


def _when(broken_at_s: list[float]) -> str:
    if len(broken_at_s) == 1:
        return f"1 does not hold, at {broken_at_s[0]:.3g} s"
    return f"{len(broken_at_s):,} do not hold, from {broken_at_s[0]:.3g} s to {broken_at_s[-1]:.3g} s"


def _result(
    threshold: TargetThreshold, bound: Bound, state: ThresholdState, observed: float | None, samples: int, note: str
) -> ThresholdResult:
    return ThresholdResult(threshold.expression, threshold.scope, state, bound.limit, observed, samples, "", note, promql=threshold.promql)


def _why(answers: Iterable[Answer]) -> str:
    return next((one.why or "Prometheus has no value" for one in reversed(list(answers)) if not one.values), "")


def condition_doubts(run: Run) -> list[str]:
    """Why the load was not all of what was asked for: times in which a condition did not hold, and the load was paused or shrunk."""
    watched = watched_of(run.folder)
    if not watched.only_if:
        return []
    answers = answers_of(run.folder)
    doubts = []
    for number, condition in enumerate(watched.only_if):
        own = [one for one in answers if (one.kind, one.number) == ("condition", number)]
        broken = [one for one in own if one.holds is not True]
        if broken and condition.reaction != "end":
            verb = {"pause": "paused", "shrink": "shrunk"}[condition.reaction]
            why = next((one.why for one in broken if one.why), "")
            times = f"{clock_text(broken[0].at_s)} to {clock_text(broken[-1].at_s)}"
            count = f"{len(broken):,} of {counted(len(own), 'answer')}"
            doubts.append(f"the load was {verb} by an interlock between {times} ({count}): {condition.text}{f': {why}' if why else ''}")
    return doubts
