"""One load at a time on each system, whoever starts it and from whichever machine: a slot of a global concurrency limit.

Prefect renews the slot's lease while it is held, and gives it back by itself when its holder is gone.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from loadflow.engine.plan.target import host_of, is_loopback_host
from loadflow.errors import RunError

__all__ = ["lease_name", "target_lease"]

LEASE_S = 60.0  # the least that Prefect allows; after a crash the target is free again that much later
SLOW_ANSWER_S = 30.0  # a busy server's; a slot that is taken is seen before


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
    """Holds the target's slot while its load runs. Waits at most `wait_s` for another load's end, then raises RunError."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self._wait_s = wait_s

    @contextmanager
    def __call__(self, targets: str) -> Iterator[None]:
        """`targets` as `Asked.target` has them: separated by a comma and a blank."""
        names = sorted({lease_name(one) for one in targets.split(", ") if one})
        with ExitStack() as held:
            for name in names:
                if _is_full(name) and self._wait_s <= 0:
                    raise _taken(name)
                within_s = max(self._wait_s, SLOW_ANSWER_S)
                # a server that is away for a while must not end a load that is under way
                slot = partial(concurrency, strict=True, raise_on_lease_renewal_failure=False)
                try:
                    held.enter_context(slot(name, timeout_seconds=within_s, lease_duration=LEASE_S))
                except TimeoutError:
                    raise _taken(name) from None
            yield


def _is_full(name: str) -> bool:
    """Whether all slots are held now. Makes the limit where it is not there; one that somebody made or changed stays as it is."""
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
            return False
        return limit.active_slots >= limit.limit


def _taken(name: str) -> RunError:
    way_out = "wait for its end, give wait_for_target, or raise the limit of this name where two loads are meant"
    return RunError(f"another load is on this target (concurrency limit {name}); nothing was sent; {way_out}")
