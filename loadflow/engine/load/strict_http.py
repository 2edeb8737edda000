"""`requests` with the target sent as it is, and the answer's head read as strictly as `fast_http_user` reads it.

urllib3 writes targets anew (`%2f` as `%2F`, `[` as `%5B`); a load test sends what the script says.
`http.client` takes a head that was cut off for a whole one, an interim answer (103) for the final one, and lines that are no
header fields for the end of the head. None of them may count as a success.
"""

from __future__ import annotations

import http.client
import re
import threading
from typing import Any

import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool

__all__ = ["MAX_HEAD_BYTES", "StrictAdapter"]

MAX_HEAD_BYTES = 256 * 1024
# http.client's own limits, 65,536 bytes in a line and 100 lines, have no other way to be changed; only the engine process does it
http.client._MAXLINE = MAX_HEAD_BYTES  # type: ignore[attr-defined]
http.client._MAXHEADERS = MAX_HEAD_BYTES  # type: ignore[attr-defined]

_sending = threading.local()  # gevent makes it one for each greenlet

FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")
LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class _Head:
    """A response's file while its head is read: every line has to be one."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._bytes = 0
        self._is_first = True

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._file.readline(limit)
        self._bytes += len(line)
        if self._bytes > MAX_HEAD_BYTES:
            raise http.client.HTTPException(f"over {MAX_HEAD_BYTES:,} bytes of header fields")
        if self._is_first:
            self._is_first = False  # http.client says what is wrong with a status line
            if line.startswith(b"HTTP/") and not line.endswith(b"\n"):
                raise ConnectionResetError("the connection was closed before the header fields were whole")
        elif line == b"\r\n":
            self._is_first = True  # another answer may follow an interim one
        elif not line.endswith(b"\n"):
            raise ConnectionResetError("the connection was closed before the header fields were whole")
        elif not FIELD.fullmatch(line):
            raise http.client.HTTPException(f"no header field: {line[:80]!r}")
        return line

    def close(self) -> None:
        self._file.close()


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        if self.headers is not None:
            return
        file, self.fp = self.fp, _Head(self.fp)
        try:
            super().begin()
        finally:
            self.fp = file if self.fp is not None else None  # None: closed after a status line that is none
        codings = self.headers.get_all("transfer-encoding") or []
        lengths = set(self.headers.get_all("content-length") or [])
        if len(lengths) > 1 or (lengths and codings) or any(not LENGTH.fullmatch(length.strip()) for length in lengths):
            raise http.client.HTTPException("the length of the body is not clear")

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == 101:
                raise http.client.HTTPException("101 Switching Protocols, which nobody asked for")
            if not 100 < status < 200:
                return version, status, reason
            http.client._read_headers(self.fp)  # type: ignore[attr-defined]


class _Exact:
    """Of a connection: the request line with the target of the request that this greenlet sends."""

    def putrequest(self, method: str, url: str, *skips: bool, **skip: bool) -> None:
        super().putrequest(method, getattr(_sending, "target", url), *skips, **skip)  # type: ignore[misc]


class _Connection(_Exact, urllib3.connection.HTTPConnection):
    response_class = _Response


class _TlsConnection(_Exact, urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class StrictAdapter(requests.adapters.HTTPAdapter):
    """Knows no proxies, which have targets of another form."""

    def send_exactly(self, target: str, prepared: requests.PreparedRequest, **settings: Any) -> requests.Response:
        _sending.target = target
        return self.send(prepared, **settings)

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
