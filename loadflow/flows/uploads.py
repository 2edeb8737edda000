"""Puts a run's report where other machines can open it: through any of Prefect's storage blocks (S3 and the like, a shared folder)."""

from __future__ import annotations

import contextvars
import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from prefect.blocks.core import Block, UnknownBlockType
from prefect.utilities.asyncutils import run_coro_as_sync

from loadflow.engine.records.run import Run
from loadflow.engine.redact import Redactor
from loadflow.engine.reports.bounds import clip
from loadflow.errors import Mistake, ScriptError

__all__ = ["FILES", "Storage", "Uploaded", "load_storage", "upload"]

FILES = {"report.html": "text/html; charset=utf-8", "summary.json": "application/json"}
S3_SLUG = "s3-bucket"  # of prefect-aws
UPLOAD_S = 60.0
UPLOAD_INTERRUPTED_S = 8.0  # a worker that cancels a run gives it 30 s, and the artifacts need some of them
WORDS_CHARACTERS = 160


class Writable(Protocol):
    """A block that files can be written to. What `write_path` returns is where the file is now, and differs from block to block."""

    def write_path(self, path: str, content: bytes) -> Any: ...


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage block and the name that it was asked for by, type/name."""

    name: str
    block: Writable


@dataclass(frozen=True, slots=True)
class Uploaded:
    """How an upload ended. `url`: where the block itself has put the report; `trouble`: why it is not there, "" when it is."""

    storage: str
    url: str = ""
    trouble: str = ""


def load_storage(name: str) -> Storage:
    """The block `name`, written type/name, as in s3-bucket/reports. Raises ScriptError where there is none that can be written."""
    try:
        block = Block.load(name)
    except UnknownBlockType:
        hint = "install the package it comes from where the flow runs: s3-bucket is of `pip install 'loadflow[s3]'`"
        raise ScriptError([Mistake("report_storage", f"the block type of {name!r} is not installed here", hint)]) from None
    except ValueError:
        hint = "write type/name, as in local-file-system/reports; `prefect block ls` lists them"
        raise ScriptError([Mistake("report_storage", f"there is no block {name!r}", hint)]) from None
    if not hasattr(block, "write_path"):
        raise ScriptError([Mistake("report_storage", f"{name} can't be written to", "name a storage block, such as remote-file-system/…")])
    return Storage(name, cast(Writable, block))


def upload(storage: Storage, run: Run, within_s: float = UPLOAD_S) -> Uploaded:
    """The report and the summary, in a folder with the run's id, so that LOADFLOW_REPORTS_URL may be the storage's own address.

    Never raises: a storage that is away or refuses must not touch the run. One that does not answer is left behind after `within_s`.
    """
    ended: list[Uploaded] = []

    def work() -> None:
        try:
            ended.append(Uploaded(storage.name, _put_all(storage.block, run)))
        except Exception as error:  # noqa: BLE001  blocks are other people's code, and each storage has errors of its own
            words = clip(Redactor().text(" ".join(f"{type(error).__name__}: {error}".split())), WORDS_CHARACTERS)
            ended.append(Uploaded(storage.name, trouble=words))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="loadflow-upload", daemon=True)
    thread.start()
    thread.join(within_s)
    return ended[0] if ended else Uploaded(storage.name, trouble=f"no answer within {within_s:g} s")


def _put_all(block: Writable, run: Run) -> str:
    """The address of the report."""
    urls = {}
    for name, content_type in FILES.items():
        path = run.folder / name
        if path.is_file():
            urls[name] = _put(block, f"{run.facts.id}/{name}", path.read_bytes(), content_type)
    return urls.get("report.html", "")


def _put(block: Writable, path: str, content: bytes, content_type: str) -> str:
    if isinstance(block, Block) and block.get_block_type_slug() == S3_SLUG:
        return _put_s3(block, path, content, content_type)
    written: Any = block.write_path(path, content)
    if hasattr(written, "__await__"):
        written = run_coro_as_sync(written)
    where = str(written or "")
    return where if "://" in where or not where else Path(where).absolute().as_uri()


def _put_s3(block: Any, path: str, content: bytes, content_type: str) -> str:
    """With the type of the content, which `write_path` does not give: without it a browser saves the report instead of showing it."""
    key = block.upload_from_file_object(io.BytesIO(content), path, ExtraArgs={"ContentType": content_type})
    client = block.credentials.get_s3_client()
    # botocore knows how the bucket is addressed: by host or by path, and where; the signature is left away, links are for everyone
    signed = client.generate_presigned_url("get_object", Params={"Bucket": block.bucket_name, "Key": key})
    return str(signed).partition("?")[0]
