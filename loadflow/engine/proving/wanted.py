"""What a traced step wants of its answer: an answer that has all of it, and answers that each lack one thing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from loadflow.engine.base.json_path import MISSING, parts_of, value_at
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.proving.recorder import Given
from loadflow.engine.resolve.missing import MissingValue

__all__ = ["Made", "answer_of", "faults_of"]

OK = 200
FAILED = (404, 500, 503)
JSON = "application/json"
NOT_JSON = "<html>no</html>"
# values that stand in texts; what a request may not hold fails in both ways, and shows that it does
TEXTS = ("ann", "Zoë Łucka", "a b/c?d=e&f", "100%", 'say "hi"', "it's <b>", "x+y", "€", "-", "0")
NUMBERS = (0, 7, -12, 2**53, 1.5)
OTHERS = (None, True, [1, "b"], {"a": {"b": None}})
TRUE = ("yes", 1, True, [0], {"a": 0})
FALSE: tuple[object, ...] = ("", 0, None, False, [], {})

Fill = Callable[[object], object]  # a value with its placeholders filled in; raises MissingValue
Path = tuple[str | int, ...]


@dataclass
class Made:
    """An answer that is being made. `text` None: the body is `document`, as JSON; `document` MISSING: nothing wants JSON."""

    status: int = OK
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": JSON})
    document: Any = MISSING
    text: str | None = None

    @property
    def body(self) -> str:
        return json.dumps({} if self.document is MISSING else self.document, ensure_ascii=False) if self.text is None else self.text

    def given(self) -> Given:
        return Given(self.status, tuple(self.headers.items()), self.body.encode())

    def kept(self, step: StepJson) -> Iterator[tuple[str, Any]]:
        """The values that the step's extracts take of it; those that it lacks are left out."""
        for entry in step.get("extract") or ():
            match entry.get("from", "json_path"):
                case "json_path":
                    found = MISSING if self.document is MISSING else value_at(self.document, entry["path"])
                case "header":
                    found = self.headers.get(entry["name"].lower(), MISSING)
                case "status_code":
                    found = self.status
                case _:
                    found = self.body
            if found is not MISSING:
                yield entry["var"], found


def answer_of(step: StepJson, random: Random, fill: Fill, *, plain: bool = False) -> Made:
    """An answer that has all that the step wants, as far as one can have it. `plain`: its values are texts that may stand anywhere."""
    made = Made()
    for path, value in sorted(_values(step, random, fill, plain), key=lambda one: len(one[0])):
        made.document = put(made.document, path, value)
    for entry in step.get("extract") or ():
        if entry.get("from") == "header":
            made.headers.setdefault(entry["name"].lower(), f"h-{random.randrange(1000)}")
    for entry in step.get("assertions") or ():
        match entry["type"]:
            case "status_code":
                made.status = _good_status(entry["value"])
            case "header":
                made.headers[entry["name"].lower()] = str(_filled(entry["value"], fill))
            case "contains":
                _contain(made, str(_filled(entry["value"], fill)))
    return made


def _values(step: StepJson, random: Random, fill: Fill, plain: bool) -> Iterator[tuple[Path, Any]]:
    """What lies where in the JSON of an answer that the step takes; later ones count more."""
    for entry in step.get("extract") or ():
        if entry.get("from", "json_path") == "json_path":
            yield parts_of(entry["path"]), f"{TEXTS[0]}{random.randrange(1000)}" if plain else _any(entry.get("only"), random)
    for entry in step.get("assertions") or ():
        if entry["type"] == "json_path":
            path = parts_of(entry["path"])
            yield path, random.choice(TRUE[:2]) if entry.get("truthy") else _filled(entry["value"], fill)


def _any(only: str | None, random: Random) -> object:
    text = f"{random.choice(TEXTS)}{random.randrange(1000)}"
    match only:
        case "text":
            return text
        case "scalar":
            return random.choice((text, *NUMBERS))
        case _:
            return random.choice((text, *NUMBERS, *OTHERS))


def _filled(value: Any, fill: Fill) -> object:
    try:
        return fill(value)
    except MissingValue:
        return None  # of a value that only the load has; the step then fails, in both ways


def _good_status(value: Any) -> int:
    allowed = [int(one) for one in (value if isinstance(value, list) else [value])]
    return OK if OK in allowed else next((one for one in allowed if one >= OK), allowed[0])


def _contain(made: Made, text: str) -> None:
    """Put the text into the body, by the JSON that it may have to be."""
    if text in made.body:
        return
    if made.document is MISSING:
        made.text = f"{made.text or ''}{text}"
    elif isinstance(made.document, dict):
        made.document = {**made.document, "proof": text}


def faults_of(step: StepJson, random: Random, fill: Fill) -> list[Callable[[Made], None]]:
    """Changes of a good answer, each of which leaves out one thing that the step wants; the first ones leave all of it."""
    found: list[Callable[[Made], None]] = [_status(random.choice(FAILED))]
    wants_json = False
    for entry in step.get("extract") or ():
        match entry.get("from", "json_path"):
            case "json_path":
                wants_json = True
                found.append(_dropped(parts_of(entry["path"])))
            case "header" if entry["name"].lower() != "content-type":
                found.append(_headless(entry["name"]))
    for entry in step.get("assertions") or ():
        match entry["type"]:
            case "status_code":
                found.append(_status(_other_status(entry["value"])))
            case "json_path":
                wants_json = True
                path = parts_of(entry["path"])
                wrong = random.choice(FALSE) if entry.get("truthy") else _other(_filled(entry["value"], fill), random)
                found += [_put(path, wrong), _dropped(path)]
            case "contains":
                found.append(_without_text(str(_filled(entry["value"], fill))))
            case "not_contains":
                found.append(_with_text(str(_filled(entry["value"], fill))))
            case "header":
                found += [_headed(entry["name"], "other"), _headless(entry["name"])]
    if wants_json:
        found.append(_with_body(NOT_JSON))
    return found


def _other(value: object, random: Random) -> object:
    """Another JSON value; of a number no boolean, because Python holds 1 for True."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    pool = [one for one in (*TEXTS, *NUMBERS, *OTHERS, False, 1, 0, "") if not (number and isinstance(one, bool))]
    return random.choice([one for one in pool if one != value])


def _other_status(value: Any) -> int:
    allowed = {int(one) for one in (value if isinstance(value, list) else [value])}
    return next(one for one in (202, 201, 200, 404) if one not in allowed)


def _status(status: int) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.status = status

    return change


def _put(path: Path, value: object) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.document = put(made.document, path, value)

    return change


def _dropped(path: Path) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        if path:
            made.document = _without(made.document, path)
        else:
            made.text = NOT_JSON

    return change


def _headed(name: str, value: str) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.headers[name.lower()] = value

    return change


def _headless(name: str) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.headers.pop(name.lower(), None)

    return change


def _with_body(text: str) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.text = text

    return change


def _with_text(text: str) -> Callable[[Made], None]:
    return lambda made: _contain(made, text)


def _without_text(text: str) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        made.text = made.body.replace(text, "") if text else made.body

    return change


def put(data: Any, path: Path, value: Any) -> Any:
    """`data` with `value` there; what is no object or list on the way becomes one.

    >>> put({"a": 1}, ("items", 1, "id"), 7)
    {'a': 1, 'items': [{}, {'id': 7}]}
    """
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, str):
        held = dict(data) if isinstance(data, dict) else {}
        held[part] = put(held.get(part, MISSING), rest, value)
        return held
    items = list(data) if isinstance(data, list) else []
    items += [{}] * ((part + 1 if part >= 0 else -part) - len(items))
    items[part] = put(items[part], rest, value)
    return items


def _without(data: Any, path: Path) -> object:
    """`data` without what is there."""
    part, rest = path[0], path[1:]
    if isinstance(data, dict) and isinstance(part, str) and part in data:
        return {**data, part: _without(data[part], rest)} if rest else {key: value for key, value in data.items() if key != part}
    if isinstance(data, list) and isinstance(part, int) and -len(data) <= part < len(data):
        if rest:
            return [*data[:part], _without(data[part], rest), *data[part % len(data) + 1 :]] if part >= 0 else data
        return data[:part] if part >= 0 else data[: len(data) + part]
    return data
