"""What a conversion did with a recording: names and places only, never a recorded value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject

__all__ = ["Correlated", "LeftOut", "Lifted", "Loose", "RecordingReport"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`entry` is its index in the file."""

    entry: int
    request: str
    reason: str

    def __str__(self) -> str:
        return f"entry {self.entry}: {self.request} {self.reason}"


@dataclass(frozen=True, slots=True)
class Correlated:
    """A value is extracted by the step `source` and sent by the places `uses`."""

    variable: str
    source: str
    uses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.variable}: from {self.source}, to {', '.join(self.uses)}"


@dataclass(frozen=True, slots=True)
class Loose:
    """A value that looks dynamic, and why it is sent as it was recorded. `source` "": no response returned it."""

    use: str
    source: str

    def __str__(self) -> str:
        if not self.source:
            return f"{self.use}: no response before returned it"
        return f"{self.use}: found in {self.source}, where a step can't extract it"


@dataclass(frozen=True, slots=True)
class Lifted:
    """`placeholder` must have a value before the script runs."""

    placeholder: str
    uses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.placeholder}: {', '.join(self.uses)}"


@dataclass(slots=True)
class RecordingReport:
    """`excluded` counts the entries that include and exclude sorted out, `followed` the redirects that their step follows."""

    entries: int = 0
    steps: int = 0
    excluded: int = 0
    followed: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    correlated: list[Correlated] = field(default_factory=list)
    not_correlated: list[Loose] = field(default_factory=list)
    lifted: list[Lifted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        return asdict(self)

    def lines(self, most: int | None = None) -> Iterator[str]:
        """The report as text, at most `most` lines a section; None: all."""
        yield f"{counted(self.steps, 'step')} from {counted(self.entries, 'entry')}"
        if self.followed:
            yield f"{counted(self.followed, 'redirect')} followed by the step before"
        if self.excluded:
            yield f"{counted(self.excluded, 'entry')} left out by include and exclude"
        for title, section in (
            ("left out, because no step can play it", self.left_out),
            ("correlated", self.correlated),
            ("looks dynamic, but is sent as recorded", self.not_correlated),
            ("secrets to give before it runs", self.lifted),
            ("notes", self.notes),
        ):
            if section:
                yield f"{title} ({len(section)}):"
                yield from (f"  {one}" for one in section[:most])
                if most is not None and len(section) > most:
                    yield f"  and {len(section) - most} more"
