"""Values that one response returned and a later request sent: found by going through the responses with what requests send."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadflow.engine.recording.entry import as_dict, as_text, header_pairs
from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.recording.naming import identifier, looks_generated
from loadflow.engine.recording.substitute import DOLLAR, Shape, step_keys
from loadflow.engine.redact import Redactor

__all__ = ["Found", "Sent", "correlate", "sent_by"]

# What says nothing about the user's path, or what the client keeps by itself.
DULL = {
    *("date", "set-cookie", "content-type", "content-length", "server", "expires", "last-modified", "age", "vary", "via"),
    *("cache-control", "connection", "transfer-encoding", "content-encoding", "alt-svc", "strict-transport-security"),
}
MOST_TEXT = 8_000_000  # characters of a response body that is looked into
SHORTEST = 3
# Besides the names of secrets, what a short value may stand under and still be taken for one of this session.
SESSION_WORDS = ("csrf", "xsrf", "nonce", "session", "sid", "ticket")


@dataclass(slots=True)
class Sent:
    """Every value that requests send, by position of the step that sends it first, and where it stands whole."""

    first: dict[str, int] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    steps: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the response of step `producer` that later steps send. `path` of its JSON body, or the `header`."""

    value: str
    is_number: bool
    variable: str
    producer: int
    path: str
    header: str
    users: tuple[int, ...]

    @property
    def extract(self) -> dict[str, str]:
        """The entry for the producing step."""
        if self.header:
            return {"var": self.variable, "from": "header", "name": self.header}
        return {"var": self.variable, "from": "json_path", "path": self.path}


def sent_by(exchanges: Sequence[Exchange], cookies: Sequence[Mapping[str, str]]) -> Sent:
    """What the requests of these steps send."""
    sent = Sent()
    for position, (exchange, own) in enumerate(zip(exchanges, cookies, strict=True)):

        def note(value: str, shape: Shape, name: str, position: int = position) -> None:
            if len(value) >= SHORTEST:
                sent.first.setdefault(value, position)
                if shape == "part" and value not in sent.steps and not looks_generated(value):
                    return  # a word of a longer text; kept only as having been sent
                sent.steps.setdefault(value, set()).add(position)
                sent.whole.add(value)

        step_keys(exchange.request, own, note)
    return sent


def correlate(responses: Iterable[tuple[int, Mapping[str, Any]]], sent: Sent, taken: set[str]) -> list[Found]:
    """Which values are returned before they are first sent. `responses` are (position of the step, response), in file order.

    A value that several responses return is taken from the earliest step. A value that was sent before it was first returned is
    the client's own. `taken` gets the names of the variables.
    """
    best: dict[str, tuple[int, str, str, bool]] = {}
    redactor = Redactor()
    for position, response in responses:
        for value, path, header, is_number in _leaves(response):
            first = sent.first.get(value)
            if first is None or first <= position or not _telling(value, path or header, header, redactor):
                continue
            if value in sent.whole and (value not in best or best[value][0] > position):
                best[value] = (position, path, header, is_number)
    found = []
    taken.add(DOLLAR)
    for value, (position, path, header, is_number) in sorted(best.items(), key=lambda item: item[1][:3]):
        variable = identifier(header or _last_word(path), taken)
        taken.add(variable)
        users = tuple(sorted(sent.steps.get(value, ())))
        found.append(Found(value, is_number, variable, position, path, header, users))
    return found


def _telling(value: str, where: str, header: str, redactor: Redactor) -> bool:
    """Long or random enough; short values count under a name that says what they are."""
    if looks_generated(value):
        return True
    if header.lower() == "location":
        return any(part.isdigit() or looks_generated(part) for part in value.split("/"))
    word = where.rsplit(".", 1)[-1].lower()
    if any(one in word for one in SESSION_WORDS) or redactor.is_secret(word):
        return any(one.isdigit() for one in value) and value.lower() not in ("true", "false")
    return word.endswith("id") and len(value) >= 4 and any(one.isdigit() for one in value)


def _last_word(path: str) -> str:
    words = [part for part in path.split(".") if not part.isdigit()]
    return "_".join(words[-2:]) if words and words[-1].lower() == "id" else words[-1] if words else "value"


def _leaves(response: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """(value, JSON path, header, whether it is a number) of everything a step could extract."""
    headers = header_pairs(response.get("headers"))
    for name, value in headers:
        if name.lower() not in DULL and not name.startswith(":") and len(value) >= SHORTEST:
            yield value, "", name, False
    content = as_dict(response.get("content"))
    text = as_text(content.get("text"))
    if as_text(content.get("encoding")).lower() == "base64" and len(text) <= MOST_TEXT * 4 // 3:
        try:
            text = base64.b64decode(text).decode()
        except ValueError:
            return
    if len(text) > MOST_TEXT or text.lstrip("\ufeff \t\r\n")[:1] not in ("{", "["):
        return
    try:
        body = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return
    yield from _json_leaves(body)


def _json_leaves(body: Any) -> Iterator[tuple[str, str, str, bool]]:
    """In reading order. Keys that a dotted path can't name, and what is below them, are passed over."""
    pending: list[tuple[str, Any]] = [("", body)]
    while pending:
        path, value = pending.pop()
        dot = f"{path}." if path else ""
        if isinstance(value, dict):
            pending.extend([(f"{dot}{key}", one) for key, one in value.items() if key and "." not in key and "${" not in key][::-1])
        elif isinstance(value, list):
            pending.extend([(f"{dot}{index}", one) for index, one in enumerate(value)][::-1])
        elif isinstance(value, str) and len(value) >= SHORTEST:
            yield value, path, "", False
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
            yield str(value), path, "", True
