"""Whether runs on disk are as they were when they ended: their files by their evidence, and their evidence by its chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loadflow.engine.records.evidence import (
    CHAIN,
    EVIDENCE,
    Approval,
    Link,
    approvals_of,
    chain_path,
    digest_of,
    evidence_digest,
    evidence_files,
    links_of,
    read_evidence,
)
from loadflow.engine.records.run import Run
from loadflow.engine.records.runs_dir import runs_below
from loadflow.errors import RunError

__all__ = ["REPORT", "State", "Verified", "verify_runs"]

REPORT = "report.html"
# files that readers of a run take as a part of it
READ = ("hits-", "names-", "samples-", "spans-", "said-")


class State(StrEnum):
    WHOLE = "whole"
    CHANGED = "changed"
    UNKNOWN = "unknown"  # nothing is there to hold it against


@dataclass(frozen=True, slots=True)
class Verified:
    """One run. `faults`: what is not as it was, each a sentence; `notes`: what can't be checked, or is worth a word; `approvals`: who
    approved it."""

    run: str
    state: State
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()


def verify_runs(runs_dir: Path, only: Path | None, same_report: Callable[[Run], bool]) -> list[Verified]:
    """Each run below `runs_dir`, newest first, and those that the chain has and the folder has not; or the run of the folder `only`.

    `same_report` says whether the report of a run, made again now, is the one that is there.
    """
    links = links_of(runs_dir)
    folders = [only] if only is not None else runs_below(runs_dir)
    found = [_verified(folder, links, same_report) for folder in folders]
    if only is None:
        there = {folder.name for folder in folders}
        note = f"its folder is gone; its place in {CHAIN} is kept"
        gone = dict.fromkeys(link.run for link in links if link.run not in there and link.label in _labels(runs_dir, folders, links))
        found += [Verified(run, State.UNKNOWN, notes=(note,)) for run in gone]
        found += [Verified(CHAIN, State.CHANGED, (fault,)) for fault in _broken(links)]
    return found


def _verified(folder: Path, links: list[Link], same_report: Callable[[Run], bool]) -> Verified:
    try:
        run = Run.open(folder)
    except RunError as error:
        return Verified(folder.name, State.CHANGED, (str(error),))
    evidence = read_evidence(folder)
    own = [link for link in links if link.run == run.facts.id]
    if run.running:
        return Verified(folder.name, State.UNKNOWN, notes=("it is still going on",))
    if not isinstance(evidence.get("files"), dict):
        if own:
            return Verified(folder.name, State.CHANGED, (f"its {EVIDENCE} is gone or damaged, and {CHAIN} has it",))
        why = "it was cut off before its end" if evidence else f"it has no {EVIDENCE}: an older release made it, or it was cut off"
        return Verified(folder.name, State.UNKNOWN, notes=(f"{why}; nothing says what its files were",))
    approvals = approvals_of(folder)
    faults = [*_changed(run, evidence["files"], same_report), *_unlinked(folder, own), *_unapproved(approvals, own)]
    notes = [] if links else [f"there is no {CHAIN} beside it, which would hold its {EVIDENCE}"]
    said = tuple(one.text for one in approvals)
    return Verified(folder.name, State.CHANGED if faults else State.WHOLE, tuple(faults), tuple(notes), said)


def _labels(runs_dir: Path, folders: Iterable[Path], links: Iterable[Link]) -> set[str]:
    """Those whose runs belong to this folder: all of a chain that stands in it, else those that it has runs of."""
    if chain_path(runs_dir).parent.resolve() == runs_dir.resolve():
        return {link.label for link in links}
    there = {folder.name for folder in folders}
    return {link.label for link in links if link.run in there}


def _unapproved(approvals: Iterable[Approval], own: Iterable[Link]) -> Iterator[str]:
    known = {link.sha256 for link in own}
    for one in approvals:
        if one.evidence not in known:
            yield f"what {one.by} approved at {one.at} is not in {CHAIN}"


def _changed(run: Run, files: dict[str, dict[str, object]], same_report: Callable[[Run], bool]) -> Iterator[str]:
    there = {path.name: path for path in evidence_files(run.folder)}
    for name, known in files.items():
        path = there.get(name)
        if path is None:
            yield f"{name} is gone"
            continue
        try:
            digest = digest_of(path)
        except OSError as error:
            yield f"{name} can't be read ({error.strerror})"
            continue
        # a report that was made again, of files that are whole, is as good as the first
        if digest != known and not (name == REPORT and same_report(run)):
            bytes_ = "" if digest["bytes"] == known.get("bytes") else f" (its size was {known.get('bytes'):,}, and is {digest['bytes']:,})"
            yield f"{name} was changed{bytes_}"
    for name in there.keys() - files.keys():
        if name.startswith(READ):
            yield f"{name} was added"


def _unlinked(folder: Path, own: Iterable[Link]) -> Iterator[str]:
    links = list(own)
    if not links:
        if chain_path(folder.parent).exists():
            yield f"{CHAIN} has no line of its {EVIDENCE}"
        return
    if links[-1].sha256 != evidence_digest(folder):  # earlier lines are of what it was before it was approved
        yield f"{EVIDENCE} was changed: its digest is not the one in {CHAIN}"


def _broken(links: Iterable[Link]) -> Iterator[str]:
    """Where the chain of a label does not hold: a line was taken out, put in or changed."""
    last: dict[str, Link] = {}
    for number, link in enumerate(links, start=1):
        before = last.get(link.label)
        if link.previous != (before.sha256 if before else ""):
            where = f"that of {before.run}, the last before it of its label" if before else "nothing, as the first of its label has to"
            yield f"line {number:,} ({link.run}) does not follow {where}: a line was taken out, put in or changed"
        last[link.label] = link
