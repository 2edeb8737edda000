"""A server on loopback that gives hostile answers: `python -P -m loadflow.engine.hostile.server FOLDER`.

It says its ports as a line of JSON, and serves until its standard input ends. HTTP and WebSocket answers have a path each on one port,
the others a port each. FOLDER is for keys and certificates. There is HTTP/3 where aioquic is installed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from loadflow.engine.hostile.answer import HostileAnswer
from loadflow.engine.hostile.grpc_answers import GRPC_ANSWERS, GRPC_TLS_ANSWERS
from loadflow.engine.hostile.http2_answers import (
    DATA,
    HEADERS,
    HTTP2_ANSWERS,
    HTTP2_TLS_ANSWERS,
    SETTINGS,
    SETTINGS_FRAME,
    SETTINGS_SEEN,
    WINDOW_UPDATE,
)
from loadflow.engine.hostile.http3_answers import HTTP3_ANSWERS
from loadflow.engine.hostile.http_answers import HTTP_ANSWERS
from loadflow.engine.hostile.message_answers import (
    MQTT_ANSWERS,
    MQTT_TLS_ANSWERS,
    MQTT_TLS_FLOODS,
    TCP_ANSWERS,
    UDP_ANSWERS,
    WEBSOCKET_ANSWERS,
)
from loadflow.engine.hostile.tls_answers import TLS_ANSWERS, TlsAnswer
from loadflow.engine.hostile.tls_records import Records, certificate_path, server_context

__all__ = ["main"]

LOOPBACK = "127.0.0.1"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
DATAGRAM_BURST = 200
READ_LIMIT = 2**20
TRICKLE_S = 0.02
PREFACE_BYTES = 24  # RFC 9113 section 3.4
WINDOW_BYTES = 65_535  # until a client says otherwise
INITIAL_WINDOW_SIZE = 4  # the number of that setting
OVER_TLS = ("mqtts", "http2s", "grpcs")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@lru_cache(maxsize=1)
def _made(make: Callable[[], bytes]) -> bytes:
    return make()


async def play(answer: HostileAnswer, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection goes on."""
    begin = _made(answer.begin)
    if answer.then == "trickle":
        await trickle(begin, writer)
    else:
        writer.write(begin)
        await writer.drain()
    while answer.again:  # until the client goes
        writer.write(answer.again)
        await writer.drain()
        await asyncio.sleep(0)  # within TLS `drain` alone never lets the loop see that the client has gone
    if answer.then == "wait":
        await asyncio.sleep(3600)
    return answer.then == "keep"


async def trickle(data: bytes, writer: asyncio.StreamWriter) -> None:
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await writer.drain()
        await asyncio.sleep(TRICKLE_S)


class Web:
    """HTTP and WebSocket: the path says which answer."""

    def __init__(self) -> None:
        self._http = {answer.key: answer for answer in HTTP_ANSWERS}
        self._websocket = {answer.key: answer for answer in WEBSOCKET_ANSWERS}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            key = head.split(b" ", 2)[1].decode("latin-1").strip("/").partition("?")[0]
            asked = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")), None)
            if asked is not None:
                await _shake_hands(head, asked, writer)
                await play(self._websocket[key], writer)
                await reader.read()
                return
            answer = self._http.get(key)
            if answer is None:
                writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            elif not await play(answer, writer):
                return


async def _shake_hands(head: bytes, asked: bytes, writer: asyncio.StreamWriter) -> None:
    accepted = base64.b64encode(hashlib.sha1(asked.partition(b":")[2].strip() + GUID, usedforsecurity=False).digest())
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if b"permessage-deflate" in head else b""
    writer.write(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + extension)
    writer.write(b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")


async def serve_tcp(answer: HostileAnswer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(READ_LIMIT)
    await play(answer, writer)
    await reader.read()


async def serve_http2(answer: HostileAnswer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for a request: gRPC's client makes none before it has seen the server's settings."""
    writer.write(SETTINGS_FRAME)
    await reader.readexactly(PREFACE_BYTES)
    windows = Windows(reader)
    while await windows.read() != HEADERS:
        pass
    writer.write(SETTINGS_SEEN)  # gRPC's windows count from then on
    listening = asyncio.create_task(windows.listen())  # a client that is not read stops to read, too
    try:
        begin = _made(answer.begin)
        if len(begin) > WINDOW_BYTES and not answer.again and answer.then == "keep":
            await windows.send(begin, writer)
            await listening
        elif await play(answer, writer):
            await listening
    finally:
        listening.cancel()


class Windows:
    """How much DATA a client of HTTP/2 takes on its first stream and on its connection (RFC 9113 section 5.2)."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._first = WINDOW_BYTES
        self._left = {0: WINDOW_BYTES, 1: WINDOW_BYTES}
        self._opened = asyncio.Event()

    async def read(self) -> int:
        """One frame: its kind."""
        begin = await self._reader.readexactly(9)
        kind, stream = begin[3], int.from_bytes(begin[5:], "big")
        data = await self._reader.readexactly(int.from_bytes(begin[:3], "big"))
        if kind == WINDOW_UPDATE and stream in self._left:
            self._left[stream] += int.from_bytes(data, "big")
        elif kind == SETTINGS:
            for number, value in struct.iter_unpack("!HI", data):
                if number == INITIAL_WINDOW_SIZE:
                    self._left[1] += value - self._first
                    self._first = value
        self._opened.set()
        return kind

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self.read()

    async def send(self, frames: bytes, writer: asyncio.StreamWriter) -> None:
        """Frames one by one, those of DATA when there is room for them."""
        at = 0
        while at < len(frames):
            size = int.from_bytes(frames[at : at + 3], "big")
            if frames[at + 3] == DATA:
                while min(self._left.values()) < size:
                    self._opened.clear()
                    await self._opened.wait()
                for stream in self._left:
                    self._left[stream] -= size
            writer.write(frames[at : at + 9 + size])
            await writer.drain()
            at += 9 + size


async def _listen(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(READ_LIMIT):
            pass


class Tls:
    """Real handshakes, and what comes in their place or behind them. `context` is that of sessions in which nothing is wrong."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contexts = lru_cache(partial(server_context, folder))
        self.context = self._contexts(1)

    async def serve(self, answer: TlsAnswer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(READ_LIMIT)
        if answer.shakes == "no":
            if await play(answer, writer):
                await _listen(reader)
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self._contexts(answer.certificates).wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(hello)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._say(answer, outgoing.read(), writer)
                block = await reader.read(READ_LIMIT)
                if not block:
                    return
                incoming.write(block)
            except ssl.SSLError:
                return  # the client's alert
        await self._say(answer, outgoing.read(), writer)
        cipher = session.cipher()
        assert cipher is not None
        listening = asyncio.create_task(_listen(reader))
        try:
            for block in answer.records(Records(self._folder, hello, cipher[0])) if answer.records is not None else ():
                writer.write(block)
                await writer.drain()
            if answer.then == "keep":
                await listening
        finally:
            listening.cancel()

    async def _say(self, answer: TlsAnswer, data: bytes, writer: asyncio.StreamWriter) -> None:
        if answer.shakes == "slowly":
            await trickle(data, writer)
        writer.write(b"" if answer.shakes == "slowly" else data)
        await writer.drain()


async def serve_mqtt(answer: HostileAnswer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker that greets, and then does what it likes."""
    connect = await reader.read(READ_LIMIT)
    is_5 = b"MQTT\x05" in connect
    writer.write(b"\x20\x03\x00\x00\x00" if is_5 else b"\x20\x02\x00\x00")
    await play(answer, writer)
    while await reader.read(READ_LIMIT):
        pass


class Datagrams(asyncio.DatagramProtocol):
    """One datagram starts the flood, which ends when the receiver closes its socket."""

    def __init__(self, answer: HostileAnswer) -> None:
        self._data = answer.again
        self._flooding: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._flooding = asyncio.create_task(self._flood(addr))

    def error_received(self, exc: Exception) -> None:
        if self._flooding is not None:
            self._flooding.cancel()

    async def _flood(self, addr: tuple[str, int]) -> None:
        while True:
            for _ in range(DATAGRAM_BURST):
                self._transport.sendto(self._data, addr)
            await asyncio.sleep(0)


def _guarded(serve: Handler) -> Handler:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await serve(reader, writer)
        writer.close()

    return served


async def _serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4_096) else ended.set())
    web = await asyncio.start_server(_guarded(Web().serve), LOOPBACK, 0, limit=READ_LIMIT)
    ports: dict[str, dict[str, int]] = {"web": {"": web.sockets[0].getsockname()[1]}}
    tls = Tls(folder)
    streams: list[tuple[str, Sequence[HostileAnswer], Callable[..., Awaitable[None]]]] = [
        ("tcp", TCP_ANSWERS, serve_tcp),
        ("mqtt", MQTT_ANSWERS, serve_mqtt),
        ("http2", HTTP2_ANSWERS, serve_http2),
        ("grpc", GRPC_ANSWERS, serve_http2),
        ("tls", [*TLS_ANSWERS, *MQTT_TLS_FLOODS], tls.serve),
        ("mqtts", MQTT_TLS_ANSWERS, serve_mqtt),
        ("http2s", HTTP2_TLS_ANSWERS, serve_http2),
        ("grpcs", GRPC_TLS_ANSWERS, serve_http2),
    ]
    servers = [web]
    for kind, answers, serve in streams:
        for answer in answers:
            context = tls.context if kind in OVER_TLS else None
            server = await asyncio.start_server(_guarded(partial(serve, answer)), LOOPBACK, 0, ssl=context)
            servers.append(server)
            ports.setdefault(kind, {})[answer.key] = server.sockets[0].getsockname()[1]
    for answer in UDP_ANSWERS:
        transport, _ = await loop.create_datagram_endpoint(partial(Datagrams, answer), (LOOPBACK, 0))
        ports.setdefault("udp", {})[answer.key] = transport.get_extra_info("sockname")[1]
    if importlib.util.find_spec("aioquic") is not None:
        from loadflow.engine.hostile.quic_server import serve_http3

        ports["http3"] = await serve_http3(HTTP3_ANSWERS, certificate_path(folder))
    print(json.dumps(ports), flush=True)
    await ended.wait()


def main() -> None:
    asyncio.run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
