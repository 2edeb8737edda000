"""A proxy of the tests' own, which writes down what it is asked and asks a peer of loopback, whatever host it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.protocols.peers import Loop

__all__ = ["RecordingProxy"]


@dataclass
class RecordingProxy:
    """`heads` are the heads of all requests to it. A tunnel leads to the port `secure`, any other request to `web`."""

    loop: Loop
    web: int = 0
    secure: int = 0
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self.port = self.loop.tcp(self._serve)

    @property
    def lines(self) -> list[str]:
        """The first lines of the requests to it."""
        return [head.partition("\r\n")[0] for head in self.heads]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        target: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            self.heads.append(head)
            method, url, _ = head.partition("\r\n")[0].split(" ")
            if method == "CONNECT":
                other = await asyncio.open_connection("127.0.0.1", self.secure)
                writer.write(b"HTTP/1.0 200 Connection established\r\nVia: test\r\n\r\n")
                await asyncio.gather(_relay(reader, other[1]), _relay(other[0], writer))
                return
            if target is None:
                target = await asyncio.open_connection("127.0.0.1", self.web)
            fields = head.partition("\r\n")[2]
            path = "/" + url.split("/", 3)[3]
            target[1].write(f"{method} {path} HTTP/1.1\r\n{fields}".encode())
            writer.write(await target[0].readuntil(b"\r\n\r\n"))
            writer.write(await target[0].readexactly(2))  # the targets of these tests answer `ok`


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(65_536):
        writer.write(block)
    writer.close()
