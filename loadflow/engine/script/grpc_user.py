"""The gRPC user, as a script knows it."""

from __future__ import annotations

import re

from loadflow.engine.script.grpc_step import GrpcStep
from loadflow.engine.script.user_type import Form, UserType

__all__ = ["GRPC_USER", "target_trouble"]

# gRPC's own schemes (dns:, unix:, xds:) are left out: they could hide which host is asked
TARGET = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~-]+):(?P<port>\d{1,5})", re.ASCII)


def target_trouble(target: str) -> tuple[str, str] | None:
    """What is wrong with a target without placeholders, and the way out."""
    match = TARGET.fullmatch(target)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        return "is no target of gRPC", 'write host:port, for example "localhost:50051"'
    return None


GRPC_USER = UserType(
    "grpc_user",
    Form(GrpcStep),
    "loadflow.engine.load.grpc_request:GrpcCall",
    "loadflow.engine.load.grpc_client:GRPC",
    target_trouble,
    gather="loadflow.engine.load.grpc_interface:gather",
)
