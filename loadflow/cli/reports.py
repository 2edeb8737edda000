"""`loadflow reports`: the reports of all runs over HTTP, for links that open from any machine."""

from __future__ import annotations

import contextlib

import click

from loadflow.cli.console import echo

__all__ = ["reports"]


@click.group(short_help="Serve the reports of all runs over HTTP, read-only.")
def reports() -> None:
    """Serve the reports of all runs."""


@reports.command("serve", short_help="Serve the reports until Ctrl-C.")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all addresses of this machine.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free port.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Another host name under which this server may be reached. Can be given several times.",
)
def serve(runs_dir: str | None, host: str, port: int, allow_host: tuple[str, ...]) -> None:
    """Serve the list of runs, their HTML reports and their summaries, read-only.

    Where flows run, set LOADFLOW_REPORTS_URL to this server's address: the links in Prefect's artifacts then work on other
    machines. There is no password: anyone who can reach the port can read the reports. The server accepts only requests for this machine's
    names, the host of LOADFLOW_REPORTS_URL and each --allow-host, so that pages of other sites can't read reports through a browser.
    """
    import socket

    import uvicorn

    from loadflow.cli.report_site import report_site
    from loadflow.engine.session.session import Session

    folder = Session(runs_dir=runs_dir).runs_dir
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.ClickException(f"{host}:{port} can't be listened on: {error.strerror}; choose another --port") from None
    shown = f"[{host}]" if ":" in host else host
    echo(f"reports of {folder.resolve()} on http://{shown}:{listener.getsockname()[1]}", err=True)
    site = report_site(folder, _names(host, allow_host))
    # a live page that is open would keep it from ending
    server = uvicorn.Server(uvicorn.Config(site, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    with contextlib.suppress(KeyboardInterrupt):  # how it is ended
        server.run(sockets=[listener])


def _names(host: str, allowed: tuple[str, ...]) -> set[str]:
    """What this server may be called."""
    import os
    import socket
    from urllib.parse import urlsplit

    with contextlib.suppress(ValueError):
        allowed = (*allowed, urlsplit(os.environ.get("LOADFLOW_REPORTS_URL", "")).hostname or "")
    return {name for name in (host, socket.gethostname(), *allowed) if name}
