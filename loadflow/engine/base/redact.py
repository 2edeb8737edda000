"""Keeps secrets out of everything that is written: by the name they stand under, and by their value.

A secret is what stands under a secret name (in headers, cookies, JSON keys, form fields, query parameters, variables, or as
the value beside it), and every value that was once seen there: it is masked wherever it turns up again, however it was
escaped or coded on its way.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from loadflow.engine.base.escapes import views
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.secret_forms import SHORTEST, Form, forms_of
from loadflow.engine.base.secret_places import NAME_KEYS, SECRET_NAMES, VALUE_KEYS, SecretPlaces

__all__ = ["MASK", "Redactor"]

MASK = "***"
LONGEST_JSON = 2**16  # characters of a body that is parsed
# of a list of two: a longer first one is a sentence, which names nothing
PAIR_NAME = re.compile(r"[\w.\[\]:-]{1,100}(?: [\w.\[\]:-]{1,50})?")
CODED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")

Span = tuple[int, int]


class Redactor:
    """Masks secrets in texts and JSON values. `extra_names` add to the built-in names; all match as parts of a name.

    >>> redactor = Redactor()
    >>> redactor.value({"user": "ann", "password": "hunter22"})
    {'user': 'ann', 'password': '***'}
    >>> redactor.text("wrong password: hunter22")
    'wrong password: ***'
    """

    def __init__(self, extra_names: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        self._places = SecretPlaces([*SECRET_NAMES, *(name for name in extra_names if name.strip())])
        self._forms: dict[str, tuple[Form, ...]] = {}  # by the first SHORTEST characters
        for value in values:
            self.learn(value)

    def is_secret(self, name: str) -> bool:
        return self._places.is_secret(name)

    def learn(self, value: object) -> None:
        """From now on mask this value, and its coded forms, wherever it appears. Containers: every value in them."""
        if isinstance(value, Mapping):
            for one in value.values():
                self.learn(one)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for one in value:
                self.learn(one)
        else:
            for form in forms_of(value):
                known = self._forms.get(form.text[:SHORTEST], ())
                if form not in known:
                    self._forms[form.text[:SHORTEST]] = (*known, form)

    def knowing(self, values: Iterable[object]) -> Redactor:
        """This one, and `values` besides: for one use, so that what is known does not grow with every user's tokens."""
        other = copy(self)
        other._forms = dict(self._forms)
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
            beside = self._name_beside(data)
            for key, value in data.items():
                self.learn_from(value, beside if beside and str(key).lower() in VALUE_KEYS else str(key))
        elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
            name = self._name_before(data)
            for index, value in enumerate(data):
                self.learn_from(value, name if index == 1 else "")

    def text(self, text: str) -> str:
        """`text` with secrets masked; as given when it holds none."""
        parts: list[str] = []
        at = 0
        for start, end in _joined(self._spans(text)):
            parts += (text[at:start], MASK)
            at = end
        return "".join((*parts, text[at:])) if parts else text

    def value(self, data: Any, name: str = "") -> Any:
        """A copy of JSON-like `data` with secrets masked; templates such as `${env.TOKEN}` stay readable."""
        if name and self.is_secret(name):
            return data if isinstance(data, str) and _only_template(data) else MASK if data is not None else None
        if isinstance(data, Mapping):
            beside = self._name_beside(data)
            return {
                key: self.value(value, beside if beside and str(key).lower() in VALUE_KEYS else str(key)) for key, value in data.items()
            }
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, Sequence) and not isinstance(data, bytes):
            name = self._name_before(data)
            return [self.value(value, name if index == 1 else "") for index, value in enumerate(data)]
        return data

    def body(self, text: str, limit: int) -> str:
        """A message body: as JSON where it is that and has a secret name in it, so that numbers and lists are masked too.

        Of any other text only `limit` characters are given back.
        """
        if text[:1] in ("{", "[") and len(text) <= LONGEST_JSON and self.is_secret(text):  # most have none, and stay as they came
            try:
                return json.dumps(self.value(read_json(text)), ensure_ascii=False)
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

    def _name_beside(self, data: Mapping[Any, Any]) -> str:
        """The secret's name that an object such as {"name": "password", "value": "x"} holds; "" for another object."""
        names = (value for key, value in data.items() if isinstance(value, str) and str(key).lower() in NAME_KEYS)
        return next((name for name in names if self.is_secret(name)), "")

    def _name_before(self, data: Sequence[Any]) -> str:
        """The secret's name that a pair of a form, of a query, of metadata begins with; "" for another list."""
        if len(data) != 2 or not isinstance(data[0], str) or not PAIR_NAME.fullmatch(data[0]):
            return ""
        return data[0] if self.is_secret(data[0]) else ""

    def _spans(self, text: str) -> Iterator[Span]:
        """Whatever is to be masked, in no order; spans may overlap."""
        for view in views(text):
            for form in self._forms_begun_in(view.text):
                for start, end in _each(view.text, form.text):
                    yield view.source(*_with_beside(view.text, start, end, form.beside))
            for start, end in self._places.in_text(view.text):
                if start < end:
                    yield view.source(start, end)
                elif view.text is text:
                    yield start, end

    def _forms_begun_in(self, text: str) -> list[Form]:
        """Those whose first characters stand in `text`: one look at it, however many are known."""
        if not self._forms:
            return []
        begun = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)} & self._forms.keys()
        return [form for start in begun for form in self._forms[start]]


def _each(text: str, form: str) -> Iterator[Span]:
    """Where `form` stands in `text`; those that overlap are one span, found in steps of at least half its length."""
    start = text.find(form)
    while start >= 0:
        first, end = start, start + len(form)
        while (last := text.rfind(form, start, end + len(form) - 1)) > start:
            start, end = last, last + len(form)
        yield first, end
        start = text.find(form, end)


def _with_beside(text: str, start: int, end: int, beside: int) -> Span:
    """With up to `beside` coded characters on each side, and the filling of Base64 behind them."""
    if beside:
        for _ in range(beside):
            start -= 1 if start > 0 and text[start - 1] in CODED else 0
            end += 1 if end < len(text) and text[end] in CODED else 0
    return start, end


def _joined(spans: Iterable[Span]) -> list[Span]:
    """In order, those that touch as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _only_template(text: str) -> bool:
    """Whether nothing but placeholders and a scheme such as `Bearer ` is in the text."""
    rest = re.sub(r"\$\{[^}]*\}", "", text).strip()
    return rest.lower() in ("", "bearer", "basic")
