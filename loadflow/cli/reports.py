"""`loadflow reports`: the reports of all runs over HTTP, for links that open from any machine."""

from __future__ import annotations

import contextlib

import click

__all__ = ["reports"]


@click.group(short_help="Serve the reports of all runs over HTTP, read-only.")
def reports() -> None:
    """The reports of all runs."""


@reports.command("serve", short_help="Serve them until Ctrl-C.")
@click.option("--runs-dir", type=click.Path(file_okay=False), help="Where the runs are. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for every address of this machine.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def serve(runs_dir: str | None, host: str, port: int) -> None:
    """Serve the list of runs, their HTML reports and their summaries, read-only.

    Set LOADFLOW_REPORTS_URL to this server's address where flows run: the links in Prefect's artifacts then open from other
    machines. There is no password: whoever reaches the port can read the reports.
    """
    import socket

    import uvicorn

    from loadflow.cli.report_site import report_site
    from loadflow.engine.session import Session

    folder = Session(runs_dir=runs_dir).runs_dir
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.ClickException(f"{host}:{port} can't be listened on: {error.strerror}; choose another --port") from None
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"reports of {folder.resolve()} on http://{shown}:{listener.getsockname()[1]}", err=True)
    server = uvicorn.Server(uvicorn.Config(report_site(folder), log_level="warning", access_log=False))
    with contextlib.suppress(KeyboardInterrupt):  # how it is ended
        server.run(sockets=[listener])
