"""What the commands that start exporters do with their arguments: fill in placeholders, and tell mistakes before anything is sent.

Where a script may send is held to a list of hosts, if there is one. No exporter follows redirects, so the list holds for all of it.
What stands in the environment (OTEL_EXPORTER_OTLP_ENDPOINT, a proxy) was set by whoever runs the process, and is not asked about.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadflow.engine.load.rules import secrets_in
from loadflow.engine.plan.target import EXPORT_HOSTS_VARIABLE, refusing
from loadflow.engine.resolve.static import missing_in
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.session import Session
from loadflow.errors import CommandError, Mistake

__all__ = ["filled", "readable", "refuse_host", "url_of"]

# parsers of URLs do not agree on what these mean, so one may see another host than the next
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


def readable(**files: str | None) -> None:
    """Raises CommandError for a file that can't be read: the libraries would find out with the first thing they send."""
    for name, path in files.items():
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise CommandError([Mistake(name, f"{path!r} can't be read: {error.strerror}", "give the path of a PEM file")]) from None


def url_of(name: str, value: Any, example: str, session: Session) -> str | None:
    """Raises CommandError for what is no URL of HTTP, or leads where nothing may be sent; None stays None."""
    if value is None:
        return None
    try:
        parts = urlsplit(str(value))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not AMBIGUOUS.search(str(value)):
            refuse_host(name, parts.hostname, session)
            return str(value)
    except ValueError:  # a port that is no number, half an IPv6 address
        pass
    raise CommandError([Mistake(name, "is no http:// or https:// URL", f"such as {example}")])


def refuse_host(name: str, host: str, session: Session) -> None:
    """Raises CommandError for a host that exporters may not send to."""
    refused = refusing(host, session.target.export_lists())
    if refused is not None:
        text = f"{host} may not be exported to; allowed: {', '.join(refused) or 'loopback only'}"
        hint = f"whoever runs this process lists the hosts of exporters in {EXPORT_HOSTS_VARIABLE}; without it those of targets hold"
        raise CommandError([Mistake(name, text, hint)])


def filled(name: str, value: Any, session: Session) -> Any:
    """`value` with ${env.…}, ${var.…} and ${secret.…} filled in; raises CommandError for one that has no value."""
    variables = {**session.variables.values, **secrets_in(value, session.secret, name)}
    compiled = compile_value(value, variables, session.environment)
    if compiled.is_static:
        return compiled.value
    missing = missing_in(value, variables=variables, sources={}, env=session.environment)
    allowed = "only ${var.…}, ${env.…} and ${secret.…} are known here"
    raise CommandError([Mistake(name, text) for text in missing] or [Mistake(name, allowed)])
