"""`loadflow automations`: what a Prefect server should do by itself about load tests."""

from __future__ import annotations

import click

__all__ = ["automations"]


@click.group(short_help="What the Prefect server does by itself: end dead runs, pause, notify.")
def automations() -> None:
    """Automations for load tests on the Prefect server of PREFECT_API_URL."""


@automations.command("apply", short_help="Make or update them on the server.")
@click.option("--pause-after", type=click.IntRange(min=1), help="Pause a deployment after this many runs that did not pass.")
@click.option("--within-days", default=7.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="… within this time.")
@click.option("--notify", metavar="TYPE/NAME", help="A notification block to tell of runs that did not pass, e.g. slack-webhook/ops.")
def apply(pause_after: int | None, within_days: float, notify: str | None) -> None:
    """Make or update the automations: dead runs are marked Crashed within a minute, so that the next one may start.

    Without a server of its own (PREFECT_API_URL) they would be lost: the embedded server runs no automations.
    """
    from prefect.settings import PREFECT_API_URL

    from loadflow.flows.automations import apply as apply_automations

    if not PREFECT_API_URL.value():
        raise click.UsageError("PREFECT_API_URL is not set; start a server and set it, e.g. http://127.0.0.1:4200/api")
    for name in apply_automations(pause_after=pause_after, within_days=within_days, notify=notify):
        click.echo(name)


@automations.command("show", short_help="Print their YAML, for `prefect automation create --from-file`.")
def show() -> None:
    """Print the YAML files."""
    from loadflow.flows.automations import NAMES, source

    click.echo("---\n".join(source(name) for name in NAMES))
