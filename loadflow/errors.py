"""Every error loadflow raises, by whose fault it is.

LoadflowError
├── ScriptError            the author's: raised before anything is sent; carries every Mistake found
│   └── CommandError       one command was called with something it can't take, or refused while running
├── CircuitOpenError       the target's: a failure budget was used up; loadflow itself never raises it
├── ThresholdsNotMet       the target's: what a script asserts of its numbers does not hold, or can't be said
└── RunError               ours or the machine's: the engine died, a port is taken, a disk is full
    ├── EngineError        the engine process ended without finishing its plan
    ├── TargetTaken        another load is on the target; nothing was sent
    ├── ConditionBroken    a condition of `only_if` does not hold; nothing was sent
    ├── WatchdogTimeout    a deadline passed and the work was ended
    └── Interrupted        the end was requested: a cancelled flow run, a stop signal

A flow whose verdict is not passed raises `loadflow.flows.NotPassed`, a LoadflowError too: in that case the fault is
target. A hit's failure is data (`loadflow.engine.records.outcome.Outcome`), never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CircuitOpenError",
    "CommandError",
    "ConditionBroken",
    "EngineError",
    "Interrupted",
    "LoadflowError",
    "Mistake",
    "RunError",
    "ScriptError",
    "TargetTaken",
    "ThresholdsNotMet",
    "WatchdogTimeout",
]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a script: where, what, and the way out.

    `place` is a path as the author would write it, e.g. `load_density[2].tasks[0].assertions[1].type`.
    """

    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}; {self.hint}" if self.hint else text


class LoadflowError(Exception):
    """The root: `except LoadflowError` catches all that loadflow raises on purpose."""


class ScriptError(LoadflowError):
    """The script can't be run as written; nothing was sent.

    `mistakes` holds all that were found, in the order of the document; `source` is the file they are in, or "".
    """

    def __init__(self, mistakes: Sequence[Mistake], source: str = "") -> None:
        if not mistakes:
            raise ValueError("a ScriptError names at least one mistake")
        self.mistakes = tuple(mistakes)
        self.source = source
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[ScriptError], tuple[tuple[Mistake, ...], str]]:
        return type(self), (self.mistakes, self.source)

    def __str__(self) -> str:
        where = f"{self.source}: " if self.source else ""
        if len(self.mistakes) == 1:
            return f"{where}{self.mistakes[0]}"
        lines = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        return f"{where}{len(self.mistakes)} mistakes\n{lines}"


class CommandError(ScriptError):
    """One command got what it can't take, found only while the script runs (a file that is gone, a value not set)."""


class CircuitOpenError(LoadflowError, RuntimeError):
    """A failure budget was used up: for a `runner_quit_callback` to raise, out of the load that it ends."""


class ThresholdsNotMet(LoadflowError):
    """Thresholds that LD_assert_sla was given do not hold; `failed` False: there were too few samples to say."""

    def __init__(self, breaches: Sequence[str], failed: bool = True) -> None:
        self.breaches = tuple(breaches)
        self.failed = failed
        super().__init__("; ".join(self.breaches))

    def __reduce__(self) -> tuple[type[ThresholdsNotMet], tuple[Sequence[str], bool]]:
        return type(self), (self.breaches, self.failed)


class RunError(LoadflowError):
    """The machine or loadflow itself failed; the message ends with the way out."""


class EngineError(RunError):
    """The engine process ended early. `hits` is how many were recorded before; 0 means that nothing was sent."""

    def __init__(self, message: str, hits: int = 0) -> None:
        super().__init__(message)
        self.hits = hits

    def __reduce__(self) -> tuple[type[EngineError], tuple[str, int]]:
        return type(self), (self.args[0], self.hits)


class TargetTaken(RunError):
    """Another load is on the target, and its end was not to be waited for; nothing was sent."""


class ConditionBroken(RunError):
    """A condition of `only_if` does not hold, or can't be asked for, before the load; nothing was sent."""


class WatchdogTimeout(RunError, TimeoutError):
    """A command passed its `timeout_seconds` and was ended."""


class Interrupted(RunError):
    """The load was ended early on request; what was recorded until then is in the run folder. No later action runs.

    `results`, a `loadflow.Results`: what the script's actions gave until then, its loads with the one that was ended among them, and
    the verdict; None where no script was run.
    """

    results: Any = None  # errors stand below the scripts that raise them, and know no type of theirs
