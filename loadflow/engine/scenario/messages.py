"""What a client speaks beside HTTP: `client.websocket.send(…)` and its like as steps, and which of it a scenario's files use."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from loadflow.engine.base.json_value import JsonMapping

__all__ = ["COMMON", "SPEAKERS", "VERBS", "WHOM", "message_of", "modules_of", "receives", "refuse_attribute", "user_of", "users_spoken"]

# protocol: what its client can do, each with the keys that it takes by position; "*" takes all that there are
VERBS: dict[str, dict[str, tuple[str, ...]]] = {
    "websocket": {
        "connect": ("request_url",),
        "send": ("payload",),
        "recv": (),
        "sendrecv": ("payload",),
        "ping": ("payload",),
        "close": (),
    },
    "grpc": {"call": ("method", "payload")},
    "mqtt": {
        "connect": ("broker",),
        "publish": ("topic", "payload"),
        "subscribe": ("topic",),
        "receive": ("topic",),
        "unsubscribe": ("topic",),
        "disconnect": (),
    },
    "socket": {"tcp": ("payload",), "udp": ("payload",)},
    "redis": {"command": ("*command",)},
}
# the keys of a step of each that a function may give, and those that its call says by itself
KEYS: dict[str, str] = {
    "websocket": "request_url payload payload_base64 binary expect timeout headers subprotocols compression verify cert",
    "grpc": "target stub_path request_path proto import_paths reflection service method rpc payload metadata timeout tls verify cert "
    "server_name channels max_messages first_message",
    "mqtt": "broker timeout version tls username password client_id keepalive clean_start session_expiry will topic payload payload_hex "
    "payload_base64 qos retain properties delivery no_local retain_as_published retain_handling expect abrupt",
    "socket": "target payload expect_bytes expect_substring framing timeout keep tls verify cert",
    "redis": "command server database username password timeout tls verify cert",
}
WHOM = {"grpc": "target", "mqtt": "broker", "socket": "target", "redis": "server"}  # the key that says whom a step asks
SPEAKERS = tuple(VERBS)
COMMON = ("name",)
# the verbs to which no message comes back
SILENT = {"websocket": ("connect", "send", "ping", "close"), "mqtt": ("connect", "publish", "subscribe", "unsubscribe", "disconnect")}


def user_of(protocol: str) -> str:
    """The user type whose steps these are."""
    return f"{protocol}_user"


def refuse_attribute(name: str) -> NoReturn:
    """Raises what a client raises that has no such attribute; where it is a protocol, the load was not told that its functions speak it."""
    if name in VERBS:
        raise RuntimeError(f"loadflow did not find client.{name} in the scenario's file when it checked it; call it there, by this name")
    raise AttributeError(f"the client has no {name!r}")


def receives(step: JsonMapping) -> bool:
    """Whether a message comes back to such a step."""
    return step.get("method") not in SILENT.get(str(step["user"]).removesuffix("_user"), ())


def message_of(protocol: str, verb: str, arguments: Sequence[object], named: Mapping[str, object]) -> dict[str, object]:
    """The step of `client.PROTOCOL.VERB(…)`, its values as they are, and `name` if it is given. Raises TypeError for what it does not take.

    >>> message_of("mqtt", "publish", ("a/b", "hello"), {"qos": 1})
    {'user': 'mqtt_user', 'method': 'publish', 'qos': 1, 'topic': 'a/b', 'payload': 'hello'}
    """
    called = f"client.{protocol}.{verb}"
    if verb not in VERBS[protocol]:
        raise TypeError(f"there is no {called}; there are {', '.join(VERBS[protocol])}")
    places = VERBS[protocol][verb]
    allowed = KEYS[protocol].split()
    given = dict(named)
    if places and places[0].startswith("*"):
        if not arguments:
            raise TypeError(f"{called} takes at least one word")
        given[places[0][1:]] = list(arguments)
    elif len(arguments) > len(places):
        raise TypeError(f"{called} takes {', '.join(places) or 'nothing'} by position, all else by its name")
    else:
        for key, value in zip(places, arguments, strict=False):
            if key in named:
                raise TypeError(f"{called} is given {key} twice")
            given[key] = value
    for key in given:
        if key not in allowed and key not in COMMON:
            raise TypeError(f"{called} takes no {key!r}; it takes {', '.join((*COMMON, *allowed))}")
    said = {"socket": {"protocol": verb}, "grpc": {}, "redis": {}}.get(protocol, {"method": verb})
    return {"user": user_of(protocol), **said, **{key: value for key, value in given.items() if value is not None}}


@lru_cache(maxsize=16)
def users_spoken(cls: type) -> tuple[str, ...]:
    """The user types beside HTTP that the files of a class, of its bases, and those beside them that they import, speak of."""
    found: set[str] = set()
    for file in {Path(str(module.__file__)) for module in modules_of(cls)}:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        found.update(_spoken_in(tree))
    return tuple(user_of(protocol) for protocol in SPEAKERS if protocol in found)


def _spoken_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Attribute(attr=protocol), attr=verb) if verb in VERBS.get(protocol, ()):
                yield protocol
            case ast.Attribute(value=ast.Name(id="client"), attr=protocol) if protocol in VERBS:
                yield protocol


def modules_of(cls: type) -> list[ModuleType]:
    """Those of a class and of its bases, and those beside the first that have been imported."""
    names = [base.__module__ for base in cls.__mro__ if base.__module__.partition(".")[0] != "loadflow"]
    own = [module for name in names if (module := sys.modules.get(name)) is not None and getattr(module, "__file__", None) is not None]
    folder = str(Path(str(own[0].__file__)).parent) if own else None
    filed = [(module, file) for module in list(sys.modules.values()) if isinstance(file := getattr(module, "__file__", None), str)]
    return list(dict.fromkeys([*own, *(module for module, file in filed if os.path.dirname(file) == folder)]))  # noqa: PTH120  of thousands
