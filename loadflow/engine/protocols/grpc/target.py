"""Whom a gRPC step calls, and how the way there is protected: the same for the load and for the question before it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.plan.target import host_of
from loadflow.engine.protocols.grpc.words import target_trouble
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import trouble_with
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.template import text_of

__all__ = ["DEFAULT_TARGET", "DEFAULT_TIMEOUT_S", "Security", "addresses_of", "security_of", "service_and_method", "target_of"]

DEFAULT_TARGET = "localhost:50051"  # as LoadDensity has it
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Security:
    """TLS: who signs the server's certificate (None: the CAs that gRPC brings), what the client shows, and as whom it asks."""

    verify: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def to_json(self) -> JsonObject:
        return asdict(self)

    def files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The bytes of the CA, the key and the certificate chain. Raises OSError."""
        ca, key, chain = (None if path is None else read_regular(path) for path in (self.verify, self.key, self.cert))
        return ca, key, chain


def security_of(values: StepValues) -> Security | None:
    """From a step's `tls`, `verify`, `cert` and `server_name`; None: plain text. Raises HitFailure for files that can't be used."""
    verify, cert, server_name = (values.get(key) for key in ("verify", "cert", "server_name"))
    wanted = values.get("tls")
    if not (any(one is not None for one in (verify, cert, server_name)) if wanted is None else wanted):
        return None
    chain, key = (cert[0], cert[1]) if isinstance(cert, list) else (cert, cert)
    trouble = trouble_with(True if verify is None else str(verify), None if chain is None else (str(chain), str(key)))
    if trouble or (verify is not None and Path(verify).is_dir()):
        raise HitFailure(Outcome.TEMPLATE, trouble or f"{verify} is a folder; name a PEM file")
    return Security(verify, chain, key, server_name)


def target_of(written: Any, plan: Plan) -> str:
    """host:port of the step, else of the test. Raises HitFailure if it is not host:port."""
    target = text_of(written) if written is not None else plan.host or DEFAULT_TARGET
    trouble = target_trouble(target)
    if trouble is not None:
        raise HitFailure(Outcome.TEMPLATE, f"target {target[:100]!r} {trouble[0]}; {trouble[1]}")
    return target


def addresses_of(target: str, getaddrinfo: Callable[..., Iterable[Any]]) -> str:
    """host:port as the addresses that `getaddrinfo` has for it now, in gRPC's words. Raises what that raises."""
    host, port = str(host_of(target)), int(target.rpartition(":")[2])
    found = [entry[4][0] for entry in getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    version = 6 if ":" in found[0] else 4
    same = dict.fromkeys(f"[{one}]:{port}" if version == 6 else f"{one}:{port}" for one in found if (":" in one) == (version == 6))
    return f"ipv{version}:{','.join(same)}"


def service_and_method(step: StepJson) -> tuple[str, str]:
    """The two names, wherever they are written."""
    service, _, method = str(step["method"]).lstrip("/").rpartition("/")
    return service or str(step.get("service") or ""), method
