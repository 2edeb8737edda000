"""Puts a run's report where other machines can open it: through any of Prefect's storage blocks (S3 and the like, a shared folder)."""

from __future__ import annotations

from typing import Any, Protocol, cast

from prefect.blocks.core import Block
from prefect.utilities.asyncutils import run_coro_as_sync

from loadflow.engine.records.run import Run
from loadflow.errors import Mistake, ScriptError

__all__ = ["FILES", "load_storage", "upload"]

FILES = ("report.html", "summary.json")


class Storage(Protocol):
    """A block that files can be written to."""

    def write_path(self, path: str, content: bytes) -> Any: ...


def load_storage(name: str) -> Storage:
    """The block `name`, written type/name, as in s3-bucket/reports. Raises ScriptError where there is none that can be written."""
    try:
        block = Block.load(name)
    except ValueError:
        hint = "write type/name, as in local-file-system/reports; `prefect block ls` lists them"
        raise ScriptError([Mistake("report_storage", f"there is no block {name!r}", hint)]) from None
    if not hasattr(block, "write_path"):
        raise ScriptError([Mistake("report_storage", f"{name} can't be written to", "name a storage block, such as remote-file-system/…")])
    return cast(Storage, block)


def upload(storage: Storage, run: Run) -> None:
    """The report and the summary, in a folder with the run's id, so that LOADFLOW_REPORTS_URL may be the storage's own address."""
    for name in FILES:
        path = run.folder / name
        if path.is_file():
            written = storage.write_path(f"{run.facts.id}/{name}", path.read_bytes())
            if hasattr(written, "__await__"):
                run_coro_as_sync(written)
