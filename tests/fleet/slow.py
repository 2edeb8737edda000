"""A way between workers and a master that is slow, narrow, and may be cut or held; bytes stay whole and in order."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType

__all__ = ["SlowWay"]

CHUNK = 4_096


class SlowWay:
    """Passes TCP connections on to a port of this machine, each byte `delay_s` late, in each direction."""

    def __init__(self, port: int, *, delay_s: float, bytes_per_s: float) -> None:
        self._target = port
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> SlowWay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        self.release()
        self.cut()

    def hold(self) -> None:
        """From now on nothing gets through, and neither end is told: a cable that was pulled."""
        self._free.clear()

    def release(self) -> None:
        """What was on its way arrives, as TCP has it when a link is back."""
        self._free.set()

    def cut(self) -> None:
        """Break every connection that is open now."""
        broken, self._open = self._open, []
        for one in broken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # no master yet
                near.close()
                continue
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                way: queue.Queue[tuple[float, bytes]] = queue.Queue()
                threading.Thread(target=self._take, args=(source, way), daemon=True).start()
                threading.Thread(target=self._give, args=(way, sink), daemon=True).start()

    def _take(self, source: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            way.put((time.monotonic() + self._delay_s, data))
            time.sleep(len(data) / self._bytes_per_s)

    def _give(self, way: queue.Queue[tuple[float, bytes]], sink: socket.socket) -> None:
        while True:
            due_s, data = way.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._free.wait()
            with contextlib.suppress(OSError):
                if not data:
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
