"""The options that every command which runs scripts takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import click

from loadflow.cli.variables import variables_option
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.fleet.keys import listen_address
from loadflow.engine.plan.cluster import Workers

__all__ = ["RunOptions", "apply", "nats_options", "run_options", "workers_at"]

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`runs_dir` None: LOADFLOW_RUNS_DIR or ./loadflow-runs; `report_dir` None: the current folder."""

    variables: JsonObject
    direct: bool = False
    report_dir: str | None = None
    runs_dir: str | None = None
    label: str = ""
    as_json: bool = False
    quiet: bool = False
    live: bool = False
    workers: int | None = None
    external_agents: bool = False
    nats_url: str | None = None
    nats_creds: str | None = None
    pool: str | None = None
    listen: str | None = None

    def agents(self) -> Workers | None:
        """Who makes the loads: None is this machine, without a broker. Raises UsageError for options that contradict each other."""
        if self.workers is None:
            for option, given in (("--nats-url", self.nats_url or self.nats_creds or self.external_agents), ("--pool", self.pool)):
                if given or self.listen:
                    raise click.UsageError(f"{option if given else '--listen'} needs --workers N: among how many agents a load is divided")
            return None
        if self.listen and self.nats_url:
            raise click.UsageError("--listen is where a server of this command's own listens, and --nats-url names another one")
        if self.listen and not (self.external_agents or self.pool):
            raise click.UsageError("--listen is for agents that are started elsewhere; add --external-agents or --pool NAME")
        if self.pool and self.direct:
            raise click.UsageError("--pool NAME is a work pool of Prefect's, which --direct leaves out")
        url = None if self.listen else self.nats_url or os.environ.get("LOADFLOW_NATS_URL")
        if self.external_agents and not (url or self.listen):
            raise click.UsageError("--external-agents needs --nats-url URL, where the agents wait, or --listen ADDRESS, where they come to")
        at = Workers(self.workers) if self.listen else workers_at(self.workers, url, self.nats_creds)
        listen = listen_address(self.listen, "--listen") if self.listen else None
        return replace(at, listen=listen, pool=self.pool or "", external=self.external_agents)


def workers_at(count: int, url: str | None, credentials: str | None) -> Workers:
    """As many agents: those of a NATS server that is named here or in LOADFLOW_NATS_URL, else agents of this command's own."""
    from loadflow.engine.fleet.access import URL_VARIABLE, given_access

    url = url or os.environ.get(URL_VARIABLE)
    if url is None:
        return Workers(count)
    given_access(url, credentials, "--nats-url")
    return Workers(count, url, credentials)


def nats_options(what_for: str, *, required: bool = False) -> list[Callable[[F], F]]:
    """Options of every command that needs a NATS server of others."""
    return [
        click.option("--nats-url", metavar="URL", required=required, envvar="LOADFLOW_NATS_URL" if required else None, help=what_for),
        click.option("--nats-creds", type=click.Path(dir_okay=False), help="File of a NATS user: credentials, or the seed of an nkey."),
    ]


def apply(decorators: list[Callable[[F], F]]) -> Callable[[F], F]:
    """All of them as one, in the order of the list."""

    def decorated(function: F) -> F:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return decorated


def run_options(function: F) -> F:
    """Adds the options; the command takes them as `**options` for RunOptions."""
    folder = click.Path(file_okay=False)
    decorators: list[Callable[[F], F]] = [
        variables_option,
        click.option("--direct", is_flag=True, help="Run without Prefect: no flow, no server, no artifacts."),
        click.option("--report-dir", type=folder, help="Folder for reports with a relative name. [default: .]"),
        click.option(
            "--runs-dir", type=folder, help="Folder in which run folders are created. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
        ),
        click.option("--label", default="", help="A name for this run, shown in its folder's name and in the report."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, everything else on stderr."),
        click.option("--live", is_flag=True, help="Serve a live page of the load on a free port of this machine, and print its address."),
        click.option(
            "--workers", type=click.IntRange(min=1, max=1024), metavar="N", help="Divide each load among N agents. [default: no agents]"
        ),
        *nats_options(
            "Where agents wait (`loadflow agent`). [default: $LOADFLOW_NATS_URL, else agents and a server of this command's own]"
        ),
        click.option("--external-agents", is_flag=True, help="Start no agent here; said by --nats-url already."),
        click.option(
            "--listen", metavar="ADDRESS", help="Where external agents reach the server of this command's own: HOST:PORT, or *:PORT."
        ),
        click.option("--pool", metavar="NAME", help="The Prefect work pool that starts the agents, each as a flow run."),
        click.option("--quiet", "-q", is_flag=True, help="Print only the verdict: no live view, no table."),
    ]
    return apply(decorators)(function)
