"""evidence.json of a run: what it was made of, noted before the load; and at its end the digest of every file, and of the run before it.

The evidence of the runs of one label is a chain: each holds the digest of the one before, and evidence.ndjson, in the folder of the runs
or where LOADFLOW_EVIDENCE says, has a line for each. So a changed file is found by its run's evidence, and changed evidence by the chain. A
person who may write to the folder can make a whole chain anew: a digest that is kept elsewhere (Prefect's event, a ticket) holds it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from loadflow.engine.base.appending import append_line
from loadflow.engine.base.disk import told_disk
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.private import opener
from loadflow.engine.base.regular_file import open_regular, read_regular
from loadflow.engine.base.typed import typed
from loadflow.engine.records.going_on import LOCK
from loadflow.engine.records.run import Run
from loadflow.errors import RunError

__all__ = [
    "CHAIN",
    "CHAIN_VARIABLE",
    "EVIDENCE",
    "Approval",
    "Digests",
    "Link",
    "add_approval",
    "approvals_of",
    "begin_evidence",
    "chain_path",
    "digest_of",
    "end_evidence",
    "evidence_digest",
    "evidence_files",
    "links_of",
    "now_text",
    "read_evidence",
    "start_digests",
]

EVIDENCE, CHAIN = "evidence.json", "evidence.ndjson"
CHAIN_VARIABLE = "LOADFLOW_EVIDENCE"
FORMAT, VERSION = "loadflow-evidence", 1
# what is no part of the run as it ended: its own evidence, the lock, and what later nights say of it
BESIDES = frozenset({EVIDENCE, LOCK, "judgement.json"})
Digests = dict[str, dict[str, object]]  # of files, by name: {"bytes": …, "sha256": …}


@dataclass(frozen=True, slots=True)
class Link:
    """A line of evidence.ndjson. `sha256`: of the run's evidence.json; `previous`: of that of the run before of the same label, or ""."""

    label: str
    run: str
    sha256: str
    previous: str
    at: str


@dataclass(frozen=True, slots=True)
class Approval:
    """`kind`: "run", whose numbers are good enough for what they are for; or "change", after which they are meant to be what they are.

    `by`: a person; `where`: the host, and the user or the job that gave it. `evidence`: the digest of the evidence.json that was approved.
    """

    kind: str
    by: str
    why: str
    at: str
    where: JsonMapping
    evidence: str = ""

    @property
    def text(self) -> str:
        verb = "approved" if self.kind == "run" else "accepted as a change"
        return f"{verb} by {self.by} on {self.where.get('host')}, {self.at}: {self.why}"


def begin_evidence(run: Run, made_of: JsonMapping) -> None:
    """What is known before the load; a run that is cut off has that alone."""
    with told_disk(run.folder):
        _write(run.folder, {**_about(run), "made_of": made_of})


def start_digests(run: Run) -> Future[Digests]:
    """Those of the hit logs, once the engines have ended; on a thread of its own, while the parent counts and writes."""
    pool = ThreadPoolExecutor(1, "loadflow-digests")
    try:
        return pool.submit(lambda: {path.name: digest_of(path) for path in sorted(run.folder.glob("hits-*.bin"))})
    finally:
        pool.shutdown(wait=False)


def end_evidence(run: Run, digests: Future[Digests] | None = None) -> str:
    """Once all of the run is written: the digest of each file, and the run's place in the chain. Returns the digest of the evidence."""
    known = digests.result() if digests is not None else {}
    files = {path.name: known.get(path.name) or digest_of(path) for path in evidence_files(run.folder)}
    begun = read_evidence(run.folder)
    with told_disk(run.folder), _chain(run.folder.parent) as chain:
        previous = _last(chain, run)
        now = now_text()
        before = {"run": previous.run, "sha256": previous.sha256} if previous else None
        return _link(chain, run, {**begun, **_about(run), "files": files, "previous": before, "at": now}, previous, now)


def add_approval(run: Run, approval: Approval) -> str:
    """Write it into the evidence of a run that has ended, which gets a new line in the chain. Returns the digest of the evidence.

    Raises RunError where there is no evidence to be approved, or it is not the one that the chain has.
    """
    with told_disk(run.folder), _chain(run.folder.parent) as chain:
        kept, digest = read_evidence(run.folder), evidence_digest(run.folder)
        own = [link for link in _links(chain) if link.run == run.facts.id]
        if not own or not kept.get("files"):
            raise RunError(f"{run.folder} has no whole {EVIDENCE}: a run that was cut off, or of an older release, can't be approved")
        if own[-1].sha256 != digest:
            raise RunError(f"the {EVIDENCE} of {run.folder} was changed, so it can't be approved; see `loadflow verify`")
        approvals = [*(kept.get("approvals") or []), asdict(replace(approval, evidence=digest))]
        return _link(chain, run, {**kept, "approvals": approvals}, _last(chain, run), approval.at)


def approvals_of(folder: Path) -> list[Approval]:
    """Oldest first; those that can't be read are left out."""
    found = []
    for one in read_evidence(folder).get("approvals") or []:
        with suppress(ValueError):
            found.append(typed(Approval, one, EVIDENCE))
    return found


def chain_path(runs_dir: Path) -> Path:
    """Where LOADFLOW_EVIDENCE says; else in the folder of the runs."""
    given = os.environ.get(CHAIN_VARIABLE)
    return Path(given).expanduser() if given else runs_dir / CHAIN


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _last(chain: IO[bytes], run: Run) -> Link | None:
    """The last line of the run's label."""
    label = run.facts.label or run.facts.script
    return next((link for link in reversed(_links(chain)) if link.label == label), None)


def _link(chain: IO[bytes], run: Run, evidence: Mapping[str, object], previous: Link | None, at: str) -> str:
    digest = hashlib.sha256(_write(run.folder, evidence).encode()).hexdigest()
    label = run.facts.label or run.facts.script
    link = Link(label, run.facts.id, digest, previous.sha256 if previous else "", at)
    append_line(chain, json.dumps(asdict(link), ensure_ascii=False))
    return digest


def evidence_files(folder: Path) -> list[Path]:
    """The files whose digests are kept: all but those of BESIDES, and hidden ones, which are on their way to be renamed."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name not in BESIDES and not path.name.startswith("."))


def digest_of(path: Path) -> dict[str, object]:
    """Raises OSError."""
    with open_regular(path, "rb") as opened:
        file: Any = opened  # a file of bytes, which `open` gives and `IO` does not say
        digest = hashlib.file_digest(file, "sha256")
        return {"bytes": file.tell(), "sha256": digest.hexdigest()}


def read_evidence(folder: Path) -> JsonObject:
    """{} where there is none that can be read."""
    try:
        found = read_json(read_regular(folder / EVIDENCE))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def evidence_digest(folder: Path) -> str:
    """Keep it elsewhere: it shows whether evidence.json was changed. "" where there is none."""
    try:
        return hashlib.sha256(read_regular(folder / EVIDENCE)).hexdigest()
    except OSError:
        return ""


def links_of(runs_dir: Path) -> list[Link]:
    """The chain of all labels, in the order in which the runs ended; lines that are torn or of another shape are passed over."""
    try:
        with open_regular(chain_path(runs_dir), "rb") as file:
            return _links(file)
    except OSError:
        return []


def _about(run: Run) -> dict[str, object]:
    return {"format": FORMAT, "version": VERSION, "run": run.facts.id, "label": run.facts.label or run.facts.script}


def _write(folder: Path, evidence: Mapping[str, object]) -> str:
    """Returns what was written: characters that UTF-8 has not are none of it."""
    text = json.dumps(evidence, indent=2, ensure_ascii=False).encode(errors="replace").decode()
    write_atomically(folder / EVIDENCE, text)
    return text


@contextmanager
def _chain(runs_dir: Path) -> Iterator[IO[bytes]]:
    """The chain's file, which no other process writes to inside of the block."""
    with open(chain_path(runs_dir), "ab+", opener=opener) as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _links(file: IO[bytes]) -> list[Link]:
    file.seek(0)
    found = []
    for line in file:
        with suppress(ValueError):
            found.append(typed(Link, read_json(line), CHAIN))
    return found
