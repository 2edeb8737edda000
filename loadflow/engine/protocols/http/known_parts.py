"""What is wrong with every hit of a step although the rest of it differs from hit to hit: names of headers, certificates, uploads.

A step without placeholders is built once before the load, where all of it shows; of the others, the parts that are known are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.protocols.http.request import refuse_unsendable
from loadflow.engine.protocols.running.filling import PEER_PARTS, peer_files
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.template import Compiler, text_of

__all__ = ["refuse_known"]


def refuse_known(step: Mapping[str, object], compiler: Compiler) -> None:
    """Raises HitFailure for the first part that no hit could be sent with."""
    for holder in (step, step.get("tls")):
        if isinstance(holder, Mapping):
            peer_files({key: known for key in (*PEER_PARTS, "cert_password") if (known := _known(holder.get(key), compiler)) is not None})
    headers = step.get("headers")
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        known = _known(value, compiler)
        refuse_unsendable(name, "" if known is None else text_of(known))
    for written in _uploads(step.get("files")):
        path = _known(written, compiler)
        if path is not None:
            _refuse_unreadable(Path(text_of(path)))


def _known(value: object, compiler: Compiler) -> object:
    """None if the key is missing, or its value differs from hit to hit."""
    compiled = compiler(value)
    return compiled.value if compiled.is_static else None


def _uploads(files: object) -> Iterator[object]:
    """The paths of a step's `files`, in either form."""
    for entry in files.values() if isinstance(files, Mapping) else files if isinstance(files, list) else ():
        yield entry.get("path") if isinstance(entry, Mapping) else entry


def _refuse_unreadable(path: Path) -> None:
    try:
        with open_regular(path, "rb"):
            pass
    except OSError as error:
        raise HitFailure(Outcome.TEMPLATE, f"the file {path} can't be read: {error.strerror}") from None
