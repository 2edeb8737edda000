"""Steps of grpc_user as its tests write them, and a load of them against the tests' own server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.load.harness import ENGINES, Outcomes, load
from tests.protocols.grpc.grpc_peer import PROTOS, GrpcShop

__all__ = ["CHAT", "GET", "LIST", "PROTO", "PUT", "both", "each", "each_of_all", "run"]

PROTO = {"proto": str(PROTOS / "shop.proto")}
GET = {**PROTO, "method": "shop.Shop/Get"}
LIST = {**PROTO, "method": "shop.Shop/List"}
PUT = {**PROTO, "method": "shop.Shop/Put"}
CHAT = {**PROTO, "method": "shop.Shop/Chat"}


both = pytest.mark.parametrize("engine", ENGINES)
# and with one channel for all users, which `run` understands
SHARED = ", shared"
each = pytest.mark.parametrize("engine", [*ENGINES, f"native{SHARED}"])
each_of_all = pytest.mark.parametrize("engine", [*ENGINES, *(f"{engine}{SHARED}" for engine in ENGINES)])


def run(engine: str, folder: Path, shop: GrpcShop, *steps: Any, **arguments: Any) -> Outcomes:
    more = {"channels": 1} if engine.endswith(SHARED) else {}
    written = [{**step, **more} for step in steps]
    return load(folder, written, user="grpc_user", engine=engine.removesuffix(SHARED), host=shop.target, **arguments)
