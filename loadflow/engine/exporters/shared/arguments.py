"""What the commands that start exporters do with their arguments: fill in placeholders, and report mistakes before anything is sent.

Where a script may send is held to a list of hosts, if there is one. No exporter follows redirects, so the list holds for all of it.
The list does not apply to the environment of the process (OTEL_EXPORTER_OTLP_ENDPOINT, a proxy).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.exporters.shared import way
from loadflow.engine.plan.target import EXPORT_HOSTS_VARIABLE, is_this_machine_by_name, refusing
from loadflow.engine.resolve.secret_values import secrets_in
from loadflow.engine.resolve.static import missing_in
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError, Mistake

__all__ = ["MAX_SERIES", "filled", "readable", "refuse_host", "url_of"]

# parsers of URLs do not agree on what these mean, so one may see another host than the next
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


def readable(**files: str | None) -> None:
    """Raises CommandError for a file that can't be read: the libraries would find out with the first thing they send."""
    for name, path in files.items():
        try:
            if path is not None:
                read_regular(path)
        except OSError as error:
            raise CommandError([Mistake(name, f"{path!r} can't be read: {error.strerror}", "give the path of a PEM file")]) from None


def url_of(name: str, value: object, example: str, session: Session) -> str | None:
    """Raises CommandError if it is not an HTTP URL, or its host is not allowed; None stays None."""
    if value is None:
        return None
    try:
        parts = urlsplit(str(value))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not AMBIGUOUS.search(str(value)):
            refuse_host(name, parts.hostname, session)
            return str(value)
    except ValueError:  # a port that is not a number, half an IPv6 address
        pass
    raise CommandError([Mistake(name, "is not an http:// or https:// URL", f"such as {example}")])


def refuse_host(name: str, host: str, session: Session) -> None:
    """Raises CommandError for a host that exporters may not send to. A name that should be this machine's is held to its answer, here
    and by each connection."""
    lists = session.target.export_lists()
    refused = refusing(host, lists)
    if lists and is_this_machine_by_name(host):
        try:
            way.answer(host, 0, lists)
            refused = None
        except PermissionError:
            refused = lists[0]
        except OSError:  # it has no address
            pass
    if refused is not None:
        text = f"{host} may not be exported to; allowed: {', '.join(refused) or 'loopback only'}"
        hint = f"add the host to {EXPORT_HOSTS_VARIABLE} in the environment of this process; without it, the hosts of targets are allowed"
        raise CommandError([Mistake(name, text, hint)])


def filled(name: str, value: object, session: Session) -> Any:
    """`value` with ${env.…}, ${var.…} and ${secret.…} filled in; raises CommandError for one that has no value."""
    variables = {**session.variables.values, **secrets_in(value, session.secret, name)}
    compiled = compile_value(value, variables, session.environment)
    if compiled.is_static:
        return compiled.value
    missing = missing_in(value, variables=variables, sources={}, env=session.environment)
    allowed = "only ${var.…}, ${env.…} and ${secret.…} are known here"
    raise CommandError([Mistake(name, text) for text in missing] or [Mistake(name, allowed)])


MAX_SERIES = 500
