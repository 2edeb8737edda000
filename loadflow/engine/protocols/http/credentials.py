"""What `auth` of a step says, filled in: of which kind it is, and what follows from it at once."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from loadflow.engine.base.values import text_of
from loadflow.engine.protocols.http.aws_signature import AwsKeys
from loadflow.engine.protocols.http.digest import DigestKeys

__all__ = ["authorization_of", "aws_keys", "digest_keys", "kind_of_auth"]


def kind_of_auth(auth: Mapping[str, object] | None) -> str:
    return "" if auth is None else str(auth["type"]).lower()


def digest_keys(auth: Mapping[str, object] | None) -> DigestKeys | None:
    if auth is None or kind_of_auth(auth) != "digest":
        return None
    return DigestKeys(text_of(auth["username"]), text_of(auth["password"]))


def aws_keys(auth: Mapping[str, object] | None) -> AwsKeys | None:
    if auth is None or kind_of_auth(auth) != "aws":
        return None
    return AwsKeys(**{key: text_of(value) for key, value in auth.items() if key != "type" and value is not None})


def authorization_of(auth: Mapping[str, object] | None, url: str) -> str:
    """The field's value, from `auth`, or from user and password in the URL; "" where there is neither."""
    if auth is not None:
        kind = kind_of_auth(auth)
        if kind == "bearer":
            return f"Bearer {text_of(auth['token'])}"
        if kind == "aws":
            return ""  # it is made of the whole request
        if kind == "digest":
            return ""  # the server asks for it
        return _basic(text_of(auth["username"]), text_of(auth["password"]))
    if "@" not in url or not (parts := urlsplit(url)).username:
        return ""
    return _basic(unquote(parts.username or ""), unquote(parts.password or ""))


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
