"""What `loadflow doctor` says of agents: the NATS server of runs, and at one that is named, who is there and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loadflow.cli.diagnosis import Finding
from loadflow.engine.base.counted import counted
from loadflow.errors import CommandError, RunError

if TYPE_CHECKING:
    from loadflow.engine.fleet.discovery import AgentAnswer

__all__ = ["agent_findings", "diagnose_fleet"]

WAIT_S = 2.0
CLOCK_S = 1.0  # a time of day that is further off makes logs hard to read; hits are corrected, whatever it is


def diagnose_fleet(url: str | None, credentials: str | None) -> Iterator[Finding]:
    """`url` None: no server was named."""
    from loadflow.engine.fleet.access import CREDENTIALS_VARIABLE, given_access
    from loadflow.engine.fleet.broker import find_server
    from loadflow.engine.fleet.discovery import agents_at

    try:
        yield Finding("nats-server", "ok", f"{find_server()}, for loads with agents that name no server")
    except RunError as error:
        yield Finding("nats-server", "note", str(error))
    if not url:
        return
    try:
        access = given_access(url, credentials or os.environ.get(CREDENTIALS_VARIABLE), "--nats-url")
        found = agents_at(access, WAIT_S)
    except (CommandError, RunError) as error:
        yield Finding("agents", "broken", str(error))
        return
    yield from agent_findings(found, access.place)


def agent_findings(found: list[AgentAnswer], place: str) -> Iterator[Finding]:
    """Who is at the server `place`, in one line, and one more for each agent with which something is not as it should be."""
    if not found:
        yield Finding("agents", "note", f"none answers at {place}; start one: loadflow agent --nats-url {place}")
        return
    able = [one for one in found if not one.trouble]
    cores = counted(sum(one.facts.cores for one in able), "core")
    text = f"{counted(len(able), 'agent')} with {cores} at {place}, {sum(not one.shards for one in able)} free"
    yield Finding("agents", "ok" if len(able) == len(found) else "note", text)
    for one in found:
        name = f"agent {one.facts.id}"
        off_s = one.clock_ms / 1e3
        if one.trouble:
            yield Finding(name, "note", f"gets no share: {one.trouble}; install the same on both")
        elif not one.facts.native and any(other.facts.native for other in able):
            yield Finding(name, "note", "has no native core, as others have; it gets shares of Locust only")
        if abs(off_s) - one.clock_error_ms / 1e3 > CLOCK_S:
            way = "ahead" if off_s > 0 else "behind"
            yield Finding(name, "note", f"its clock is {abs(off_s):,.1f} s {way}: hits are corrected, its logs are not; use NTP there")
