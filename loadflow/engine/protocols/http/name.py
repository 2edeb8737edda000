"""What the hits of an HTTP step are called that has no name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from loadflow.engine.base.redact import MASK, Redactor
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.resolve.template import Compiler, known_text, text_of
from loadflow.engine.script.placeholders import pieces

__all__ = ["default_name"]

ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


def default_name(step: StepJson, plan: Plan, compiler: Compiler) -> str:
    """Path, query and `params` as the script writes them, placeholders and all: `/items/${var.id}?sort=price`.

    So a test never has more names than steps, they are the same in every run, and two steps that ask for different things have two. The
    host stands before the path only where a plan asks several. What stands under a secret's name is masked.
    """
    first = plan.host or next((str(one["request_url"]) for one in plan.steps), "")
    origin, rest = _split(step["request_url"], compiler)
    host = "" if origin in ("", _split(first, compiler)[0]) else origin.split("://", 1)[1].rpartition("@")[2]
    path, _, query = rest.partition("#")[0].partition("?")
    redactor = Redactor(plan.redact)
    fields = [_masked(field, redactor) for field in (*filter(None, query.split("&")), *_params(step.get("params")))]
    return f"{host}{path or '/'}{'?' if fields else ''}{'&'.join(fields)}"


def _split(url: str, compiler: Compiler) -> tuple[str, str]:
    """Scheme and host of a URL, filled in, or "" where it has none; and what follows, as it is written."""
    found = ORIGIN.match(known_text(url, compiler))
    origin = found.group() if found else ""
    left = len(origin)
    rest = ""
    for piece in pieces(url):
        text = piece if isinstance(piece, str) else known_text(piece.text, compiler) if left else piece.text
        rest += text[left:]
        left = max(0, left - len(text))
    return origin, rest


def _params(params: object) -> Iterator[str]:
    """Each field of `params` as it is written; a list of values under one name gives a field for each."""
    pairs = params.items() if isinstance(params, Mapping) else params if isinstance(params, list) else ()
    for name, values in pairs:
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                yield f"{name}={text_of(value)}"


def _masked(field: str, redactor: Redactor) -> str:
    name = field.partition("=")[0]
    return f"{name}={MASK}" if redactor.is_secret(name) else field
