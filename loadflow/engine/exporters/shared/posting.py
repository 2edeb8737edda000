"""POSTs bytes to a URL as it is given, and says what an answer means."""

from __future__ import annotations

from collections.abc import Mapping

from loadflow.engine.exporters.shared.bounded import Bounded
from loadflow.engine.exporters.shared.trouble import trouble_of, without_user
from loadflow.engine.plan.target import HostLists

__all__ = ["Post"]


class Post:
    """A user and password in the URL go into a header. Connections are kept; `headers` go with each request.

    `lists` say which hosts may be sent to.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float, ca_file: str | None, lists: HostLists = ()) -> None:
        self._url, self._headers = url, dict(headers)
        self.shown = without_user(url)[1]
        self._request = Bounded(timeout_s, lists, **_trusting(ca_file))

    def __call__(self, body: bytes) -> None:
        """Raises Unreachable or Refused."""
        answer = self._request("POST", self._url, self._headers, body)
        if not 200 <= answer.status < 300:
            raise trouble_of(self.shown, answer.status, answer.headers, answer.body.decode("utf-8", "replace"))

    def close(self) -> None:
        self._request.close()


def _trusting(ca_file: str | None) -> dict[str, object]:
    return {"ca_certs": ca_file} if ca_file else {}
