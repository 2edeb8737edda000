"""POSTs bytes to a URL as it is given, and says what an answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.trouble import trouble_of, unreachable, without_user
from loadflow.engine.plan.target import HostLists

__all__ = ["Post"]


class Post:
    """A user and password in the URL go into a header. Connections are kept; `headers` go with each request.

    `lists` say which hosts may be sent to.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float, ca_file: str | None, lists: HostLists = ()) -> None:
        import urllib3

        self._url, self.shown, user = without_user(url)
        self._headers = {**(urllib3.make_headers(basic_auth=user) if user else {}), **headers}
        self._pool = urllib3.PoolManager(timeout=timeout_s, retries=False, **_trusting(ca_file))
        if lists:
            self._pool.pool_classes_by_scheme = way.pool_classes(lists)

    def __call__(self, body: bytes) -> None:
        """Raises Unreachable or Refused."""
        import urllib3

        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.shown, error) from None
        if not 200 <= answer.status < 300:
            raise trouble_of(self.shown, answer.status, answer.headers, answer.data.decode("utf-8", "replace"))

    def close(self) -> None:
        self._pool.clear()


def _trusting(ca_file: str | None) -> dict[str, Any]:
    return {"ca_certs": ca_file} if ca_file else {}
