"""`loadflow doctor`: whether this machine has what loadflow needs, and what it could use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import Styled, echo, echo_json
from loadflow.cli.options import apply, nats_options
from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind

if TYPE_CHECKING:
    from loadflow.cli.diagnosis import Finding

__all__ = ["doctor"]

MARKS = {
    "ok": Styled("ok     ", fg="green"),
    "note": Styled("note   ", fg="yellow"),
    "broken": Styled("broken ", fg="red", bold=True),
}


@click.command(short_help="Show what is installed, reachable and missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--hostile",
    is_flag=True,
    help="Instead, send hostile answers to each engine and show the outcomes, the event loop's lag and the memory.",
)
@apply(nats_options("Also ask who is at this NATS server: versions that differ, clocks that are off. [default: $LOADFLOW_NATS_URL]"))
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, hostile: bool, nats_url: str | None, nats_creds: str | None) -> None:
    """Check versions, engines, limits, ports, the Prefect API, agents, and the servers that tests and demos can use.

    With --hostile, a target on loopback sends hostile answers to each engine: bombs, endless answers, slow charsets, floods of frames.
    The table shows the outcome of each, how late the engine's event loop got, and how much more memory the engine used. That takes
    a few minutes. For HTTP/3 it needs aioquic, and says so where that is missing.

    Exit codes: 0 if everything required works, 5 if something required is broken.
    """
    if hostile:
        from loadflow.cli.hostile import print_hostile

        ctx.exit(0 if print_hostile(as_json) else EXIT_CODES[VerdictKind.ERROR])
    from loadflow.cli.diagnosis import diagnose
    from loadflow.cli.fleet_diagnosis import diagnose_fleet

    findings = [*diagnose(), *diagnose_fleet(nats_url or os.environ.get("LOADFLOW_NATS_URL"), nats_creds)]
    if as_json:
        echo_json([{"name": one.name, "state": one.state, "text": one.text} for one in findings])
    else:
        for one in findings:
            print_finding(one)
    ctx.exit(EXIT_CODES[VerdictKind.ERROR] if any(one.state == "broken" for one in findings) else 0)


def print_finding(finding: Finding) -> None:
    echo(MARKS[finding.state], Styled(finding.name, bold=True), f": {finding.text}")
