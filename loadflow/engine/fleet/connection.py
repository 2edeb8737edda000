"""A connection to a NATS server that is kept up, and what both ends do on it: ask, report, publish with an answer of the stream."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.fleet.access import Access
from loadflow.errors import RunError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["Handler", "Link", "attempt", "connect", "said", "trouble"]

LOG = logging.getLogger("loadflow.fleet")
CONNECT_S = 5.0
TRY_AGAIN_S = 0.25
PING_S = 5

Handler = Callable[["Msg"], Awaitable[None]]  # is given a NATS message


def said(data: bytes) -> JsonObject:
    """What a message says. Raises ValueError for what is not a JSON object."""
    value = read_json(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def trouble() -> tuple[type[Exception], ...]:
    """What a server that refuses, or is away, shows itself by. AttributeError: a write to a TLS transport of asyncio that has lost its
    connection, which has no protocol any more (`_SSLProtocolTransport.write`, Python 3.11 to 3.13)."""
    import nats.errors

    return TimeoutError, nats.errors.Error, OSError, AttributeError


async def attempt(work: Awaitable[object], what: str) -> None:
    """Await it; a server that refuses, or is away, is left alone: what must have worked is seen elsewhere."""
    try:
        await work
    except trouble() as error:
        LOG.debug("%s: %r", what, error)


async def connect(access: Access, name: str, *, patient: bool, say: Callable[[str], None] = LOG.info) -> Link:
    """Connect; `patient`: wait for a server that is not there yet. Raises RunError for one that refuses, or is not there."""
    import nats
    import nats.errors

    told = False
    while True:
        refusals: list[str] = []

        async def on_error(error: Exception, refusals: list[str] = refusals) -> None:
            text = str(error)
            if "authorization" in text.lower() or "authentication" in text.lower():
                refusals.append(text)
            LOG.debug("NATS: %s", error)

        try:
            client = await _open(access, name, on_error)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            if (
                refusals
                or "authorization" in str(error).lower()
                or "tls" in type(error).__name__.lower()
                or "ssl" in type(error).__name__.lower()
            ):
                raise RunError(f"the NATS server at {access.place} refused: {refusals[0] if refusals else error}; {REFUSED}") from None
            if not patient:
                raise RunError(f"there is no NATS server at {access.place}: {error}") from None
            if not told:
                told = True
                say(f"waiting for a NATS server at {access.place}")
            await asyncio.sleep(TRY_AGAIN_S)
        else:
            return Link(client)


async def _open(access: Access, name: str, on_error: Callable[[Exception], Awaitable[None]]) -> object:
    """The first connection comes at once or not at all; one that was there is tried again for ever."""
    from nats.aio.client import Client

    # what nats-py can't help: asyncio says so at each TLS connection that ends
    logging.getLogger("asyncio").addFilter(_is_no_eof)
    client = Client()
    await client.connect(
        **access.options(),
        name=name,
        error_cb=on_error,
        connect_timeout=CONNECT_S,
        allow_reconnect=False,
        reconnect_time_wait=TRY_AGAIN_S,
        ping_interval=PING_S,
    )
    if access.url.startswith("tls://") and not client._server_info.get("tls_required"):
        await client.close()
        raise RunError(f"the server at {access.place} does not encrypt; write nats:// if that is meant")
    client.options["allow_reconnect"] = True
    client.options["max_reconnect_attempts"] = -1
    return client


def _is_no_eof(record: logging.LogRecord) -> bool:
    return "eof_received() has no effect" not in str(record.msg)


REFUSED = "give both sides the same token, or --nats-creds with a user that the server knows"


class Link:
    """`client` reconnects by itself, and publishes what was said meanwhile."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stream = client.jetstream(timeout=5)

    @property
    def is_up(self) -> bool:
        up: bool = self.client.is_connected
        return up

    async def ask(self, subject: str, question: dict[str, object], wait_s: float) -> Msg | None:
        """The answer message; None when there was none in time."""
        try:
            return await self.client.request(subject, json.dumps(question).encode(), timeout=wait_s)
        except trouble():
            return None

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> bool:
        """To a stream; False when it did not say that it has it."""
        try:
            await self.stream.publish(subject, data, headers=headers, timeout=5)
        except trouble() as error:
            LOG.debug("not published: %s", error)
            return False
        return True

    async def tell(self, subject: str, data: JsonObject) -> None:
        try:
            await self.client.publish(subject, json.dumps(data).encode())
        except trouble() as error:
            LOG.debug("not reported: %s", error)

    async def answer(self, message: Msg, data: JsonObject) -> None:
        if message.reply:
            await self.tell(message.reply, data)

    async def listen(self, subject: str, handler: Handler) -> None:
        """A bad message never stops the loop."""

        async def careful(message: Msg) -> None:
            try:
                await handler(message)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                LOG.warning("left out a message of %s that is not as it should be: %r", message.subject, error)

        await self.client.subscribe(subject, cb=careful)

    async def follow(self, subject: str, handler: Handler) -> Subscription:
        """As `listen`, until the subscription that comes back is ended."""
        return await self.client.subscribe(subject, cb=handler)

    async def close(self) -> None:
        """What was published is on its way before it ends."""
        await attempt(asyncio.wait_for(self.client.flush(), 2), "the last messages")
        await attempt(asyncio.wait_for(self.client.close(), 2), "closing")
