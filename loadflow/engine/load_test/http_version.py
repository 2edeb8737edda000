"""What is wrong with `http_version` and with what was written beside it: found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.visit import steps_of_test

__all__ = ["field_faults", "version_faults"]

USERS = ("fast_http_user", "http_user")
# RFC 9113 section 8.2.2: a message that holds one of these is malformed
CONNECTION_FIELDS = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


def version_faults(detail: dict[str, object]) -> Iterable[Fault]:
    """Of `user_detail_dict`, as it was written."""
    if "http_version" not in detail:
        return
    user = detail.get("user", "fast_http_user")
    if isinstance(user, str) and user not in USERS:
        yield Fault(("http_version",), f"has no meaning for user {user!r}", f"it is for {' and '.join(USERS)}")
    elif detail["http_version"] == 2 and detail.get("engine") == "locust":
        yield Fault(("http_version",), "Locust sends no HTTP/2", 'leave "engine" out, or write "native"')


def field_faults(test: dict[str, object]) -> Iterable[Fault]:
    """Header fields of steps that HTTP/2 does not have."""
    detail = test.get("user_detail_dict")
    if not isinstance(detail, dict) or detail.get("http_version") != 2:
        return
    for loc, step in steps_of_test(test):
        headers = step.get("headers")
        for name in headers if isinstance(headers, dict) else ():
            if isinstance(name, str) and name.lower() in CONNECTION_FIELDS:
                text = "is about an HTTP/1.1 connection; HTTP/2 has no such field"
                yield Fault((*loc, "headers", name), text, "leave it out, or leave http_version out")
