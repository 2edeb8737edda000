"""AWS Signature Version 4 of a request (AWS General Reference, "Signing AWS API requests"). Pure: the time is passed in."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote

__all__ = ["AwsKeys", "signed_fields", "signed_target"]

ALGORITHM = "AWS4-HMAC-SHA256"
PLAIN = "-_.~"  # what is never encoded, besides letters and digits (RFC 3986 section 2.3)

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Whose signature, and for what: `service` as AWS calls it, for example "execute-api" or "s3"."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    service: str
    session_token: str | None = field(default=None, repr=False)


def signed_target(target: str) -> str:
    """A target as AWS reads it: a `+` of its query is one there, so a space is written as %20."""
    path, mark, query = target.partition("?")
    return f"{path}{mark}{query.replace('+', '%20')}"


def signed_fields(method: str, host: str, target: str, fields: Pairs, body: bytes, keys: AwsKeys, unix_s: float) -> list[tuple[str, str]]:
    """The fields that a request gets besides its own `fields`. `host`: the value of its Host field; `target`: see `signed_target`."""
    now = datetime.fromtimestamp(unix_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    added = [("X-Amz-Date", now)]
    if keys.service == "s3":
        added.append(("X-Amz-Content-Sha256", digest))
    if keys.session_token:
        added.append(("X-Amz-Security-Token", keys.session_token))
    signed = {"host": host}
    for name, value in [*fields, *added]:
        lower = name.lower()
        if lower.startswith("x-amz-") or lower == "content-type":
            signed[lower] = f"{signed[lower]},{_trimmed(value)}" if lower in signed else _trimmed(value)
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    path, _, query = target.partition("?")
    canonical = "\n".join((method, _path(path, keys.service), _query(query), lines, names, digest))
    scope = f"{now[:8]}/{keys.region}/{keys.service}/aws4_request"
    to_sign = "\n".join((ALGORITHM, now, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    signature = _mac(key, to_sign).hex()
    added.append(("Authorization", f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"))
    return added


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _trimmed(value: str) -> str:
    return " ".join(value.split())


def _path(path: str, service: str) -> str:
    """S3 takes a path as it is; others want it without dots and encoded once more."""
    if service == "s3":
        return path
    plain = posixpath.normpath(f"/{path.lstrip('/')}")
    return quote(f"{plain}/" if path.endswith("/") and plain != "/" else plain, safe=f"/{PLAIN}")


def _query(query: str) -> str:
    pairs = [one.partition("=") for one in query.split("&") if one]
    coded = sorted((quote(unquote(name), safe=PLAIN), quote(unquote(value), safe=PLAIN)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in coded)
