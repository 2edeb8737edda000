"""Hostile answers over QUIC, each on a port of its own. aioquic keeps packets and the handshake, not what is said in them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StopSendingReceived, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from loadflow.engine.hostile.http3_answers import CONTROL, REQUEST, SETTINGS_STREAM, Http3Answer

__all__ = ["serve_http3"]

LOOPBACK = "127.0.0.1"
SMALLEST_BYTES = 1_200  # of a client's first datagram (RFC 9000 section 14.1)
TRICKLE_S = 0.02
AGAIN_S = 0.001


class Answering(QuicConnectionProtocol):
    """One connection of a client."""

    def __init__(self, quic: QuicConnection, *more: Any, answer: Http3Answer, **named: Any) -> None:
        super().__init__(quic, *more, **named)
        self._answer = answer
        self._is_open = True
        self._playing: asyncio.Task[None] | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self._quic.send_stream_data(CONTROL, SETTINGS_STREAM)
                self.transmit()
            case StreamDataReceived(stream_id=stream) if stream == REQUEST and self._playing is None:
                self._playing = asyncio.get_running_loop().create_task(self._play())
            case ConnectionTerminated() | StopSendingReceived():
                self._is_open = False

    async def _play(self) -> None:
        answer = self._answer
        if answer.tells is not None:
            await self._tell(answer)
            return
        data = answer.begin()
        if answer.then == "trickle":
            for at in range(len(data)):
                if self._is_open:
                    self._quic.send_stream_data(REQUEST, data[at : at + 1])
                    self.transmit()
                    await asyncio.sleep(TRICKLE_S)
        elif answer.on != "new":
            self._quic.send_stream_data(answer.on, data, answer.ends)
        else:
            for _ in range(answer.streams):
                stream = self._quic.get_next_available_stream_id(is_unidirectional=True)
                self._quic.send_stream_data(stream, data, answer.ends)
        self.transmit()

    async def _tell(self, answer: Http3Answer) -> None:
        assert answer.tells is not None
        while self._is_open:
            answer.tells(self._quic)
            self.transmit()
            if not answer.again_and_again:
                return
            await asyncio.sleep(AGAIN_S)


class Instead(asyncio.DatagramProtocol):
    """Sends something else in place of a handshake, until the client closes its socket."""

    def __init__(self, answer: Http3Answer) -> None:
        self._answer = answer
        self._floods: dict[tuple[str, int], asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) >= SMALLEST_BYTES and addr not in self._floods:
            self._floods[addr] = asyncio.get_running_loop().create_task(self._flood(data, addr))

    def error_received(self, exc: Exception) -> None:
        """Some client has gone."""
        for flood in self._floods.values():
            flood.cancel()
        self._floods.clear()

    async def _flood(self, first: bytes, addr: tuple[str, int]) -> None:
        assert self._answer.instead is not None
        datagrams = self._answer.instead(first)
        while datagrams:
            for datagram in datagrams:
                self._transport.sendto(datagram, addr)
            await asyncio.sleep(AGAIN_S)


async def serve_http3(answers: Sequence[Http3Answer], pem: Path) -> dict[str, int]:
    """Ports by the answers' keys. `pem`: a key and its certificate."""
    logging.getLogger("quic").setLevel(logging.CRITICAL)  # what clients end is what they are meant to end
    loop = asyncio.get_running_loop()
    text = pem.read_bytes()
    certificate, key = x509.load_pem_x509_certificate(text), load_pem_private_key(text, None)
    ports = {}
    for answer in answers:
        make: Any = partial(Instead, answer)
        if answer.instead is None:
            configuration = QuicConfiguration(is_client=False, alpn_protocols=list(answer.protocols))
            configuration.certificate, configuration.private_key = certificate, key
            create = partial(Answering, answer=answer)
            make = partial(QuicServer, configuration=configuration, create_protocol=create, retry=answer.retries)
        transport, _ = await loop.create_datagram_endpoint(make, (LOOPBACK, 0))
        ports[answer.key] = transport.get_extra_info("sockname")[1]
    return ports
