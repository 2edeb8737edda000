"""Keeps secrets out of everything that is written: by the name they stand under, and by their value.

A secret is what stands under a secret name (in headers, cookies, JSON keys, form fields, query parameters, variables), and
every value that was once seen there: it is masked wherever it turns up again, also in its Base64 and URL-encoded forms.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Redactor", "forms_of"]

MASK = "***"
SECRET_NAMES = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "cookies",
    "set-cookie",
    "password",
    "passwd",
    "pwd",
    "token",
    "secret",
    "api-key",
    "apikey",
    "access-key",
    "private-key",
    "credential",
)
SHORTEST_NUMBER = 6  # digits: shorter ones are counts and statuses
LONGEST_JSON = 2**20  # characters of a body that is parsed
SHORTEST = 4  # masking every "1" or "abc" would shred the texts and hide nothing
# "password": "x" and 'password': 'x', also inside of a JSON text | password=x& | Authorization: x
# Every repetition is possessive or bounded: a target may send texts that are made to keep a backtracking search busy.
_FIELDS = r"""
    (?P<json> (?P<mark> \\?["'] ) (?= [^"'\\\r\n]{{0,100}}? (?:{name}) ) [^"'\\\r\n]{{1,200}}+ (?P=mark) \s*+:\s*+ )
    (?! (?:null|true|false)\b )
    (?: (?P<quote> \\?["'] ) (?: (?! (?P=quote) ) (?: \\. | . ) )*+ (?P=quote)?
      | \[ [^\]]*+ \]? | \{{ [^}}]*+ \}}? | [^\s,}}\]"'\[{{]++ )
  | (?P<form> (?<![\w.\[\]%-]) (?= [\w.\[\]%-]{{0,100}}? (?:{name}) ) [\w.\[\]%-]{{1,200}}+ = ) [^&;\s"']++
  | (?P<header> ^ (?= [\w-]{{0,100}}? (?:{name}) ) [\w-]{{1,200}}+ : [ \t]*+ ) [^\r\n]++
"""


class Redactor:
    """Masks secrets in texts and JSON values. `extra_names` add to the built-in names; all match as parts of a name.

    >>> redactor = Redactor()
    >>> redactor.value({"user": "ann", "password": "hunter22"})
    {'user': 'ann', 'password': '***'}
    >>> redactor.text("wrong password: hunter22")
    'wrong password: ***'
    """

    def __init__(self, extra_names: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        names = [*SECRET_NAMES, *(name for name in extra_names if name.strip())]
        alternatives = "|".join(sorted({_loose(name) for name in names}, key=len, reverse=True))
        self._name = re.compile(rf"(?:{alternatives})", re.IGNORECASE)
        self._in_text = re.compile(_FIELDS.format(name=alternatives), re.IGNORECASE | re.MULTILINE | re.VERBOSE | re.DOTALL)
        self._bearer = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{4,}", re.IGNORECASE)
        # a URL's user and password, as in a database's URL; a password may hold "@", its last one ends it
        self._userinfo = re.compile(r"(?P<user>\b[a-z][a-z0-9+.-]{0,20}+://[^\s/?#:@\"']*+:)[^\s/?#\"']+@", re.IGNORECASE)
        self._values: dict[str, None] = {}
        self._known: re.Pattern[str] | None = None
        for value in values:
            self.learn(value)

    def is_secret(self, name: str) -> bool:
        return self._name.search(name) is not None

    def learn(self, value: Any) -> None:
        """From now on mask this value, and its encoded forms, wherever it appears. Containers: every value in them."""
        if isinstance(value, Mapping):
            for one in value.values():
                self.learn(one)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for one in value:
                self.learn(one)
        else:
            for form in forms_of(value):
                self._values.setdefault(form)
                self._known = None

    def knowing(self, values: Iterable[Any]) -> Redactor:
        """This one, and `values` besides: for one use, so that what is known does not grow with every user's tokens."""
        other = copy(self)
        other._values = dict(self._values)
        other._known = None
        other.learn(list(values))
        return other

    def learn_from(self, data: Any, name: str = "") -> None:
        """Learn every value that stands under a secret name anywhere in JSON-like `data`, and basic auth's pairs."""
        if name and self.is_secret(name):
            self.learn(data)
            if isinstance(data, str) and (scheme := data.split(" ", 1)) and len(scheme) == 2:
                self.learn(scheme[1])
        if isinstance(data, Mapping):
            if isinstance(data.get("username"), str) and isinstance(data.get("password"), str):
                self.learn(base64.b64encode(f"{data['username']}:{data['password']}".encode()).decode())
            for key, value in data.items():
                self.learn_from(value, str(key))
        elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
            if len(data) == 2 and isinstance(data[0], str):  # a pair of a form, of a query, of metadata
                self.learn_from(data[1], data[0])
            for value in data:
                self.learn_from(value)

    def text(self, text: str) -> str:
        """`text` with secrets masked; as given when it holds none."""
        if self._values:
            if self._known is None:
                self._known = re.compile("|".join(re.escape(value) for value in sorted(self._values, key=len, reverse=True)))
            text = self._known.sub(MASK, text)
        text = self._userinfo.sub(rf"\g<user>{MASK}@", text)
        text = self._bearer.sub(rf"\1 {MASK}", text)
        return self._in_text.sub(_keep_name, text)

    def value(self, data: Any, name: str = "") -> Any:
        """A copy of JSON-like `data` with secrets masked; templates such as `${env.TOKEN}` stay readable."""
        if name and self.is_secret(name):
            return data if isinstance(data, str) and _only_template(data) else MASK if data is not None else None
        if isinstance(data, Mapping):
            return {key: self.value(value, str(key)) for key, value in data.items()}
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, Sequence) and not isinstance(data, bytes):
            return [self.value(value) for value in data]
        return data

    def body(self, text: str, limit: int) -> str:
        """A message body: as JSON where it is that and has a secret name in it, so that numbers and lists are masked too.

        Of any other text only `limit` characters are given back.
        """
        if text[:1] in ("{", "[") and len(text) <= LONGEST_JSON and self._name.search(text):  # most have none, and stay as they came
            try:
                return json.dumps(self.value(json.loads(text)), ensure_ascii=False)
            except (ValueError, RecursionError):
                pass
        return self.text(text[:limit])

    def headers(self, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Header fields with secret ones masked; repeated fields are joined by a comma."""
        result: dict[str, str] = {}
        for key, value in pairs:
            shown = MASK if self.is_secret(key) else self.text(value)
            result[key] = f"{result[key]}, {shown}" if key in result else shown
        return result


def _loose(name: str) -> str:
    """`api-key` also matches api_key, apikey and "api key"."""
    return "[-_ ]?".join(re.escape(part) for part in re.split(r"[-_ ]", name.strip()) if part)


def _only_template(text: str) -> bool:
    """Whether nothing but placeholders and a scheme such as `Bearer ` is in the text."""
    rest = re.sub(r"\$\{[^}]*\}", "", text).strip()
    return rest.lower() in ("", "bearer", "basic")


def _keep_name(match: re.Match[str]) -> str:
    quote_mark = match["quote"]
    return f"{match['json'] or match['form'] or match['header']}{quote_mark or ''}{MASK}{quote_mark or ''}"


@lru_cache(maxsize=4096)
def forms_of(value: Any) -> tuple[str, ...]:
    """How a secret may stand in a text: as it is, in Base64, in a URL, in JSON, in Python's own writing. () for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and len(str(value)) >= SHORTEST_NUMBER:
        return (str(value),)
    if not isinstance(value, str) or len(value) < SHORTEST or "${" in value:
        return ()
    raw = value.encode("utf-8", "surrogatepass")
    forms = (
        value,
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        quote(raw, safe=""),
        quote(raw),
        quote(raw, safe="!#$%&'()*+,/:;=?@[]~"),
        quote_plus(raw),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
    )
    return tuple(dict.fromkeys(forms))
