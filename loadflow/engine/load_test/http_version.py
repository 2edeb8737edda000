"""What is wrong with `http_version` and `streams` and with what was written beside them: found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.visit import steps_of_test

__all__ = ["CORES_OWN", "MOST_STREAMS", "field_faults", "version_faults"]

USERS = ("fast_http_user", "http_user")
MOST_STREAMS = 10_000  # of one connection; servers take 100 or so
CORES_OWN = (2, 3)  # versions that Locust does not send
# RFC 9113 section 8.2.2 and RFC 9114 section 4.2: a message that holds one of these is malformed
CONNECTION_FIELDS = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


def version_faults(detail: dict[str, object]) -> Iterable[Fault]:
    """Of `user_detail_dict`, as it was written."""
    yield from _stream_faults(detail)
    if "http_version" not in detail:
        return
    user = detail.get("user", "fast_http_user")
    if isinstance(user, str) and user not in USERS:
        yield Fault(("http_version",), f"has no meaning for user {user!r}", f"it is for {' and '.join(USERS)}")
    elif (version := detail["http_version"]) in CORES_OWN and detail.get("engine") == "locust":
        hint = 'only the native core does: leave "engine" out, or write "native"'
        yield Fault(("http_version",), f"Locust sends no HTTP/{version}", hint)
    if detail["http_version"] == 3:
        yield from _quic_faults(detail)


def _quic_faults(detail: dict[str, object]) -> Iterable[Fault]:
    """What HTTP/3 can't do: it goes over UDP, within TLS 1.3."""
    proxy, tls = detail.get("proxy"), detail.get("tls")
    if isinstance(proxy, str) and proxy.strip():
        yield Fault(("proxy",), "HTTP/3 goes over UDP, which no proxy of these takes", 'write "proxy": "", or leave http_version out')
    if not isinstance(tls, dict):
        return
    versions = tls.get("versions")
    if isinstance(versions, list) and versions and "1.3" not in versions:
        yield Fault(("tls", "versions"), "HTTP/3 has TLS 1.3 and no other", "add 1.3, or leave http_version out")
    if tls.get("ciphers") is not None:
        yield Fault(("tls", "ciphers"), "are those of TLS 1.2, and HTTP/3 has TLS 1.3", "remove them, or leave http_version out")


def _stream_faults(detail: dict[str, object]) -> Iterable[Fault]:
    if detail.get("streams") is None:
        return
    version, kept = detail.get("http_version"), detail.get("connection", "keep")
    if version is None or version == 1:
        text = "is about connections of HTTP/2 and HTTP/3, and the core's alone: HTTP/1.1 sends one request after the other"
        yield Fault(("streams",), text, 'write "http_version": 2 (or 3), or remove it')
    if kept in ("per_pass", "per_request"):
        text = f"lets users share connections, and with connection {kept!r} a connection is one user's"
        yield Fault(("streams",), text, "remove one of the two")


def field_faults(test: dict[str, object]) -> Iterable[Fault]:
    """Header fields of steps that HTTP/2 and HTTP/3 do not have."""
    detail = test.get("user_detail_dict")
    if not isinstance(detail, dict) or (version := detail.get("http_version")) not in CORES_OWN:
        return
    for loc, step in steps_of_test(test):
        headers = step.get("headers")
        for name in headers if isinstance(headers, dict) else ():
            if isinstance(name, str) and name.lower() in CONNECTION_FIELDS:
                text = f"is about an HTTP/1.1 connection; HTTP/{version} has no such field"
                yield Fault((*loc, "headers", name), text, "leave it out, or leave http_version out")
