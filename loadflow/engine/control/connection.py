"""One client: what it has sent so far, what it follows, and when it has taken too long. The clock is passed in."""

from __future__ import annotations

import json
import math
import selectors
from collections import deque
from dataclasses import dataclass

from loadflow.engine.control.envelope import ErrorKind, Refused, error_frame, event_frame
from loadflow.engine.control.frames import FrameDecoder
from loadflow.engine.control.job import Job, JobState
from loadflow.engine.control.legacy import LegacyDecoder, LegacyError, error_answer
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.peer import Gone, Peer

__all__ = ["Connection", "Follow"]

LINGER_S = 1.0  # for the client to read the last answer and to close
FULL_BYTES = 256 * 1024  # of output that waits: nothing more is read from the client or answered, and no snapshots are added
READS_AT_ONCE = 16  # then the others have a turn


@dataclass(slots=True)
class Follow:
    """A run that the client follows; `next` is the number of the next snapshot, `id` the request's."""

    job: Job
    id: object
    next: int = 0


class Connection:
    """`owed` counts the answers that are still being made. All methods are for the server's own thread."""

    def __init__(self, peer: Peer, *, framed: bool, limits: Limits, now_s: float) -> None:
        self.peer = peer
        self.framed = framed
        self.authorised = False
        self.owed = 0
        self.follows: dict[str, Follow] = {}
        self.waiting: deque[bytes] = deque()  # requests that came and are not answered yet
        self.reading = False  # one of them is being read aside
        self._frames = FrameDecoder()
        self._text = LegacyDecoder()
        self._asked = False  # unframed: the one request has come
        self._limits = limits
        self._credit = float(limits.burst_frames)
        self._credit_s = now_s
        self._handshake_s = now_s  # since when, each of them
        self._part_s: float | None = now_s
        self._idle_s = now_s
        self._stuck_s: float | None = None
        self._linger_s: float | None = None
        self._refusal: Refused | None = None
        self._ended = False  # the client has shut down its side
        self.closing = False  # once what waits has been sent

    # -- input

    @property
    def is_full(self) -> bool:
        """Whether so much output waits that no more should be made."""
        return len(self.peer.out) > FULL_BYTES

    @property
    def goes_on(self) -> bool:
        """Whether more of what waits can be answered now."""
        return bool(self.waiting) and not self.reading and not self.is_full

    @property
    def reads(self) -> bool:
        busy = self._ended or self.closing or self.waiting or self.reading or self.is_full
        return self._linger_s is not None or not busy

    def receive(self, now_s: float) -> list[bytes]:
        """The requests that came. Raises Gone when the client is."""
        found: list[bytes] = []
        for _ in range(READS_AT_ONCE):
            if not self.reads:
                break
            data = self.peer.receive()
            if data is None:
                break
            if self._linger_s is not None:
                if not data:
                    raise Gone("closed")
                continue
            found += self._take(data, now_s)
            if self._refusal is not None:
                break
        return found

    def settle(self) -> None:
        """After all requests of one `receive` were answered: refuse what was none, which ends the connection."""
        if self._refusal is not None:
            self._refuse(self._refusal)
            self._refusal = None

    def _take(self, data: bytes, now_s: float) -> list[bytes]:
        self._ended = not data
        found = self._take_frames(data, now_s) if self.framed else self._take_text(data)
        pending = self._frames.pending_bytes if self.framed else 0 if self._asked else self._text.pending_bytes
        if found:
            self._idle_s, self._part_s = now_s, None
        if pending and self._part_s is None:
            self._part_s = now_s
        return found

    def _take_frames(self, data: bytes, now_s: float) -> list[bytes]:
        frames = self._frames.feed(data)
        self._credit = min(float(self._limits.burst_frames), self._credit + (now_s - self._credit_s) * self._limits.frames_per_s)
        self._credit_s = now_s
        allowed = frames[: int(self._credit)]
        self._credit -= len(allowed)
        if len(allowed) < len(frames):
            self._refusal = Refused(ErrorKind.RATE, f"more than {self._limits.frames_per_s:g} requests a second; ask less often")
        elif self._frames.broken:
            self._refusal = Refused(ErrorKind.BAD_FRAME, self._frames.broken)
        return allowed

    def _take_text(self, data: bytes) -> list[bytes]:
        if self._asked:  # one request a connection; what follows it is nothing
            return []
        try:
            request = self._text.feed(data) if data else self._text.end()
        except LegacyError as error:
            self._refusal = Refused(ErrorKind.BAD_REQUEST, str(error))
            return []
        self._asked = request is not None
        return [request] if request is not None else []

    def _refuse(self, refused: Refused) -> None:
        self.send(error_frame(refused) if self.framed else error_answer(refused.message))
        self.close_after_output()

    # -- output

    def send(self, data: bytes) -> None:
        """Put an answer behind what waits already. A client that lets too much wait is dropped."""
        if not self.peer.is_open or self._linger_s is not None:
            return
        if self.peer.out and len(self.peer.out) + len(data) > self._limits.output_bytes:
            self.peer.close()
            return
        self.peer.out += data

    def close_after_output(self) -> None:
        self.closing = True

    def pump(self) -> None:
        """Add what is new of the runs that the client follows, as far as it keeps up."""
        for run, follow in list(self.follows.items()):
            ended = follow.job.state is JobState.ENDED
            while not self.is_full and self.peer.is_open:
                follow.next, snapshots = follow.job.snapshots(follow.next, 50)
                if not snapshots:
                    if ended:
                        self.send(event_frame("end", follow.id, run, follow.job.result))
                        del self.follows[run]
                    break
                for snapshot in snapshots:
                    self.send(event_frame("snapshot", follow.id, run, json.loads(snapshot)))

    def flush(self, now_s: float) -> None:
        """Send what can be sent; move on to the end when the end is due. Raises Gone."""
        if not self.peer.is_open:
            raise Gone("the client does not read its answers")
        if self.peer.out:
            took = self.peer.flush()
            self._stuck_s = None if not self.peer.out else now_s if took or self._stuck_s is None else self._stuck_s
        if self._ended and not self.owed and not self.follows and not self.waiting:
            self.closing = True
        if self.closing and not self.peer.out and self._linger_s is None:
            self._linger_s = now_s
            self.peer.end_output()

    @property
    def wants(self) -> int:
        """The events to wait for; 0: none."""
        if not self.peer.shaken:
            return self.peer.wants
        return (selectors.EVENT_READ if self.reads else 0) | (selectors.EVENT_WRITE if self.peer.out else 0)

    # -- time

    def due_s(self) -> tuple[float, str]:
        """When the client will have taken too long, and for what."""
        limits = self._limits
        if self._linger_s is not None:
            return self._linger_s + LINGER_S, ""
        if not self.peer.shaken:
            return self._handshake_s + limits.handshake_s, "no TLS handshake in time"
        waits = [(math.inf, "")]
        if self._stuck_s is not None:
            waits.append((self._stuck_s + limits.write_s, "the client does not read its answers"))
        if not (self.owed or self._ended or self.closing or self._asked):
            if self._part_s is not None:
                waits.append((self._part_s + limits.read_s, "no whole request in time"))
            elif not self.follows:
                waits.append((self._idle_s + limits.idle_s, "idle"))
        return min(waits)

    def rest(self, now_s: float) -> None:
        """A run that was followed, or an answer that was owed, is over: the idle time starts now."""
        self._idle_s = now_s

    def time_out(self, reason: str) -> None:
        """Say why, where the client could read it, and close. Raises Gone where it could not."""
        if not reason or not self.peer.shaken or self._stuck_s is not None:
            raise Gone(reason or "closed")
        self._refuse(Refused(ErrorKind.TIMEOUT, reason))
