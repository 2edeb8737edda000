"""`loadflow automations`: what a Prefect server should do by itself about load tests."""

from __future__ import annotations

import click

from loadflow.cli.console import echo, echo_lines

__all__ = ["automations"]


@click.group(short_help="Let the Prefect server end dead runs, pause and notify by itself.")
def automations() -> None:
    """Set up automations for load tests on the Prefect server at PREFECT_API_URL."""


@automations.command("apply", short_help="Create or update the automations on the server.")
@click.option("--pause-after", type=click.IntRange(min=1), help="Pause a deployment after this many runs that did not pass.")
@click.option(
    "--within-days",
    default=7.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Count only such runs within this time, for --pause-after.",
)
@click.option(
    "--notify",
    metavar="TYPE/NAME",
    help="Notification block for messages about runs that did not pass or did not run, e.g. slack-webhook/ops.",
)
@click.option(
    "--missing-after",
    "missing_after_hours",
    default=26.0,
    show_default=True,
    type=click.FloatRange(min=10 / 3600),
    metavar="HOURS",
    help="With --notify: send a message if a deployment with the tag nightly has not started a run for this long.",
)
def apply(pause_after: int | None, within_days: float, notify: str | None, missing_after_hours: float) -> None:
    """Create or update the automations. Dead runs are marked Crashed, so that the next run can start.

    This needs a Prefect server (PREFECT_API_URL): the embedded server does not run automations.
    """
    from prefect.settings import PREFECT_API_URL

    from loadflow.flows.automations import apply as apply_automations

    if not PREFECT_API_URL.value():
        raise click.UsageError("PREFECT_API_URL is not set; start a server and set it, e.g. http://127.0.0.1:4200/api")
    names = apply_automations(pause_after=pause_after, within_days=within_days, notify=notify, missing_after_hours=missing_after_hours)
    for name in names:
        echo(name)


@automations.command("show", short_help="Print the automations as YAML, for `prefect automation create --from-file`.")
def show() -> None:
    """Print the YAML files."""
    from loadflow.flows.automations import NAMES, source

    echo_lines("---\n".join(source(name) for name in NAMES))
