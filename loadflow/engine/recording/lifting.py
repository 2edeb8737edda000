"""Takes secrets out of steps: each gets a placeholder, whose value only the one who recorded it knows."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.recording.dynamic import is_strong
from loadflow.engine.recording.places import Place
from loadflow.engine.script.placeholders import pieces

__all__ = ["Lifter", "swept"]

NO_SECRETS = frozenset({"", "true", "false", "null", "none", "undefined", "0", "1"})
LEAST_DIGITS = 4  # of a number: below it is a count
_REDACTOR = Redactor()
# not gone through again: they hold no texts of the recording, or bytes
_APART = frozenset({"method", "assertions", "extract", "think_time", "data_base64", "content_base64", "files"})


class Lifter:
    """Gives each secret value its placeholder, the same for the same value; `placeholders` are by value.

    Texts become `${env.RECORDED_…}`: what a process has in its environment stays out of scripts and databases. The prefix keeps
    a recording from picking up what else is there. Numbers become `${var.recorded_…}`, which keeps them numbers.
    """

    def __init__(self) -> None:
        self.placeholders: dict[str, str] = {}
        self._names: set[str] = set()

    def lift(self, value: str, place: Place) -> str | None:
        """The placeholder, or None for what can't be a secret."""
        if value.lower() in NO_SECRETS or value.startswith("${") or (place.kind == "text" and len(value) < 3):
            return None
        if place.is_number and len(value) < LEAST_DIGITS:
            return None
        key = f"{value} as a number" if place.is_number else value
        if key not in self.placeholders:
            name = self._name(place)
            self.placeholders[key] = f"${{var.{name.lower()}}}" if place.is_number else f"${{env.{name}}}"
        return self.placeholders[key]

    def _name(self, place: Place) -> str:
        spoken = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", place.name) or place.kind
        base = re.sub(r"\W+", "_", spoken, flags=re.ASCII).strip("_").upper()[:40] or place.kind.upper()
        if place.kind == "cookie":
            base = f"COOKIE_{base}"
        if not _REDACTOR.is_secret(base):
            base = f"{base}_SECRET"  # reports mask the values of variables by their names
        name, number = f"RECORDED_{base}", 1
        while name in self._names:
            number += 1
            name = f"RECORDED_{base}_{number}"
        self._names.add(name)
        return name


def swept(step: JsonObject, secrets: Mapping[str, str]) -> dict[str, object]:
    """`step` with every secret value that stands somewhere else too replaced by its placeholder.

    Only values that can't be ordinary words are looked for, also percent-encoded; what is in files is left as it was recorded.
    """
    forms = {form: placeholder for value, placeholder in secrets.items() if _can_be_told(value) for form in _forms(value)}
    if not forms:
        return step
    alternatives = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")

    def clean(text: str) -> str:
        return "".join(
            pattern.sub(lambda match: forms[match[0]], piece) if isinstance(piece, str) else piece.text for piece in pieces(text)
        )

    made = {key: value if key in _APART else _mapped(value, clean) for key, value in step.items()}
    made["name"] = pattern.sub("{secret}", step["name"])
    return made


def _forms(value: str) -> set[str]:
    """How a secret may stand in a text: as it is, in a URL, in JSON, in HTML."""
    return {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        value.replace("/", "\\/"),
        html.escape(value),
        html.escape(value, quote=False),
    }


def _can_be_told(value: str) -> bool:
    return is_strong(value) or (len(value) >= 8 and re.search(r"[^A-Za-z]", value) is not None)


def _mapped(value: object, clean: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_mapped(item, clean) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, clean) for key, item in value.items()}
    return value
