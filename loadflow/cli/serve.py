"""`loadflow serve`: the control plane, over TCP or HTTP, in the foreground."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from loadflow.cli.console import echo
from loadflow.cli.options import apply, nats_options, workers_at
from loadflow.engine.base.visible import VisibleFormatter
from loadflow.interrupting import heldable

if TYPE_CHECKING:
    from loadflow.engine.control.server import ControlServer
    from loadflow.engine.control.web.server import WebServer

__all__ = ["serve"]

LOOK_S = 0.5  # between two looks for a signal, whose handler runs only in between
PORT, HTTP_PORT = 9940, 8080
INTERRUPTED = 130  # as a shell has it for a program that a second Ctrl-C ended


@click.command(short_help="Run scripts that clients send over TCP or HTTP.")
@click.option(
    "--host", default="localhost", show_default=True, help="Address to listen on. An address that other machines can reach needs a token."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Port to listen on; 0 takes a free port. [default: {PORT}; with --http {HTTP_PORT}]"
)
@click.option("--http", is_flag=True, help="Protocol: HTTP, one run at a time; POST /run answers in lines of JSON.")
@click.option("--framed/--legacy", default=None, help="Protocol: JSON in frames (default), or LoadDensity's text without frames.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="File whose first line is the token. [default: $LOADFLOW_SOCKET_TOKEN]")
@click.option("--tls-cert", type=click.Path(dir_okay=False), help="The server's certificate (PEM); turns on TLS 1.2 or newer.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="The certificate's key (PEM).")
@click.option(
    "--root", type=click.Path(file_okay=False, exists=True), help="Working directory. Scripts can't use files outside of it. [default: .]"
)
@click.option(
    "--allow-env", multiple=True, metavar="NAME", help="Environment variable that ${env.NAME} may read. Can be given several times."
)
@click.option(
    "--allow-command", multiple=True, metavar="NAME", help="Command to allow that is refused by default. Can be given several times."
)
@click.option(
    "--allow-package", multiple=True, metavar="NAME", help="Package that LD_add_package_to_executor may load, if that command is allowed."
)
@click.option(
    "--workers", type=click.IntRange(min=1, max=1024), metavar="N", help="Divide each load among N agents. [default: this machine makes it]"
)
@apply(nats_options("Where the agents wait. [default: $LOADFLOW_NATS_URL, else agents and a NATS server of this command's own]"))
@click.option("--quiet", "-q", is_flag=True, help="Print only the address and warnings.")
def serve(
    host: str,
    port: int | None,
    http: bool,
    framed: bool | None,
    token_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    root: str | None,
    allow_env: tuple[str, ...],
    allow_command: tuple[str, ...],
    allow_package: tuple[str, ...],
    workers: int | None,
    nats_url: str | None,
    nats_creds: str | None,
    quiet: bool,
) -> None:
    """Accept scripts over TCP or HTTP and run each in its own session, until a client sends quit (TCP) or the process gets a stop
    signal.

    The first signal asks running scripts to end and keeps their results; a second one ends everything at once. There is no option for
    the token itself, because all users of a machine can read its command lines.
    """
    if http and framed is not None:
        raise click.UsageError("--http is a protocol of its own; leave out --framed and --legacy")
    if workers is None and (nats_url or nats_creds):
        raise click.UsageError("--nats-url needs --workers N: into how many shares a load is to be divided")
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("loadflow.control").setLevel(logging.WARNING if quiet else logging.INFO)
    settings: dict[str, Any] = {
        "token_file": token_file,
        "certfile": tls_cert,
        "keyfile": tls_key,
        "root": root,
        "allow_env": allow_env,
        "allow_commands": allow_command,
        "allow_packages": allow_package,
        "workers": workers_at(workers, nats_url, nats_creds) if workers else None,
    }
    server: ControlServer | WebServer
    if http:
        from loadflow.engine.control.web.server import WebServer

        server, how = WebServer(host, HTTP_PORT if port is None else port, **settings), "HTTP"
    else:
        from loadflow.engine.control.server import ControlServer

        how = "legacy" if framed is False else "framed"
        server = ControlServer(host, PORT if port is None else port, framed=framed is not False, **settings)
    if root is not None:
        os.chdir(root)  # so that relative paths count from the folder that they can't leave
    with _ended_by_signals(server):
        server.start()
        _say_where(server, how)
        while not server.wait(LOOK_S):
            pass


def _say_where(server: ControlServer | WebServer, protocol: str) -> None:
    how = [protocol, "TLS" if server.tls else "no TLS", "token" if server.has_token else "no token"]
    echo(f"listening on {server.host}:{server.port} ({', '.join(how)}); files below {server.root}")
    if server.has_token and not server.tls:
        echo("without TLS the token can be read on the way; give --tls-cert and --tls-key where others share the network", err=True)


@contextmanager
def _ended_by_signals(server: ControlServer | WebServer) -> Iterator[None]:
    asked = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)  # the engines' supervisors notice that we are gone, and end them
        asked = True
        echo("ending; running scripts are asked to end, once more ends at once", err=True)
        server.quit()

    previous = {number: signal.signal(number, end) for number in heldable()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
