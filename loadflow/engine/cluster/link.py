"""A worker's end of the connection: one reader for all messages, what the master orders, and the clock that both share."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import gevent.event
import gevent.queue
from locust.exception import RPCError
from locust.rpc.protocol import Message

from loadflow.engine.cluster.clock import WINDOW, ClockComparison
from loadflow.engine.cluster.roster import PROTOCOL
from loadflow.engine.cluster.stream import Outbox
from loadflow.engine.cluster.wire import WorkerSocket
from loadflow.errors import RunError

__all__ = ["Link"]

LOG = logging.getLogger("loadflow.cluster")
MASTER_SILENT_S = 3.0  # the master says something twice a second; with the drain of 2 s nothing is sent 5 s after its end
MASTER_CUT_S = 1.0  # without a connection: its process is gone, or the network is
BEAT_S = 0.5
ASK_AGAIN_S = 2.0  # what a broken connection swallowed is asked for once more
RESEND_S = 15.0
REFUSALS = 3  # handshakes that failed in a row; one may be a master that was just starting


class Link:
    """`order` is the master's latest word, a mapping with at least `phase`; `changed` is set with each."""

    def __init__(self, socket: WorkerSocket) -> None:
        self.socket = socket
        self.order: dict[str, Any] = {"phase": "none"}
        self.changed = gevent.event.Event()
        self.phase = "joining"
        self.finished = 0
        self._clock = ClockComparison()
        self._heard_s = time.monotonic()
        self._parts: gevent.queue.Queue = gevent.queue.Queue()
        self._told_time = gevent.event.Event()
        self._locust: gevent.queue.Queue = gevent.queue.Queue()
        self._takes_spawns = True
        self._acknowledged = gevent.event.Event()
        self._outbox: Outbox | None = None
        self._broken = ""
        self._greenlets: list[gevent.Greenlet] = []
        self._run(self._read)
        self._run(self._beat)

    # -- what Locust's runner calls: it takes this for its client

    def send(self, message: Message) -> None:
        self.socket.send(message)

    def recv(self) -> Message:
        return self._locust.get()

    def close(self) -> None:
        """Locust closes to connect again; ZeroMQ does that by itself."""

    # -- the master

    def wait_for(self, *phases: str, limit_s: float | None = None) -> str:
        """Until the master orders one of these; "" when it is lost. Raises RunError when it does not know our token."""
        until = None if limit_s is None else time.monotonic() + limit_s
        while self.order["phase"] not in phases:
            if self.order["phase"] == "none" and self.socket.refusals >= REFUSALS:
                raise RunError("the master refused this worker; give both the same token")
            if self._broken:
                raise RunError(self._broken)
            if self.order["phase"] != "none" and self.lost:
                return ""
            if until is not None and time.monotonic() > until:
                return ""
            self.changed.clear()
            self.changed.wait(0.1)
        return str(self.order["phase"])

    @property
    def lost(self) -> str:
        """Why the master is taken for gone; "" while it is there."""
        if self._broken:
            return self._broken
        silent_s = time.monotonic() - self._heard_s
        if silent_s > MASTER_SILENT_S:
            return f"the master said nothing for {silent_s:.1f} s"
        if not self.socket.connected and silent_s > MASTER_CUT_S:
            return "the connection to the master was lost"
        return ""

    def fetch(self, total: int) -> bytes:
        """The package, part by part. Raises RunError when the master is lost."""
        found = bytearray()
        while len(found) < total:
            self.tell("lf-fetch", {"offset": len(found)})
            try:
                part = self._parts.get(timeout=ASK_AGAIN_S)
            except gevent.queue.Empty:
                if self.lost:
                    raise RunError(self.lost) from None
                continue
            if part["offset"] == len(found):
                found += part["data"]
        return bytes(found)

    def compare_clocks(self) -> None:
        """Before the load: as many questions as the comparison wants. While it runs each beat asks once more, for the drift."""
        for _ in range(WINDOW):
            self._told_time.clear()
            self._ask_time()
            self._told_time.wait(ASK_AGAIN_S)

    def own_clock_ns(self, master_ns: int) -> int:
        return master_ns - self._clock.ahead_ns

    def _ask_time(self) -> None:
        self.tell("lf-ping", {"sent_ns": time.monotonic_ns()})

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        try:
            self.socket.send(Message(kind, dict(data), None))
        except RPCError as error:
            LOG.warning("not sent to the master: %s", error)

    def beat(self) -> None:
        """How this worker is doing; the master takes its silence for its loss."""
        info = {"host": platform.node(), "pid": os.getpid(), "protocol": PROTOCOL, "clock_error_s": self._clock.error_s}
        self.tell("lf-beat", {"phase": self.phase, "finished": self.finished, "info": info})

    # -- the stream

    def stream(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._run(self._send_batches, outbox)

    def deliver(self) -> str:
        """Until all has arrived at the master: ""; else why it never will."""
        assert self._outbox is not None
        while not self._outbox.is_empty:
            if self.order["phase"] == "leave":
                return str(self.order.get("why") or "the master gave this worker up")
            if self.lost:
                return self.lost
            gevent.sleep(0.02)
        return ""

    def refuse_spawns(self) -> None:
        """From here on no user may start: it would be nobody's, as the load of this process is being ended."""
        self._takes_spawns = False

    def end(self) -> None:
        self.tell("lf-bye", {})
        gevent.killall(self._greenlets)
        self.socket.close()

    # -- greenlets

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        greenlet = gevent.spawn(work, *arguments)
        greenlet.link_exception(self._broke)
        self._greenlets.append(greenlet)

    def _broke(self, greenlet: gevent.Greenlet) -> None:
        """A mistake of ours, or a full disk: without this greenlet the link is of no use."""
        self._broken = f"{type(greenlet.exception).__name__}: {greenlet.exception}"

    def _read(self) -> None:
        while True:
            message = self.socket.recv()
            self._heard_s = time.monotonic()
            if message.type == "lf-order":
                if message.data != self.order:
                    self.order = message.data
                    self.changed.set()
            elif message.type == "lf-ack":
                if self._outbox is not None:
                    self._outbox.arrived(message.data)
                self._acknowledged.set()
            elif message.type == "lf-pong":
                self._clock.heard(message.data["sent_ns"], message.data["master_ns"], time.monotonic_ns())
                self._told_time.set()
            elif message.type == "lf-part":
                self._parts.put(message.data)
            elif message.type != "spawn" or self._takes_spawns:
                self._locust.put(message)

    def _beat(self) -> None:
        while True:
            self.beat()
            loading = self.order["phase"] in ("go", "stop")
            if loading:
                self._ask_time()
            gevent.sleep(self.order["beat_s"] if loading else BEAT_S)

    def _send_batches(self, outbox: Outbox) -> None:
        """One at a time; again after a broken connection, as ZeroMQ may have lost it with that."""
        while True:
            parts = outbox.batch()
            if not parts:
                gevent.sleep(0.02)
                continue
            self._acknowledged.clear()
            connections = self.socket.connections
            self.tell("lf-batch", {"parts": parts})
            until = time.monotonic() + RESEND_S
            while not self._acknowledged.wait(0.2):
                again = self.socket.connected and self.socket.connections != connections
                if again or time.monotonic() > until:
                    break
