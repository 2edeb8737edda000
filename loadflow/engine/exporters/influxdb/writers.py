"""How lines of InfluxDB's protocol travel over HTTP: a POST to a URL (InfluxDB 1.x), influxdb-client (InfluxDB 2 and 3).

Each is a function that takes lines and raises Unreachable or Refused; its `close` frees what it holds. No text of an error has a
token, a password or a query in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.posting import Post
from loadflow.engine.exporters.shared.trouble import Refused, trouble_of, unreachable, without_user
from loadflow.engine.plan.target import HostLists

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

__all__ = ["BucketWriter", "UrlWriter"]

DROPPED = re.compile(r"\bdropped=(\d+)")  # InfluxDB's "partial write: … dropped=3"


class UrlWriter:
    """POSTs lines to a URL as it is given, query and all."""

    def __init__(self, url: str, token: str | None, timeout_s: float, ca_file: str | None, lists: HostLists = ()) -> None:
        head = {"Content-Type": "text/plain; charset=utf-8", **({"Authorization": f"Token {token}"} if token else {})}
        self._post = Post(url, head, timeout_s, ca_file, lists)

    def __call__(self, lines: Sequence[str]) -> None:
        try:
            self._post("\n".join(lines).encode())
        except Refused as error:
            raise _in_part(error) from None

    def close(self) -> None:
        self._post.close()


class BucketWriter:
    """Writes into a bucket by influxdb-client; the queue and the retries are the courier's, so that every point is accounted for."""

    def __init__(
        self, url: str, token: str | None, org: str, bucket: str, timeout_s: float, ca_file: str | None, lists: HostLists = ()
    ) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        url, self._shown, user = without_user(url)
        name, _, password = user.partition(":")
        given: dict[str, Any] = {"username": name, "password": password} if user and not token else {"token": token}
        self._client: InfluxDBClient = InfluxDBClient(
            url.rstrip("/"), org=org, timeout=round(timeout_s * 1_000), enable_gzip=True, ssl_ca_cert=ca_file, **given
        )
        if lists:
            self._client.api_client.rest_client.pool_manager.pool_classes_by_scheme = way.pool_classes(lists)
        self._bucket = bucket
        self._write = self._client.write_api(write_options=SYNCHRONOUS)

    def __call__(self, lines: Sequence[str]) -> None:
        import urllib3
        from influxdb_client.rest import ApiException

        try:
            self._write.write(bucket=self._bucket, record="\n".join(lines).encode())
        except ApiException as error:
            trouble = trouble_of(self._shown, error.status or 0, error.headers or {}, str(error.body or error.reason))
            raise (_in_part(trouble) if isinstance(trouble, Refused) else trouble) from None
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self._shown, error) from None

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]


def _in_part(error: Refused) -> Refused:
    """InfluxDB takes the good lines of a request and says how many it did not."""
    dropped = DROPPED.search(str(error))
    return Refused(str(error), int(dropped[1])) if dropped else error
