"""`loadflow resume`: the end of a run whose process was killed while agents made its load."""

from __future__ import annotations

from pathlib import Path

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.console import echo
from loadflow.cli.options import apply, nats_options

__all__ = ["resume"]


@click.command(short_help="Fetch what agents still have of a run that was killed.", epilog=EXIT_CODE_HELP)
@click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@apply(nats_options("The NATS server of the run.", required=True))
@click.pass_context
def resume(ctx: click.Context, folder: Path, nats_url: str, nats_creds: str | None) -> None:
    """Take what the agents of a run still have, and what the NATS server has, into the folder RUN, and give it an end and a report.

    For a run whose process was killed, or whose machine died, while agents at a server of others made its load. They ended the load within
    5 s, and keep what they recorded for an hour. The verdict is *interrupted*.
    """
    from loadflow.cli.closing import print_summary, print_verdict
    from loadflow.cli.console import console_for
    from loadflow.engine.fleet.access import given_access
    from loadflow.engine.load.resume import resume as fetch
    from loadflow.engine.records.summing import summary_of

    run = fetch(folder, given_access(nats_url, nats_creds, "--nats-url"), echo)
    console = console_for(stderr=False)
    print_summary(console, summary_of([run]))
    verdict = run.summary().verdict
    print_verdict(console, verdict)
    ctx.exit(verdict.exit_code)
