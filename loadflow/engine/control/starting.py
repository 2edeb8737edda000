"""LD_start_socket_server: a control plane that lives as long as the script that started it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loadflow.engine.control.server import ControlServer
from loadflow.engine.session.session import current_session

__all__ = ["start_socket_server"]


def start_socket_server(
    host: str = "localhost",
    port: Annotated[int, Field(ge=0, le=65_535)] = 9940,
    framed: bool = False,
    token: str | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
) -> dict[str, object]:
    """Start a control plane and return at once: `{"host", "port", "framed", "tls"}`; port 0 takes a free one.

    It serves while the script goes on, and ends with it; started outside of a script, it ends with the session or the process.
    `loadflow serve` is a server of its own. Clients' scripts have sessions of their own, and the working directory for files.
    """
    session = current_session()
    server = ControlServer(host, port, framed=framed, token=token, certfile=certfile, keyfile=keyfile, session=session)
    if session.rehearsing:
        server.addresses()
        return server.handle()
    server.start()
    session.at_end(server.close)
    return server.handle()
