"""Which URL stands behind a name: hits are recorded by name, so the plan's steps are asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.records.names import SeriesName
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.script.placeholders import pieces
from loadflow.errors import ScriptError

__all__ = ["RequestUrls"]

ORIGIN = re.compile(r"https?://[^/?#]*")
LONGEST = 2_000  # characters; a data set in a query string is not repeated a million times


class RequestUrls:
    """The URL of each step of a plan (`RunFacts.plan`), by method and name.

    It is the one the script writes, below the plan's host where it is relative, with the placeholders that differ from hit
    to hit left in it.

    >>> plan = {"host": "http://shop.test", "steps": [{"method": "GET", "request_url": "/items/${csv.items.id}?full=1", "name": "item"}]}
    >>> RequestUrls(plan).url(SeriesName("GET", "item"))
    'http://shop.test/items/${csv.items.id}?full=1'
    """

    def __init__(self, plan: JsonMapping) -> None:
        host = str(plan.get("host") or "")
        variables = plan.get("variables") or {}
        self._steps: list[tuple[str, list[list[str]], str]] = []
        for step in plan.get("steps") or ():
            template = str(step.get("request_url") or "")
            if not template:
                continue
            known = _known(template, variables)
            url = known if "://" in known or known.startswith("${") else host.rstrip("/") + "/" + known.lstrip("/") if host else known
            url = re.sub(r"^(https?://)[^/?#@]*@", r"\1", url)
            name = step.get("name")
            shapes = _shapes(None if name is None else _known(str(name), variables), known)
            self._steps.append((str(step.get("method", "")).upper(), shapes, url[:LONGEST]))

    def url(self, series: SeriesName) -> str:
        """The name itself where the plan's steps give no URL for it, or several."""
        steps = [(shapes, url) for method, shapes, url in self._steps if method == series.method.upper()]
        exact = {url for shapes, url in steps if [series.name] in shapes}
        found = exact or {url for shapes, url in steps if any(_fits(series.name, shape) for shape in shapes)}
        return found.pop() if len(found) == 1 else series.name


def _known(template: str, variables: Mapping[str, object]) -> str:
    """The template with what is the same for all hits filled in; as it is where anything differs."""
    try:
        compiled = compile_value(template, variables)
    except ScriptError:  # a secret in it was masked, and what is left is not a placeholder any more
        return template
    return str(compiled.value) if compiled.is_static else template


def _shapes(name: str | None, url: str) -> list[list[str]]:
    """What the names of a step's hits look like: the fixed parts, with anything between them."""
    if name is not None:
        return [_fixed_parts(name)]
    # as the engine names a step without a name: its path, and the host before it where there are several
    origin = ORIGIN.match(url)
    path = re.split(r"[?#]", url[origin.end() :] if origin else url, maxsplit=1)[0] or "/"
    return [_fixed_parts(path), *([_fixed_parts(origin.group().split("://", 1)[1] + path)] if origin else [])]


def _fixed_parts(template: str) -> list[str]:
    parts = [""]
    for piece in pieces(template):
        if isinstance(piece, str):
            parts[-1] += piece
        else:
            parts.append("")
    return parts


def _fits(text: str, parts: list[str]) -> bool:
    if len(parts) == 1:
        return text == parts[0]
    if len(text) < len(parts[0]) + len(parts[-1]) or not text.startswith(parts[0]) or not text.endswith(parts[-1]):
        return False
    place, end = len(parts[0]), len(text) - len(parts[-1])
    for part in parts[1:-1]:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
