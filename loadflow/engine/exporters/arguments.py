"""What the commands that start exporters do with their arguments: fill in placeholders, and tell mistakes before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadflow.engine.load.rules import secrets_in
from loadflow.engine.resolve.static import missing_in
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.session import Session
from loadflow.errors import CommandError, Mistake

__all__ = ["filled", "readable", "url_of"]


def readable(**files: str | None) -> None:
    """Raises CommandError for a file that can't be read: the libraries would find out with the first thing they send."""
    for name, path in files.items():
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise CommandError([Mistake(name, f"{path!r} can't be read: {error.strerror}", "give the path of a PEM file")]) from None


def url_of(name: str, value: Any, example: str) -> str | None:
    """Raises CommandError for what is no URL of HTTP; None stays None."""
    if value is None:
        return None
    try:
        parts = urlsplit(str(value))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return str(value)
    except ValueError:  # a port that is no number, half an IPv6 address
        pass
    raise CommandError([Mistake(name, "is no http:// or https:// URL", f"such as {example}")])


def filled(name: str, value: Any, session: Session) -> Any:
    """`value` with ${env.…}, ${var.…} and ${secret.…} filled in; raises CommandError for one that has no value."""
    variables = {**session.variables.values, **secrets_in(value, session.secret, name)}
    compiled = compile_value(value, variables, session.environment)
    if compiled.is_static:
        return compiled.value
    missing = missing_in(value, variables=variables, sources={}, env=session.environment)
    allowed = "only ${var.…}, ${env.…} and ${secret.…} are known here"
    raise CommandError([Mistake(name, text) for text in missing] or [Mistake(name, allowed)])
