"""`loadflow agent`: this machine makes load for runs on others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from loadflow.cli.console import echo
from loadflow.cli.options import apply, nats_options
from loadflow.engine.plan.cluster import MASTER_PORT
from loadflow.interrupting import stop_signals

if TYPE_CHECKING:
    from loadflow.engine.fleet.access import Access

__all__ = ["agent"]

ERROR = 1  # not all that was recorded has arrived


@click.command(short_help="Make load for runs on other machines.")
@apply(nats_options("The NATS server at which runs look for agents.", required=True))
@click.option(
    "--token-file", type=click.Path(dir_okay=False), help="File whose first line is the token of a script with runner_mode master."
)
@click.option("--slots", type=click.IntRange(min=1), help="Shares of loads at a time. [default: one for each core]")
@click.option(
    "--probe-dir",
    type=click.Path(file_okay=False),
    help="Folder for the files `ready`, there while the agent is registered, and `alive`, touched every 5 s.",
)
@click.option("--once", is_flag=True, help="End after one run. [default: wait for the next run]")
def agent(nats_url: str, nats_creds: str | None, token_file: str | None, slots: int | None, probe_dir: str | None, once: bool) -> None:
    """Make shares of loads, one run after another, for `loadflow run --nats-url URL --workers N` on any machine.

    An agent needs no script and no data: it is given the plan, and delivers every hit. It can be started before the server and before the
    run. What its own LOADFLOW_ALLOWED_HOSTS forbids it does not send, and not more than its own LOADFLOW_MAX_RATE_PER_S.

    The server may also be that of a script with runner_mode "master", on its port: then both need the same token, unless the same user
    runs both on one machine. There is no option for the token itself, because all users of a machine can read its command lines.

    The first Ctrl-C, SIGTERM, SIGHUP or SIGQUIT ends the load and delivers the recorded hits; a second one ends everything at once.
    """
    from loadflow.engine.fleet.agent import run_agent

    access = _access(nats_url, nats_creds, token_file)
    with stop_signals(_say) as stop:
        served = run_agent(access, slots=slots, once=once, say=echo, stop=stop, probe_dir=Path(probe_dir) if probe_dir else None)
    if once and any(one.problem for one in served):
        raise click.exceptions.Exit(ERROR)


def _access(url: str, credentials: str | None, token_file: str | None) -> Access:
    """By a token where one is given, or where the server is this machine's on the port of masters and no other way in is named."""
    from loadflow.engine.fleet.access import given_access
    from loadflow.engine.fleet.keys import TOKEN_VARIABLE, find_token
    from loadflow.engine.fleet.serving import token_access

    given = given_access(url, credentials, "--nats-url")
    parts = urlsplit(given.url)
    host, port = parts.hostname or "", parts.port or 4222
    of_master = token_file is not None or (credentials is None and (TOKEN_VARIABLE in os.environ or port == MASTER_PORT))
    if not of_master:
        return given
    return token_access(host, port, find_token(host, "--nats-url" if token_file is None else "--token-file", token_file))


def _say(text: str) -> None:
    echo(text, err=True)
