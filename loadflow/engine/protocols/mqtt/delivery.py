"""How long messages are under way: what publishers of this process sent, until subscribers of this process have it."""

from __future__ import annotations

import itertools
import os
from collections import deque
from dataclasses import dataclass, field

from loadflow.engine.base.counted import counted
from loadflow.engine.protocols.mqtt.request import Tracked
from loadflow.engine.protocols.running.seam import Watch
from loadflow.engine.records.outcome import Outcome

__all__ = ["MOST_UNDER_WAY", "PROPERTY", "Deliveries"]

PROPERTY = "loadflow-delivery"  # the user property that carries a token
MOST_UNDER_WAY = 100_000  # tokens that are waited for; about 40 MB

Key = tuple[str, str]  # the path at which the token lies, "" for the property; the token


@dataclass(slots=True, eq=False)
class _UnderWay:
    key: Key
    tracked: Tracked
    sent_ns: int
    publisher: Watch
    seen_by: list[int] = field(default_factory=list)  # numbers of users

    @property
    def is_whole(self) -> bool:
        return len(self.seen_by) >= self.tracked.subscribers


class Deliveries:
    """One plan's table, shared by its users in one process. Times are those of `Watch.now_ns`."""

    def __init__(self, most: int = MOST_UNDER_WAY) -> None:
        self.paths: dict[str, None] = {}  # where tokens may lie in a JSON payload
        self._most = most
        self._under_way: dict[Key, _UnderWay] = {}
        # all entries of one timeout are due in the order in which they came
        self._due: dict[float, deque[_UnderWay]] = {}
        self._prefix = f"{os.getpid():x}-{os.urandom(4).hex()}"
        self._numbers = itertools.count(1)

    def new_token(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def sent(self, tracked: Tracked, token: str, publisher: Watch) -> None:
        """To be called before the message goes out: its delivery may be faster than its acknowledgement."""
        self.sweep(publisher.now_ns())
        key = (tracked.path, token)
        entry = _UnderWay(key, tracked, publisher.now_ns(), publisher)
        if len(self._under_way) >= self._most:
            now_ns = publisher.now_ns()
            text = f"not measured: the engine process already waits for {counted(self._most, 'message')}"
            publisher.observed("MQTT", tracked.name, now_ns, now_ns, 0, (Outcome.UNFINISHED, text))
            return
        if tracked.path:
            self.paths.setdefault(tracked.path)
        self._under_way[key] = entry
        self._due.setdefault(tracked.timeout_s, deque()).append(entry)

    def not_sent(self, tracked: Tracked, token: str) -> None:
        """The publish failed, and is recorded as that."""
        self._under_way.pop((tracked.path, token), None)

    def received(self, path: str, token: str, user: int, subscriber: Watch, received_bytes: int) -> None:
        """Each subscriber counts once: brokers may repeat a message of QoS 1."""
        entry = self._under_way.get((path, token))
        if entry is None or user in entry.seen_by:
            return
        entry.seen_by.append(user)
        if entry.is_whole:
            del self._under_way[entry.key]
        subscriber.observed("MQTT", entry.tracked.name, entry.sent_ns, subscriber.now_ns(), received_bytes)

    def sweep(self, now_ns: int) -> None:
        """Give up what is due."""
        for timeout_s, entries in self._due.items():
            limit_ns = now_ns - round(timeout_s * 1e9)
            while entries and (entries[0].sent_ns <= limit_ns or self._under_way.get(entries[0].key) is not entries[0]):
                entry = entries.popleft()
                if self._under_way.get(entry.key) is entry:
                    del self._under_way[entry.key]
                    self._give_up(entry, now_ns)

    def forget(self, publisher: Watch) -> None:
        """A publisher that ended can't record hits any more."""
        for key in [key for key, entry in self._under_way.items() if entry.publisher is publisher]:
            del self._under_way[key]

    def _give_up(self, entry: _UnderWay, now_ns: int) -> None:
        if entry.tracked.required:
            wanted = entry.tracked.subscribers
            text = f"not delivered within {entry.tracked.timeout_s:g} s" + (
                f" to {counted(wanted, 'subscriber')}, only to {len(entry.seen_by)}" if wanted > 1 else ""
            )
            entry.publisher.observed("MQTT", entry.tracked.name, entry.sent_ns, now_ns, 0, (Outcome.TIMEOUT, text))
