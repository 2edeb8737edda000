"""`requests` with the target sent as it is, and the answer read by our own reader.

urllib3 writes targets anew (`%2f` as `%2F`, `[` as `%5B`); a load test sends what the script says. `http.client` takes a head that
was cut off for a whole one, an interim answer (103) for the final one, lines that are no header fields for the end of the head, and
counts no bytes: what an answer is must not depend on who sends.
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from typing import Any

import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from loadflow.engine.protocols.http.answer_reader import AnswerReader
from loadflow.engine.protocols.running.seam import Traffic
from loadflow.engine.protocols.running.tls_stream import bounded
from loadflow.engine.protocols.running.turns import Turns

__all__ = ["Exchange", "StrictAdapter"]

BLOCK_BYTES = 65_536


@dataclass(slots=True)
class Exchange:
    """One request under way, and what its answer is read into; `closes`: the connection ends with it."""

    target: str
    closes: bool
    reader: AnswerReader
    traffic: Traffic


_sending = threading.local()  # gevent makes it one for each greenlet


class _Response(http.client.HTTPResponse):
    """Whole when it begins: our reader has its body, and for `http.client` nothing is left."""

    def __init__(self, sock: Any, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        self._sock = sock

    def begin(self) -> None:
        exchange: Exchange = _sending.exchange
        reader = exchange.reader
        turns = Turns()
        while True:
            block = self._sock.recv(BLOCK_BYTES)
            exchange.traffic.received_bytes += len(block)
            if not block:
                reader.ended()
                break
            if reader.feed(block):
                break
            turns.taken()
        self.version, self.status, self.reason = 11, reader.status, reader.reason
        self.headers = self.msg = http.client.HTTPMessage()  # empty: our reader has the fields, and others would read cookies in them
        self.chunked, self.length = False, 0
        self.will_close = exchange.closes or not reader.keeps
        self._close_conn()  # type: ignore[attr-defined]


class _Exact:
    """Of a connection: the request line with the target of the request that this greenlet sends, its bytes counted."""

    def putrequest(self, method: str, url: str, *skips: bool, **skip: bool) -> None:
        super().putrequest(method, _sending.exchange.target, *skips, **skip)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        super().send(data)  # type: ignore[misc]
        _sending.exchange.traffic.sent_bytes += len(data)


class _Connection(_Exact, urllib3.connection.HTTPConnection):
    response_class = _Response


class _TlsConnection(_Exact, urllib3.connection.HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        # of its own, as urllib3 would make it: files are loaded into it for each connection
        self.ssl_context = bounded(create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs)))
        super().connect()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class StrictAdapter(requests.adapters.HTTPAdapter):
    """Knows no proxies, which have targets of another form."""

    def send_exactly(self, exchange: Exchange, prepared: requests.PreparedRequest, **settings: Any) -> None:
        """The answer is in the exchange's reader. Raises HitFailure if it is not an answer, and the errors of `requests`."""
        _sending.exchange = exchange
        self.send(prepared, stream=True, **settings).raw.release_conn()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
