"""The ways lines of InfluxDB's protocol travel: UDP, a POST to a URL (InfluxDB 1.x), influxdb-client (InfluxDB 2 and 3).

Each is a function that takes lines and raises Unreachable or Refused; its `close` frees what it holds. No text of an error has a
token, a password or a query in it.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from loadflow.engine.exporters.posting import Post
from loadflow.engine.exporters.trouble import Refused, trouble_of, unreachable, without_user

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

__all__ = ["BucketWriter", "UdpWriter", "UrlWriter", "datagrams"]

DATAGRAM_BYTES = 1_400  # below Ethernet's 1,500 with all heads
BURST = 16  # datagrams, then a pause: a receiver's buffer is small, and what does not fit is lost
PAUSE_S = 0.002
DROPPED = re.compile(r"\bdropped=(\d+)")  # InfluxDB's "partial write: … dropped=3"


class UdpWriter:
    """Datagrams of whole lines. Nobody says whether one arrived, but for a port of this machine that nobody listens on.

    Raises OSError for a host that is not known.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = f"udp://{host}:{port}"
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.connect(address)
        self._before = 0  # lines of the last datagram: an error tells of that one, not of the one being sent

    def __call__(self, lines: Sequence[str]) -> None:
        lost = 0
        for number, (datagram, count) in enumerate(datagrams(lines)):
            if number % BURST == BURST - 1:
                time.sleep(PAUSE_S)
            lost += self._send(datagram, count)
        if lost:
            raise Refused(f"nobody listens on {self._address}", lost)

    def _send(self, datagram: bytes, count: int) -> int:
        """How many lines are known to be lost by now."""
        try:
            lost = 0
            try:
                self._socket.send(datagram)
            except ConnectionRefusedError:
                lost = self._before
                self._socket.send(datagram)
        except OSError as error:
            raise Refused(f"{self._address}: {error.strerror}") from None
        self._before = count
        return lost

    def close(self) -> None:
        self._socket.close()


def datagrams(lines: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """Lines packed together as far as a datagram goes, and how many are in each; one that is too long goes alone."""
    packed: list[bytes] = []
    size = 0
    for text in lines:
        one = text.encode()
        if packed and size + len(one) + 1 > DATAGRAM_BYTES:
            yield b"\n".join(packed), len(packed)
            packed, size = [], 0
        packed.append(one)
        size += len(one) + 1
    if packed:
        yield b"\n".join(packed), len(packed)


class UrlWriter:
    """POSTs lines to a URL as it is given, query and all."""

    def __init__(self, url: str, token: str | None, timeout_s: float, ca_file: str | None) -> None:
        head = {"Content-Type": "text/plain; charset=utf-8", **({"Authorization": f"Token {token}"} if token else {})}
        self._post = Post(url, head, timeout_s, ca_file)

    def __call__(self, lines: Sequence[str]) -> None:
        try:
            self._post("\n".join(lines).encode())
        except Refused as error:
            raise _in_part(error) from None

    def close(self) -> None:
        self._post.close()


class BucketWriter:
    """Writes into a bucket by influxdb-client; the queue and the retries are the courier's, so that every point is accounted for."""

    def __init__(self, url: str, token: str | None, org: str, bucket: str, timeout_s: float, ca_file: str | None) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        url, self._shown, user = without_user(url)
        name, _, password = user.partition(":")
        given: dict[str, Any] = {"username": name, "password": password} if user and not token else {"token": token}
        self._client: InfluxDBClient = InfluxDBClient(
            url.rstrip("/"), org=org, timeout=round(timeout_s * 1_000), enable_gzip=True, ssl_ca_cert=ca_file, **given
        )
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
