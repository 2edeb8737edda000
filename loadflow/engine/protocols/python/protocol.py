"""`python_user` as the engine knows it: each user is an object of the scenario's class, with a client of fast_http_user."""

from __future__ import annotations

from typing import Any

from loadflow.engine.protocols.http.client import FAST_HTTP, HttpClient
from loadflow.engine.protocols.python.call import Call
from loadflow.engine.protocols.running.seam import UserContext, UserProtocol

__all__ = ["PYTHON", "PythonClient"]


class PythonClient:
    """One user's connections, and his object, made when it is first needed. `spare`: connections for several requests at once."""

    def __init__(self, user: UserContext) -> None:
        self._plan = user.plan
        self.http = HttpClient(user.plan)
        self._spare: list[HttpClient] = []
        self._object: Any = None

    def object_of(self, cls: type) -> Any:
        if self._object is None:
            self._object = cls()
        return self._object

    def spare(self, count: int) -> list[HttpClient]:
        """As many clients, the user's own first; all share its cookies."""
        while len(self._spare) < count - 1:
            more = HttpClient(self._plan)
            more.share_cookies(self.http)
            self._spare.append(more)
        return [self.http, *self._spare[: count - 1]]

    def perform(self, request: Any) -> Any:
        return self.http.perform(request)

    def close(self) -> None:
        for one in (self.http, *self._spare):
            one.close()


PYTHON = UserProtocol("python_user", Call, PythonClient, FAST_HTTP.errors, FAST_HTTP.fails)
