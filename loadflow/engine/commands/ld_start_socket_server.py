"""LD_start_socket_server: start the control plane; it stops when the script ends."""

from __future__ import annotations

from loadflow.engine.script.command import SERVER, Command

__all__ = ["COMMAND"]

COMMAND = Command(
    "LD_start_socket_server",
    "loadflow.engine.control.starting:start_socket_server",
    "Start the control plane; it stops when the script ends.",
    SERVER,
    dry=True,
    opens=True,
    guarded=True,
    group="script",
    returns="object: host, port, framed, tls",
    example={"port": 0, "framed": True},
)
