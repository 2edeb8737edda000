"""The target's build as its answers say it: the values of `revision_header`, which engine processes write beside the names of hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.names import MOST_REVISIONS, REVISION_LINE, TLS_LINE
from loadflow.engine.records.summary import RunFacts

__all__ = ["noted_revisions", "noted_tls", "revision_warnings", "with_notes", "with_revisions"]


def noted_revisions(paths: Iterable[Path]) -> tuple[str, ...]:
    """The values in these side tables, each once, sorted; files that are not there have none."""
    return _noted(paths, REVISION_LINE, "revision")


def noted_tls(paths: Iterable[Path]) -> tuple[str, ...]:
    """The versions and ciphers that TLS agreed on with servers, in the same way."""
    return _noted(paths, TLS_LINE, "tls")


def _noted(paths: Iterable[Path], begin: bytes, key: str) -> tuple[str, ...]:
    found: set[str] = set()
    for path in paths:
        if path.exists():
            with open_regular(path, "rb") as file:
                found.update(read_json(line)[key] for line in file if line.startswith(begin) and line.endswith(b"\n"))
    return tuple(sorted(found))


def with_notes(facts: RunFacts, paths: Sequence[Path]) -> RunFacts:
    """The facts with what these side tables say of the target, as far as that is not known yet."""
    if "https:" in facts.target and not facts.tls:
        facts = replace(facts, tls=noted_tls(paths))
    if facts.plan.get("revision_header") and not facts.revisions:
        facts = with_revisions(facts, noted_revisions(paths))
    return facts


def with_revisions(facts: RunFacts, noted: tuple[str, ...]) -> RunFacts:
    """The facts with what the answers said. The script's own `revision` stays; without one, it is all that was noted, joined by commas."""
    kept = noted[:MOST_REVISIONS]
    joined = ", ".join([*kept, *(["…"] if len(noted) > len(kept) else [])])
    return replace(facts, revision=facts.revision or joined, revisions=kept, more_revisions=len(noted) > len(kept))


def revision_warnings(facts: RunFacts) -> Iterator[Warning_]:
    if len(facts.revisions) < 2:
        return
    more = " and more" if facts.more_revisions else ""
    count = f"more than {MOST_REVISIONS} revisions" if more else counted(len(facts.revisions), "revision")
    yield Warning_(
        "several-revisions",
        f"The target answered with {count}: {', '.join(facts.revisions)}{more}. The numbers are of all of them together.",
        "Run the test when no deployment is going on, or against one instance, to measure one revision. If each answer has another value, "
        "let revision_header name another header.",
    )
