"""One load at a time on each system, from whatever flow or machine: a slot of a global concurrency limit."""

from __future__ import annotations

import logging
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.loggers import LoggingAdapter
from prefect.runtime import flow_run

from loadflow.engine.plan.target import host_of, is_loopback_host
from loadflow.errors import Interrupted, TargetTaken
from loadflow.flows.slots import Holder, Slots, record_name

__all__ = ["lease_name", "target_lease"]

Logger = logging.Logger | LoggingAdapter
RENEW_S = 20.0  # a third of the lease
AGAIN_S = 5.0  # where the server did not answer
LOOK_S = 2.0  # between two looks whether the target is free
SAY_S = 10.0  # between two lines in the log that say who is waited for
END_S = 15.0  # to give a slot back, while the server is away
REQUEST_S = 10.0
TROUBLE = (httpx.HTTPError, PrefectHTTPStatusError, OSError, RuntimeError)


def lease_name(target: str) -> str:
    """The limit's name for one target of a load: host and port, with this machine's name where it is loopback.

    >>> lease_name("http://shop.example:8080")
    'loadflow-target-shop.example-8080'
    """
    host = host_of(target) or target
    where = target.partition("://")[2] or target
    if is_loopback_host(host):
        where = where.replace(host, f"loopback of {platform.node()}", 1)
    # Prefect refuses some characters in names
    return f"loadflow-target-{re.sub(r'[^A-Za-z0-9.-]+', '-', where).strip('-').lower()}"


class target_lease:
    """Holds the target's slot while its load runs. Waits at most `wait_s` for another load's end, then raises TargetTaken.

    `logger` logs every ten seconds which run is waited for. `cancelled` says why the waiting has to end, "" while it has not.
    """

    def __init__(self, wait_s: float = 0.0, logger: Logger | None = None, cancelled: Callable[[], str] = str) -> None:
        self._wait_s = wait_s
        self._logger = logger or logging.getLogger(__name__)
        self._cancelled = cancelled

    @contextmanager
    def __call__(self, targets: str) -> Iterator[None]:
        """`targets` as `Asked.target` has them: separated by a comma and a blank."""
        until = time.monotonic() + self._wait_s
        with ExitStack() as held:
            for name in sorted({lease_name(one) for one in targets.split(", ") if one}):
                held.enter_context(self._held(name, until))
            yield

    @contextmanager
    def _held(self, name: str, until: float) -> Iterator[None]:
        own = Holder(name, "", _run_name(), str(flow_run.id) if flow_run.id else None, datetime.now(UTC).isoformat(timespec="seconds"))
        with _client() as client:
            slots = Slots(client, name)
            slots.make()
            lease = self._wait(slots, own, until)
            held = _Held(own, lease, self._logger)
            slots.say(held.key, held.holder)
        held.start()
        try:
            yield
        finally:
            held.end()

    def _wait(self, slots: Slots, own: Holder, until: float) -> UUID:
        said_at = float("-inf")
        while True:
            lease = slots.take(own.flow_run)
            if lease is None and (dead := slots.sweep()):
                for holder in dead:
                    self._logger.warning("the slot of %s is taken back: %s is gone", slots.limit, _described(holder))
                lease = slots.take(own.flow_run)
            if lease is not None:
                return lease
            now = time.monotonic()
            if now >= until:
                raise TargetTaken(_taken(slots))
            if why := self._cancelled():
                raise Interrupted(f"{why}; nothing was sent")
            if now - said_at >= SAY_S:
                said_at = now
                self._logger.info("waiting for the target, at most %.0f s more: %s", until - now, _holders(slots))
            time.sleep(min(LOOK_S, max(0.05, until - now)))


class _Held:
    """A slot that is held: a thread renews its lease, and gets a new one where the server has lost it."""

    def __init__(self, own: Holder, lease: UUID, logger: Logger) -> None:
        self._own = own
        self._lease = lease
        self._logger = logger
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="loadflow-lease", daemon=True)
        self.key = record_name(own.limit, uuid4())

    @property
    def holder(self) -> Holder:
        return Holder(self._own.limit, str(self._lease), self._own.name, self._own.flow_run, self._own.since)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(2 * REQUEST_S)
        until = time.monotonic() + END_S
        while True:
            try:
                with _client() as client:
                    Slots(client, self._own.limit).give_back(self._lease, self.key)
                return
            except TROUBLE as error:
                if time.monotonic() > until:
                    self._logger.warning("the slot of the target could not be given back (%s); %s", error, _way_out(self._own.limit))
                    return
            time.sleep(1.0)

    def _keep(self) -> None:
        wait_s = RENEW_S
        while not self._over.wait(wait_s):
            try:
                with _client() as client:
                    self._renew(Slots(client, self._own.limit))
                wait_s = RENEW_S
            except TROUBLE as error:
                wait_s = AGAIN_S
                self._logger.debug("the lease of %s could not be renewed: %s", self._own.limit, error)

    def _renew(self, slots: Slots) -> None:
        if not self._lost and slots.renew(self._lease):
            slots.say(self.key, self.holder)
            return
        # the server was restarted, or was away for longer than the lease: the slot may still count as taken although no run has it
        lease = slots.take(self._own.flow_run)
        if lease is None and not self._lost:
            slots.give_back_lost(self.key)
            lease = slots.take(self._own.flow_run)
        if lease is None:
            if not self._lost:
                self._logger.warning("the slot of %s was lost: another load may be on this target; this one goes on", self._own.limit)
            self._lost = True
            return
        self._logger.info("the lease of %s was lost and taken anew", self._own.limit)
        self._lost, self._lease = False, lease
        slots.say(self.key, self.holder)


def _client() -> SyncPrefectClient:
    return get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True)


def _run_name() -> str:
    return str(flow_run.name or f"a process of {platform.node()}")


def _taken(slots: Slots) -> str:
    out = f"wait for its end, or give wait_for_target; where no load runs there, {_way_out(slots.limit)}"
    return f"another load is on this target: {_holders(slots)}; nothing was sent; {out}"


def _way_out(limit: str) -> str:
    return f"`prefect gcl update {limit} --active-slots 0` frees it"


def _holders(slots: Slots) -> str:
    known = [_described(record.holder) for record in slots.records()]
    return f"{' and '.join(known) or 'another program'} holds the concurrency limit {slots.limit}"


def _described(holder: Holder) -> str:
    return f"the flow run {holder.name} ({holder.flow_run or 'without an id'}, since {holder.since})"
