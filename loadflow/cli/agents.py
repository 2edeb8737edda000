"""`loadflow agents`: who waits for work at a NATS server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo, echo_json
from loadflow.cli.options import apply, nats_options
from loadflow.engine.base.counted import counted

if TYPE_CHECKING:
    from loadflow.engine.fleet.discovery import AgentAnswer

__all__ = ["agents"]

NONE_THERE = 1


@click.command(short_help="List the agents that wait for runs.")
@apply(nats_options("The NATS server at which they wait.", required=True))
@click.option("--wait", "wait_s", default=1.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds in which agents answer.")
@click.option("--at-least", default=1, show_default=True, type=click.IntRange(min=0), help="Exit with 1 if fewer are there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def agents(ctx: click.Context, nats_url: str, nats_creds: str | None, wait_s: float, at_least: int, as_json: bool) -> None:
    """List the agents at a NATS server: version, cores, engines, what they can make, how far their clock is off, and whom they may load."""
    from loadflow.engine.fleet.access import given_access
    from loadflow.engine.fleet.discovery import agents_at

    found = agents_at(given_access(nats_url, nats_creds, "--nats-url"), wait_s)
    if as_json:
        echo_json([one.to_json() for one in found])
    else:
        for one in found:
            echo(_line(one))
        if not found:
            echo(f"no agent answers at {nats_url}; start one there with `loadflow agent --nats-url {nats_url}`")
    ctx.exit(0 if len(found) >= at_least else NONE_THERE)


def _line(one: AgentAnswer) -> str:
    facts = one.facts
    engines = "native, locust" if facts.native else "locust"
    ceiling = ", ".join(f"{name} {per_s:,}/s" for name, per_s in facts.ceilings.items()) or "not calibrated"
    hosts = "any host" if facts.allowed_hosts is None else f"hosts {', '.join(facts.allowed_hosts) or 'of loopback'}"
    cap = "" if facts.max_rate_per_s is None else f", at most {facts.max_rate_per_s:g}/s"
    work = f"makes {', '.join(one.shards)}" if one.shards else "free"
    trouble = f"; not counted: {one.trouble}" if one.trouble else ""
    return (
        f"{facts.id}: loadflow {facts.version}, {counted(facts.cores, 'core')}, {facts.slots} at a time, {engines}, {ceiling}, "
        f"clock {one.clock_ms:+.1f} ms ± {one.clock_error_ms:.1f}, {hosts}{cap}; {work}{trouble}"
    )
