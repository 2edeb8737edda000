"""`python_user` as the engine knows it: each user is an object of the scenario's class, with a client of fast_http_user."""

from __future__ import annotations

from typing import Any

from loadflow.engine.protocols.http.client import FAST_HTTP, HttpClient
from loadflow.engine.protocols.http.cookies import cookies_of
from loadflow.engine.protocols.python.call import Call
from loadflow.engine.protocols.running.seam import UserContext, UserProtocol

__all__ = ["PYTHON", "PythonClient"]


class PythonClient:
    """One user's connections, and his object, made when it is first needed."""

    def __init__(self, user: UserContext) -> None:
        self.http = HttpClient(user.plan, cookies_of(user))
        self._object: Any = None

    def object_of(self, cls: type) -> Any:
        if self._object is None:
            self._object = cls()
        return self._object

    def perform(self, request: Any) -> Any:
        return self.http.perform(request)

    def close(self) -> None:
        self.http.close()


PYTHON = UserProtocol(
    "python_user", Call, PythonClient, FAST_HTTP.errors, FAST_HTTP.fails, pass_ends=lambda client: client.http.pass_ends()
)
