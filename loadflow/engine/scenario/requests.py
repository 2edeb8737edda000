"""A call of the client as a step: which options there are, and what each may hold."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

from loadflow.engine.base.json_path import parts_of
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.scenario.client import OPTIONS, VERBS
from loadflow.engine.scenario.messages import message_of
from loadflow.engine.scenario.symbols import Answer, Found, Joined, Symbol, Untraceable, Value, holds_symbol, placeholder_of, text_of_part

__all__ = ["as_options", "message_step", "of_batch", "step_of", "url_of", "written"]


def as_options(options: Mapping[str, object]) -> dict[str, Value]:
    """The options of a verb as keys of a step, values as they are. Raises TypeError for one that there is not, and for its wrong type."""
    made: dict[str, object] = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise TypeError(f"a request takes no {name!r}; it takes {', '.join(OPTIONS)}")
        if value is None:
            continue
        match name:
            case "follow_redirects":
                made["allow_redirects"] = value
            case "auth":
                made["auth"] = _auth(value)
            case "data" if isinstance(value, bytes | bytearray):
                made["data_base64"] = b64encode(value).decode()
            case "stream":
                made["stream"] = _stream(value)
            case "timeout" if isinstance(value, tuple):
                made["timeout"] = list(value)
            case _:
                made[name] = value
    return made


def _auth(value: object) -> object:
    if isinstance(value, tuple | list) and len(value) == 2:
        return {"type": "basic", "username": value[0], "password": value[1]}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("auth is a pair of user and password, or an object as in a step")


def _stream(value: object) -> JsonObject:
    """What a step says of its stream, checked as there: who makes load has no models."""
    if not isinstance(value, Mapping):
        raise TypeError('stream is an object as in a step, such as {"until": "[DONE]"}; {} reads to the end')
    for key, one in value.items():
        if key not in STREAM:
            raise TypeError(f"stream has no {key!r}; it has {', '.join(STREAM)}")
        if one is not None and not STREAM[key][0](one):
            raise TypeError(f"stream: {key} is {STREAM[key][1]}")
    return dict(value)


def _is_path(value: object) -> bool:
    try:
        return _is_text(value) and bool(parts_of(str(value)))
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


STREAM: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "until": (_is_text, "the data, or the name, of the event that ends it"),
    "max_events": (_is_count, "a number of events, 1 or more"),
    "format": (("sse", "lines").__contains__, "'sse' or 'lines'"),
    "tokens": (_is_path, "a path in JSON, such as choices.0.delta.content"),
}


def of_batch(one: Value) -> tuple[str, object, dict[str, object]]:
    """Verb, path and options of one request of a batch. Raises TypeError."""
    if not isinstance(one, Mapping):
        raise TypeError(f"batch takes a list of objects, not of {type(one).__name__}")
    options = dict(one)
    verb = str(options.pop("method", "get")).lower()
    if "path" not in options:
        raise TypeError("a request of batch has no path")
    if verb not in VERBS:
        raise TypeError(f"a request of batch has the method {verb!r}; there are {', '.join(VERBS)}")
    return verb, options.pop("path"), options


def url_of(path: Value) -> Value:
    """A path with the slash that it lacks. Raises TypeError if it is not text."""
    if isinstance(path, str):
        path = str.__str__(path)  # of an Enum of texts, the text
        return path if path.startswith("/") or "://" in path.partition("?")[0] else f"/{path}"
    if isinstance(path, Joined) and isinstance(path.parts[0], str):
        begin = path.parts[0]
        return path if begin.startswith("/") or "://" in begin else Joined(["/", *path.parts])
    if isinstance(path, Symbol):
        return path
    raise TypeError(f"the path of a request is a text, not {type(path).__name__}")


def step_of(verb: str, name: str, path: Value, options: Mapping[str, object]) -> dict[str, object]:
    """The step of a call. `name`: what it is called where the call does not say it. Raises Untraceable."""
    try:
        made, url = as_options(options), url_of(path)
    except TypeError as error:
        raise Untraceable(str(error)) from None
    if isinstance(url, Symbol) and not isinstance(url, Joined) and not isinstance(url, Found):
        url = Joined(["", url])
    if isinstance(url, str) and "${" in url:
        raise Untraceable("holds the characters ${, which begin a placeholder in steps")
    called = made.pop("name", name)
    if not isinstance(called, str | Symbol):
        raise Untraceable("is named by what is no text")
    for key in ("timeout", "verify", "allow_redirects"):
        if key in made and holds_symbol(made[key]):
            raise Untraceable(f"takes {key} from a value that only the load has")
    return {"name": written(called), "method": verb, "request_url": written(url), **{key: written(value) for key, value in made.items()}}


def message_step(protocol: str, verb: str, name: str, arguments: Sequence[object], options: Mapping[str, object]) -> dict[str, object]:
    """The step of `client.PROTOCOL.VERB(…)`. `name`: what it is called where the call does not say it. Raises Untraceable."""
    try:
        made = message_of(protocol, verb, arguments, options)
    except TypeError as error:
        raise Untraceable(str(error)) from None
    called = made.pop("name", name)
    if not isinstance(called, str | Symbol):
        raise Untraceable("is named by what is no text")
    return {"name": written(called), **{key: written(value) for key, value in made.items()}}


def written(value: object) -> Value:
    """A value of Python as one of a script. Raises Untraceable for what a script has no value for."""
    if isinstance(value, Answer):
        raise Untraceable("sends a whole answer; take its text or JSON")
    if isinstance(value, Symbol):
        return placeholder_of(value)
    if isinstance(value, str):
        return text_of_part(str.__str__(value))  # of an Enum of texts, the text
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or "${" in key:
                raise Untraceable(f"has the key {key!r} in a request, and steps have plain texts only")
        return {key: written(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [written(one) for one in value]
    raise Untraceable(f"sends a {type(value).__name__}")
