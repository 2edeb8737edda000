"""Puts a run's report where other machines can open it: through any of Prefect's storage blocks (S3 and the like, a shared folder)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Protocol, cast

from prefect.blocks.core import Block, UnknownBlockType
from prefect.utilities.asyncutils import run_coro_as_sync

from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.records.run import Run
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.logo import LOGO, logo
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import current_session
from loadflow.errors import Mistake, RunError, ScriptError

__all__ = ["FILES", "Storage", "load_storage", "upload"]

FILES = {"report.html": "text/html; charset=utf-8", "summary.json": "application/json"}  # and what they are, for browsers
S3_BUCKET = "s3-bucket"  # the type of prefect-aws's block
ERROR_CHARACTERS = 300


class Writable(Protocol):
    """A block that files can be written to."""

    def write_path(self, path: str, content: bytes) -> object: ...


@dataclass(frozen=True, slots=True)
class Storage:
    """A block that reports are put into. `name` is type/name, as it was asked for."""

    name: str
    block: Writable


def load_storage(name: str) -> Storage:
    """The block `name`, written type/name, as in s3-bucket/reports. Raises ScriptError where there is none that can be written."""
    try:
        block = Block.load(name)
    except ValueError:
        hint = "write type/name, as in local-file-system/reports; `prefect block ls` lists them"
        raise ScriptError([Mistake("report_storage", f"there is no block {name!r}", hint)]) from None
    except UnknownBlockType as error:
        hint = "pip install 'loadflow[s3]'" if name.startswith(f"{S3_BUCKET}/") else "install the package that the block comes from"
        raise ScriptError([Mistake("report_storage", str(error).rstrip("."), hint)]) from None
    if not hasattr(block, "write_path"):
        raise ScriptError([Mistake("report_storage", f"{name} can't be written to", "name a storage block, such as s3-bucket/…")])
    return Storage(name, cast(Writable, block))


def upload(storage: Storage, run: Run) -> None:
    """The report and the summary, in a folder with the run's id, so that LOADFLOW_REPORTS_URL may be the storage's own address; and the
    logo beside the folders, which blocks lead to.

    Raises RunError with what the storage said.
    """
    found = {name: run.folder / name for name in FILES}
    contents = {f"{run.facts.id}/{name}": (read_regular(path), FILES[name]) for name, path in found.items() if path.is_file()}
    for name, (content, content_type) in {**contents, LOGO: (logo(), "image/png")}.items():
        try:
            _put(storage, name, content, content_type)
        except Exception as error:  # a block calls a library that we don't know, with errors of its own
            said = clip(redactor_of(current_session()).text(f"{type(error).__name__}: {error}"), ERROR_CHARACTERS)
            raise RunError(f"{storage.name}: {said}") from error


def _put(storage: Storage, path: str, content: bytes, content_type: str) -> None:
    block: Any = storage.block
    if storage.name.startswith(f"{S3_BUCKET}/"):
        # write_path can't say the type: S3 then calls it binary, and a browser saves the page instead of showing it
        written = block.upload_from_file_object(io.BytesIO(content), path, ExtraArgs={"ContentType": content_type})
    else:
        written = block.write_path(path, content)
    if hasattr(written, "__await__"):
        run_coro_as_sync(written)
