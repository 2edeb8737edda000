"""`loadflow serve`: the control plane, in the foreground."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadflow.engine.control.server import ControlServer

__all__ = ["serve"]

LOOK_S = 0.5  # between two looks for a signal, whose handler runs only in between
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130  # as a shell has it for a program that a second Ctrl-C ended


@click.command(short_help="Run scripts that clients send over TCP.")
@click.option("--host", default="localhost", show_default=True, help="Where to listen; others than this machine need a token.")
@click.option("--port", default=9940, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--framed/--legacy", default=True, show_default=True, help="JSON in frames, or LoadDensity's text without frames.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="Its first line is the token. [default: $LOADFLOW_SOCKET_TOKEN]")
@click.option("--tls-cert", type=click.Path(dir_okay=False), help="A certificate (PEM); then TLS 1.2 or newer is spoken.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="The certificate's key (PEM).")
@click.option(
    "--root", type=click.Path(file_okay=False, exists=True), help="The folder to work in, which scripts can't leave. [default: .]"
)
@click.option("--allow-env", multiple=True, metavar="NAME", help="A variable that ${env.NAME} may read; repeat for several.")
@click.option("--allow-command", multiple=True, metavar="NAME", help="A command that is denied otherwise; repeat for several.")
@click.option("--allow-package", multiple=True, metavar="NAME", help="What LD_add_package_to_executor may load, if it is allowed.")
@click.option("--quiet", "-q", is_flag=True, help="Only where it listens, and warnings.")
def serve(
    host: str,
    port: int,
    framed: bool,
    token_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    root: str | None,
    allow_env: tuple[str, ...],
    allow_command: tuple[str, ...],
    allow_package: tuple[str, ...],
    quiet: bool,
) -> None:
    """Take scripts over TCP and run each in a session of its own, until a client says quit, or Ctrl-C or SIGTERM comes.

    The first signal asks running scripts to end and keeps their results; a second one ends at once. There is no option for
    the token itself, because everybody on the machine can read command lines.
    """
    from loadflow.engine.control.server import ControlServer

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("loadflow.control").setLevel(logging.WARNING if quiet else logging.INFO)
    server = ControlServer(
        host,
        port,
        framed=framed,
        token_file=token_file,
        certfile=tls_cert,
        keyfile=tls_key,
        root=root,
        allow_env=allow_env,
        allow_commands=allow_command,
        allow_packages=allow_package,
    )
    if root is not None:
        os.chdir(root)  # so that relative paths count from the folder that they can't leave
    with _ended_by_signals(server):
        server.start()
        _say_where(server)
        while not server.wait(LOOK_S):
            pass


def _say_where(server: ControlServer) -> None:
    how = ["framed" if server.framed else "legacy", "TLS" if server.tls else "no TLS", "token" if server.has_token else "no token"]
    click.echo(f"listening on {server.host}:{server.port} ({', '.join(how)}); files below {server.root}")
    if server.has_token and not server.tls:
        click.echo("without TLS the token can be read on the way; give --tls-cert and --tls-key where others share the network", err=True)


@contextmanager
def _ended_by_signals(server: ControlServer) -> Iterator[None]:
    asked = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)  # the engines' supervisors notice that we are gone, and end them
        asked = True
        click.echo("ending; running scripts are asked to end, once more ends at once", err=True)
        server.quit()

    previous = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
