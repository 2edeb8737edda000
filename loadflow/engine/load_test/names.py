"""Which steps are counted as one though they send different requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.http.step import HttpStep
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.script.mistakes import place_of
from loadflow.engine.script.visit import every_action, steps_of_test
from loadflow.errors import Mistake

__all__ = ["merged_names"]

# what does not change the content of a request; whatever else HTTP steps have does
NOT_SENT = {"method", "request_url", "url", "params", "timeout", "verify", "cert", "client_cert", "allow_redirects"}


def merged_names(document: object) -> list[Mistake]:
    """A warning for each name that HTTP steps of one test share by default, because they differ only in what they send with a request.

    >>> step = {"method": "post", "request_url": "/graphql"}
    >>> [found] = merged_names([["LD_start_test", {"tasks": [{**step, "json": 1}, {**step, "json": 2}]}]])
    >>> found.place, found.message
    ('actions[0].tasks[1]', 'is counted together with tasks[0], which sends something else to the same URL')
    """
    return [
        Mistake(place_of(action.place, loc), *said)
        for action in every_action(document)
        if action.name == "LD_start_test" and isinstance(action.payload, dict)
        for loc, *said in _shared(action.payload)
    ]


def _shared(test: JsonObject) -> Iterator[tuple[tuple[int | str, ...], str, str]]:
    first: dict[str, tuple[tuple[int | str, ...], str]] = {}
    told: set[str] = set()
    sent_keys = set(HttpStep.keys()) - set(StepBase.keys()) - NOT_SENT
    for loc, step in steps_of_test(test):
        url = step.get("request_url") or step.get("url")
        if step.get("name") or not isinstance(url, str):
            continue
        name = _text([str(step.get("method", loc[-1])).upper(), url, step.get("params")])
        sent = _text({key: step[key] for key in sent_keys if step.get(key) is not None})
        before, other = first.setdefault(name, (loc, sent))
        if sent != other and name not in told:
            told.add(name)
            yield loc, f"is counted together with {place_of('', before)}, which sends something else to the same URL", "give each a name"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
