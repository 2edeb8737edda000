"""Which user types there are: those of loadflow, and those that a program adds."""

from __future__ import annotations

from collections.abc import Iterable

from loadflow.engine.base.named import load_named
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.errors import CommandError, Mistake

__all__ = ["ROWS", "add_user_type", "known_user_types", "user_type_names", "user_type_of"]

# name: where it is defined; imported when a script first names it, so that a check loads the models of its own protocol alone
ROWS = {
    "fast_http_user": "loadflow.engine.protocols.http.user:FAST_HTTP_USER",
    "http_user": "loadflow.engine.protocols.http.user:HTTP_USER",
    "websocket_user": "loadflow.engine.protocols.websocket.step:WEBSOCKET_USER",
    "grpc_user": "loadflow.engine.protocols.grpc.user:GRPC_USER",
    "mqtt_user": "loadflow.engine.protocols.mqtt.user:MQTT_USER",
    "socket_user": "loadflow.engine.protocols.socket.step:SOCKET_USER",
    "redis_user": "loadflow.engine.protocols.redis.step:REDIS_USER",
    "python_user": "loadflow.engine.protocols.python.user:PYTHON_USER",
}

# code, not state of any run: a type once added stays what it is
_added: dict[str, UserType] = {}


def user_type_names() -> tuple[str, ...]:
    """Those of loadflow first."""
    return (*ROWS, *_added)


def known_user_types() -> Iterable[UserType]:
    """All of them, each imported."""
    return [_loaded(name) for name in user_type_names()]


def user_type_of(name: object) -> UserType | None:
    return _loaded(name) if isinstance(name, str) and (name in ROWS or name in _added) else None


def _loaded(name: str) -> UserType:
    if name in _added:
        return _added[name]
    found: UserType = load_named(ROWS[name])
    assert found.name == name, f"{ROWS[name]} defines {found.name}, not {name}"
    return found


def add_user_type(user_type: UserType) -> None:
    """Make a user type of your own known to scripts of this process: its steps are checked and sent like those of loadflow's own.

    To add the same type again changes nothing; raises CommandError where another type has the name. See docs/protocols.md.

    >>> from loadflow.engine.protocols.http.user import HTTP_USER
    >>> add_user_type(HTTP_USER)
    """
    known = user_type_of(user_type.name)
    if known is None:
        _added[user_type.name] = user_type
    elif known != user_type:
        place = f"add_user_type({user_type.name!r})"
        raise CommandError([Mistake(place, "another user type has this name", "give yours a name of its own")])
