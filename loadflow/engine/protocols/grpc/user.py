"""The gRPC user, as a script knows it."""

from __future__ import annotations

from collections.abc import Iterator

from loadflow.engine.base.extras import is_there, way_to_install
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.grpc.step import GrpcStep
from loadflow.engine.protocols.grpc.words import target_trouble
from loadflow.engine.protocols.model.user_type import Form, UserType
from loadflow.engine.script.mistakes import Fault

__all__ = ["GRPC_USER"]


def _asks(step: StepJson) -> bool:
    return step.get("proto") is None and step.get("stub_path") is None


def _faults(step: StepJson, hosted: bool) -> Iterator[Fault]:
    """The packages of the extra: a .proto is compiled by one, a server is asked with the messages of the other."""
    key, module = ("proto", "grpc_tools") if step.get("proto") is not None else ("stub_path", "grpc_reflection")
    if (key == "proto" or _asks(step)) and not is_there(module):
        what = "proto" if key == "proto" else "a step without proto and stub_path asks the server, and that"
        yield Fault((key,) if key == "proto" else (), f"{what} needs the package {module}, which is not installed", way_to_install(module))


GRPC_USER = UserType(
    "grpc_user",
    Form(GrpcStep),
    "loadflow.engine.protocols.grpc.request:GrpcCall",
    "loadflow.engine.protocols.grpc.client:GRPC",
    target_trouble,
    gather="loadflow.engine.protocols.grpc.interface:gather",
    faults=_faults,
    asks=_asks,
    whom=("target", "host"),
)
