"""Reports that are written piece by piece: readers see the old file or the whole new one, never a part."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from loadflow.engine.base.private import opener
from loadflow.errors import RunError

__all__ = ["report_files"]


@contextmanager
def report_files(paths: Sequence[Path]) -> Iterator[list[BinaryIO]]:
    """Files to write reports to; at the end of the block all of them get their names. Folders are made.

    When the block raises, the temporary files are removed and what stood there stays. Raises RunError for what the disk refuses.
    """
    drafts: list[Path] = []
    try:
        with ExitStack() as stack:
            files: list[BinaryIO] = []
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
                files.append(stack.enter_context(open(draft, "xb", opener=opener)))
                drafts.append(draft)
            yield files
        for path, draft in zip(paths, drafts, strict=True):
            draft.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have, e.g. with a null character
        names = " and ".join(repr(str(path)) for path in paths)
        raise RunError(f"the report {names} can't be written ({error}); choose a folder that can be written and has room") from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
