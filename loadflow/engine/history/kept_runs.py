"""The runs that can be compared, wherever they are kept: found by name in folders or in a database, read without their hits.

A name is the path of a run's folder, a run's id (the folder's name below the runs folder), `latest`, or `previous`: the one
before the latest of the same label. A run that is still going on is neither of these two, and by its own name it is refused. In a
database the name is the number that storing gave, the run's id, or the same two words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.base.typed import typed
from loadflow.engine.records.ended import STILL_GOING_ON
from loadflow.engine.records.fingerprint import fingerprint, same_host
from loadflow.engine.records.going_on import RUNNING
from loadflow.engine.records.kept_seconds import seconds_of_all, seconds_of_run
from loadflow.engine.records.run import Run
from loadflow.engine.records.runs_dir import runs_below
from loadflow.engine.records.sample import Counted
from loadflow.engine.records.summary import RunFacts
from loadflow.errors import CommandError, Mistake, RunError

if TYPE_CHECKING:
    from loadflow.engine.store.place import Place

__all__ = ["KeptRun", "NoPrevious", "every_run", "find_pair", "find_run", "folder_runs", "stored"]

LATEST, PREVIOUS = "latest", "previous"


class NoPrevious(CommandError):
    """The latest run is the first of its label."""


@dataclass(frozen=True)
class KeptRun:
    """One run, with its counts read when they are asked for. `name` is what it can be asked for by."""

    name: str
    facts: RunFacts
    label: str
    source: Run | tuple[Place, int]

    @property
    def group(self) -> str:
        """What runs of one deployment have in common: their label, or their script where they have none."""
        return self.label or self.facts.script

    def is_like(self, other: KeptRun) -> bool:
        """Whether the two may be compared."""
        return same_host(self.facts, other.facts) and self.fingerprint == other.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.facts)

    @cached_property
    def counted(self) -> Counted:
        if isinstance(self.source, Run):
            totals = self.source.totals_so_far() if self.running else self.source.totals()
            return Counted(totals, totals.duration_s, partial(seconds_of_run, self.source))
        from loadflow.engine.store.read import stored_totals
        from loadflow.engine.store.second_counts import stored_second_counts

        totals, duration_s = stored_totals(*self.source), float(self._stored_summary["duration_s"])
        return Counted(totals, duration_s, partial(stored_second_counts, *self.source, totals, duration_s))

    @cached_property
    def counted_together(self) -> Counted:
        """As `counted`, but what is known of each second is of all hits together: no hit is looked at for it."""
        if isinstance(self.source, Run):
            run = self.source
            return replace(self.counted, per_second=lambda: seconds_of_all(run.totals(), run.end().ran_s, run.seconds()))
        from loadflow.engine.store.read import stored_seconds

        counted, stored = self.counted, self.source
        return replace(counted, per_second=lambda: seconds_of_all(counted.totals, counted.duration_s, stored_seconds(*stored)))

    @cached_property
    def running(self) -> bool:
        """Whether it was still going on when this was asked first."""
        return isinstance(self.source, Run) and self.source.running

    @cached_property
    def verdict(self) -> str:
        """As it was decided when the run ended; anew for one that was cut off; `running` for one that is going on."""
        if self.running:
            return RUNNING
        if not isinstance(self.source, Run):
            return str(self._stored_summary["verdict"]["verdict"])
        try:
            return str(read_json(read_regular(self.source.folder / "summary.json"))["verdict"]["verdict"])
        except (OSError, ValueError, KeyError, TypeError):
            return str(self.source.summary().verdict.kind)

    @property
    def folder(self) -> Path | None:
        """None for a run of a database."""
        return self.source.folder if isinstance(self.source, Run) else None

    @cached_property
    def summary_json(self) -> JsonObject:
        """As it was written when the run ended. Raises OSError or ValueError where there is none that can be read."""
        if not isinstance(self.source, Run):
            return self._stored_summary
        found: dict[str, object] = read_json(read_regular(self.source.folder / "summary.json"))
        return found

    @property
    def finished(self) -> bool:
        """Whether its counts stand ready; those of a folder that was cut off have to be made from every hit."""
        return not isinstance(self.source, Run) or (self.source.folder / "totals.json").is_file()

    @cached_property
    def _stored_summary(self) -> JsonObject:
        from loadflow.engine.store.read import stored_summary

        assert not isinstance(self.source, Run)
        return stored_summary(*self.source)

    @classmethod
    def of(cls, run: Run) -> KeptRun:
        return cls(run.facts.id or run.folder.name, run.facts, run.facts.label, run)


def find_pair(baseline: str | int, current: str | int, runs_dir: Path, place: Place | None = None) -> tuple[KeptRun, KeptRun]:
    """Both runs. Raises CommandError that names the argument for one that is not there."""
    return _find("baseline", baseline, runs_dir, place), _find("current", current, runs_dir, place)


def find_run(argument: str, name: str | int, runs_dir: Path, place: Place | None = None) -> KeptRun:
    """One run. Raises CommandError that names the argument if it is not there."""
    return _find(argument, name, runs_dir, place)


def every_run(runs_dir: Path, place: Place | None = None) -> Iterator[KeptRun]:
    """Newest first; those that can't be read are passed over: `loadflow runs` names them."""
    if place is not None:
        yield from stored(place)
        return
    for path in runs_below(runs_dir):
        try:
            yield KeptRun.of(Run.open(path))
        except RunError:
            continue


def folder_runs(runs_dir: Path) -> Iterator[KeptRun]:
    """The runs that have ended below `runs_dir`, newest first, opened as they are asked for; folders without a run are passed over.

    The order is that of the folders' names, which begin with the moment of the start, to the second. A run that can't be read
    raises RunError, with its path.
    """
    for path in runs_below(runs_dir):
        run = Run.open(path)
        if not run.running:
            yield KeptRun.of(run)


def stored(place: Place) -> Iterator[KeptRun]:
    """The runs of a database, stored last first. Each one's facts are read as it is asked for."""
    from loadflow.engine.store.read import stored_runs

    for row in stored_runs(place, -1):
        yield _stored(place, int(row["id"]), str(row.get("label") or ""))


def _stored(place: Place, run_id: int, label: str) -> KeptRun:
    """`label`: the one that storing gave it, which may be another than the run's own."""
    from loadflow.engine.store.read import stored_summary

    summary = stored_summary(place, run_id)
    facts = typed(RunFacts, summary["runs"][0], "summary.runs[0]")
    return KeptRun(str(run_id), facts, label, (place, run_id))


def _find(argument: str, name: str | int, runs_dir: Path, place: Place | None) -> KeptRun:
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise CommandError([Mistake(argument, "is not a name of a run", "give a run's folder, its id, latest or previous")])
    text = str(name)
    if text in (LATEST, PREVIOUS):
        return _by_age(argument, text, folder_runs(runs_dir) if place is None else stored(place), place or runs_dir)
    if place is not None:
        return _stored_by_name(argument, text, place)
    path = Path(text) if os.sep in text or (Path(text) / "run.json").is_file() else runs_dir / text
    try:
        found = Run.open(path)
    except RunError as error:
        hint = "give a run's folder, its id, latest or previous; `loadflow runs` lists them"
        raise CommandError([Mistake(argument, f"{text!r} names no run ({error})", hint)]) from None
    if found.running:
        raise CommandError([Mistake(argument, f"the run {text} is still going on", STILL_GOING_ON)])
    return KeptRun.of(found)


def _by_age(argument: str, word: str, newest_first: Iterator[KeptRun], where: object) -> KeptRun:
    latest = next(newest_first, None)
    if latest is None:
        raise CommandError([Mistake(argument, f"there is no run in {where} that has ended", "run a load first, or say where the runs are")])
    if word == LATEST:
        return latest
    before = next((run for run in newest_first if run.group == latest.group), None)
    if before is None:
        message = f"{latest.name} is the only run of {latest.group!r} in {where}"
        raise NoPrevious([Mistake(argument, message, "name the run to compare with")])
    return before


def _stored_by_name(argument: str, text: str, place: Place) -> KeptRun:
    from loadflow.engine.store.read import stored_runs

    for row in stored_runs(place, -1):
        if text in (str(row["id"]), row.get("run_key")):
            return _stored(place, int(row["id"]), str(row.get("label") or ""))
    raise CommandError([Mistake(argument, f"{place} holds no run {text}", "LD_list_runs says which there are")])
