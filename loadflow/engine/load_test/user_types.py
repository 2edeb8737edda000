"""Which user types there are: those of loadflow, and those that a program adds."""

from __future__ import annotations

from collections.abc import Iterable

from loadflow.engine.protocols.grpc.user import GRPC_USER
from loadflow.engine.protocols.http.user import FAST_HTTP_USER, HTTP_USER
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.protocols.mqtt.user import MQTT_USER
from loadflow.engine.protocols.python.user import PYTHON_USER
from loadflow.engine.protocols.redis.step import REDIS_USER
from loadflow.engine.protocols.socket.step import SOCKET_USER
from loadflow.engine.protocols.websocket.step import WEBSOCKET_USER
from loadflow.errors import CommandError, Mistake

__all__ = ["BUILT_IN", "add_user_type", "known_user_types", "user_type_of"]

BUILT_IN: tuple[UserType, ...] = (FAST_HTTP_USER, HTTP_USER, WEBSOCKET_USER, GRPC_USER, MQTT_USER, SOCKET_USER, REDIS_USER, PYTHON_USER)

# code, not state of any run: a type once added stays what it is
_types: dict[str, UserType] = {one.name: one for one in BUILT_IN}


def known_user_types() -> Iterable[UserType]:
    return _types.values()


def user_type_of(name: object) -> UserType | None:
    return _types.get(name) if isinstance(name, str) else None


def add_user_type(user_type: UserType) -> None:
    """Make a user type of your own known to scripts of this process: its steps are checked and sent like those of loadflow's own.

    To add the same type again changes nothing; raises CommandError where another type has the name. See docs/protocols.md.

    >>> add_user_type(HTTP_USER)
    """
    known = _types.setdefault(user_type.name, user_type)
    if known != user_type:
        place = f"add_user_type({user_type.name!r})"
        raise CommandError([Mistake(place, "another user type has this name", "give yours a name of its own")])
