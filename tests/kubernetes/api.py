"""The API server as the node and the tests ask it: one role's token, JSON in and out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import requests
import yaml

__all__ = ["Api", "ApiError"]

Json = dict[str, Any]
MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """What the API server refused."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


class Api:
    """Of one role. Threads may share it."""

    def __init__(self, url: str, token: str, ca: Path) -> None:
        self._url, self._token, self._ca = url, token, ca
        self._of_thread = threading.local()  # a requests.Session is not for several

    @classmethod
    def of(cls, kubeconfig: Path) -> Api:
        """As a file for kubectl says."""
        found = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        return cls(cluster["server"], user["token"], Path(cluster["certificate-authority"]))

    def ask(self, method: str, path: str, body: Json | None = None, *, content: str = "application/json", **query: str) -> Json:
        """What came; text that is no JSON as `text`. Raises ApiError."""
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = requests.Session()
            self._of_thread.session.trust_env = False  # no proxy, whatever this machine has
        said = self._of_thread.session.request(
            method,
            self._url + path,
            params=query,
            json=body,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content},
            verify=str(self._ca),
            timeout=60,
        )
        if said.status_code >= 400:
            try:
                told = said.json()
            except ValueError:
                told = {}
            raise ApiError(said.status_code, told.get("reason", ""), told.get("message", said.text))
        found: Json = said.json() if "json" in said.headers.get("Content-Type", "") else {"text": said.text}
        return found

    def items(self, path: str, **query: str) -> list[Json]:
        """A list's."""
        found: list[Json] = self.ask("GET", path, **query)["items"]
        return found

    def patch_status(self, path: str, status: Json) -> None:
        self.ask("PATCH", f"{path}/status", {"status": status}, content=MERGE)
