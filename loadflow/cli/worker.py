"""`loadflow worker`: this machine's share of the load of a master."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from loadflow.engine.plan.cluster import MASTER_PORT

__all__ = ["worker"]

WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
INTERRUPTED = 130  # as a shell has it for a program that a second Ctrl-C ended


@click.command(short_help="Make load for a master on another machine.")
@click.option("--master", required=True, metavar="HOST[:PORT]", help=f"Where the master listens. [default port: {MASTER_PORT}]")
@click.option("--token-file", type=click.Path(dir_okay=False), help="Its first line is the token. [default: $LOADFLOW_WORKER_TOKEN]")
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(min=1), help="Worker processes, one core each; each is a worker."
)
@click.option("--once", is_flag=True, help="End after one run. [default: go on with the next]")
def worker(master: str, token_file: str | None, processes: int, once: bool) -> None:
    """Take part in the runs of a master, one after the other: scripts with runner_mode "master".

    The worker needs no script and no data: the master sends what it needs, and gets every hit. A worker may be started before
    its master and waits for it. Both need the same token, except on one machine and for one user. There is no option for
    the token itself, because everybody on the machine can read command lines.

    The first Ctrl-C or SIGTERM ends the load and delivers what was recorded; a second one ends at once.
    """
    from loadflow.engine.cluster.keys import find_token
    from loadflow.engine.cluster.serving import serve_master

    host, port = _address(master)
    token = find_token(host, "--token-file" if token_file else "--master", token_file)
    with _stop_signals() as stop:
        serve_master(host, port, token.text, processes=processes, once=once, say=lambda text: click.echo(text), stop=stop)


def _address(text: str) -> tuple[str, int]:
    """An IPv6 address with a port stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, str(MASTER_PORT)
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{text!r} is no HOST or HOST:PORT; write for example 10.0.0.5:{MASTER_PORT}", param_hint="--master")
    return host, int(port)


@contextmanager
def _stop_signals() -> Iterator[Callable[[], str]]:
    """A question: why to stop; "" while nobody asked."""
    asked = ""

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)  # the supervisors notice that we are gone, and end the load
        asked = WORDS[signal.Signals(number)]
        click.echo(f"{asked}: ending the load and delivering its hits; once more ends at once", err=True)

    previous = {number: signal.signal(number, end) for number in WORDS}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
