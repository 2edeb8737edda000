"""A user type of one's own: a protocol of lines, spoken over TCP with the standard library.

    python examples/own_user.py 127.0.0.1:7070

The server answers each line with a line: `PUT key value` with `OK`, `GET key` with `VALUE value` or `NONE`. The file has all
that a user type is: the form of its steps, what compiles one, and the client of one virtual user. The engine process imports
it again as the module `own_user`, so what is at the top must be cheap and start nothing.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import Any, Literal

from loadflow import (
    Form,
    HitFailure,
    MessageReply,
    MessageStep,
    Outcome,
    UserContext,
    UserProtocol,
    UserType,
    add_user_type,
    execute_action,
)


class LineStep(MessageStep):
    """How a step is written: these keys, and those that all steps have. Anything else is a mistake of the script."""

    method: Literal["put", "get"]
    key: str
    value: str = ""
    timeout: float = 5.0


class PreparedLine:
    """A step, compiled once: what is known is filled in, `${…}` that change per hit are functions of the user's scope."""

    def __init__(self, config: Mapping[str, Any], plan: Any, compiler: Any) -> None:
        self.method = "LINE"
        self.name = config.get("name") or config["method"]
        self.place = plan.host or "127.0.0.1:7070"
        self._timeout_s = config.get("timeout", 5.0)
        words = ["PUT ", config["key"], " ", config.get("value", "")] if config["method"] == "put" else ["GET ", config["key"]]
        self._line = compiler("".join(words))

    def render(self, scope: Any) -> tuple[str, str, float]:
        return self.place, str(self._line.render(scope)), self._timeout_s

    def render_name(self, scope: Any) -> str:
        return str(self.name)

    def sample(self, request: tuple[str, str, float]) -> dict[str, Any]:
        return {"url": request[0], "body": request[1]}


class LineClient:
    """One virtual user's connection. Plain blocking code: in the engine process sockets let other users run while they wait."""

    def __init__(self, user: UserContext) -> None:
        self._socket: socket.socket | None = None

    def perform(self, request: tuple[str, str, float]) -> MessageReply:
        place, line, timeout_s = request
        if self._socket is None:
            host, _, port = place.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), timeout_s)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(line.encode() + b"\n")
            answer = self._read_line(self._socket)
        except BaseException:
            self.close()  # it is not known to be between two messages
            raise
        reply = MessageReply(answer, sent_bytes=len(line) + 1, received_bytes=len(answer) + 1)
        if answer == b"NONE":
            raise HitFailure(Outcome.STATUS, "the server has no such key", reply)
        return reply

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read_line(self, connection: socket.socket) -> bytes:
        read = b""
        while not read.endswith(b"\n"):
            block = connection.recv(4096)
            if not block:
                raise HitFailure(Outcome.CLOSED, "the server hung up before the line was whole")
            read += block
        return read[:-1]


LINES = UserProtocol(
    user="line_user",
    prepare=PreparedLine,
    new_client=LineClient,
    errors=((TimeoutError, Outcome.TIMEOUT), (ConnectionRefusedError, Outcome.CONNECT), (OSError, Outcome.CLOSED)),
    fails=lambda reply: None,
)
LINE_USER = UserType("line_user", Form(LineStep), prepare="own_user:PreparedLine", protocol="own_user:LINES")

SCRIPT = [
    [
        "LD_start_test",
        {
            "user_detail_dict": {"user": "line_user"},
            "user_count": 5,
            "spawn_rate": 5,
            "iterations": 10,
            "test_time": 30,
            "tasks": [
                {"method": "put", "key": "k-${uuid()}", "value": "v", "assertions": [{"type": "contains", "value": "OK"}]},
                {"method": "put", "key": "shared", "value": "42", "name": "put shared"},
                {"method": "get", "key": "shared", "assertions": [{"type": "contains", "value": "VALUE 42"}]},
            ],
        },
    ]
]

if __name__ == "__main__":
    add_user_type(LINE_USER)
    SCRIPT[0][1]["host"] = sys.argv[1]  # type: ignore[index, call-overload]
    [summary] = execute_action(SCRIPT).values()
    print(summary["totals"])
