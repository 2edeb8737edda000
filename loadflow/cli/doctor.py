"""`loadflow doctor`: whether this machine has what loadflow needs, and what it could use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from loadflow.engine.verdict import EXIT_CODES, VerdictKind

if TYPE_CHECKING:
    from loadflow.cli.diagnosis import Finding

__all__ = ["doctor"]

MARKS = {
    "ok": click.style("ok     ", fg="green"),
    "note": click.style("note   ", fg="yellow"),
    "broken": click.style("broken ", fg="red", bold=True),
}


@click.command(short_help="Say what is installed, reachable and missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at versions, engines, limits, ports, the Prefect API, and servers that tests and demos can use.

    Exit codes: 0 when everything needed is there, 5 when something needed is broken.
    """
    from loadflow.cli.diagnosis import diagnose

    findings = list(diagnose())
    if as_json:
        click.echo(json.dumps([{"name": one.name, "state": one.state, "text": one.text} for one in findings], indent=2))
    else:
        for one in findings:
            print_finding(one)
    ctx.exit(EXIT_CODES[VerdictKind.ERROR] if any(one.state == "broken" for one in findings) else 0)


def print_finding(finding: Finding) -> None:
    click.echo(f"{MARKS[finding.state]}{click.style(finding.name, bold=True)}: {finding.text}")
