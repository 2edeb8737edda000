"""What the compiled steps of several protocols do alike with the values of a hit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from loadflow.engine.base.values import shown
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Tls, trouble_with
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiled, Compiler, text_of

__all__ = ["PEER_PARTS", "filled", "flag", "hit_name", "json_text", "payload_text", "peer_files", "seconds"]

PEER_PARTS = ("verify", "cert")  # the keys that `peer_files` reads


def filled(part: Compiled | None, scope: Scope | None) -> Any:
    """The value of a part for this hit, None where there is no part; a static one needs no scope."""
    if part is None:
        return None
    if part.is_static:
        return part.value
    assert scope is not None
    return part.render(scope)


def hit_name(config: StepJson, compiler: Compiler, default: str) -> tuple[str | None, Callable[[Scope], str]]:
    """`name` and `render_name` of a prepared step."""
    if config.get("name") is None:
        return default, lambda scope: default
    name = compiler(config["name"])
    return (text_of(name.value) if name.is_static else None), lambda scope: text_of(filled(name, scope))


def json_text(value: object) -> str:
    """A JSON body, compact. Raises HitFailure for what JSON can't hold: an answer with `1e999` makes an infinite number of it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise HitFailure(Outcome.TEMPLATE, "the JSON body would hold an infinite number or NaN, which JSON has not") from None


def payload_text(value: object) -> str:
    """A message: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def seconds(value: Any, default_s: float) -> float:
    """A timeout in seconds. Raises HitFailure if it is not one."""
    try:
        found = default_s if value is None else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise HitFailure(Outcome.TEMPLATE, f"timeout {shown(value)} is not a number of seconds above 0")
    return max(0.001, found)


def peer_files(values: StepValues) -> Tls:
    """`verify` and `cert` of a TLS connection, with `cert_password`; raises HitFailure where a file can't be used."""
    verify, cert = values.get("verify", True), values.get("cert")
    if not isinstance(verify, bool):  # a placeholder may give text
        verify = {"true": True, "false": False}.get(str(verify).lower(), str(verify))
    cert = (str(cert[0]), str(cert[1])) if isinstance(cert, list | tuple) else None if cert is None else str(cert)
    if cert is not None and values.get("cert_password") is not None:
        cert = (*(cert if isinstance(cert, tuple) else (cert, cert)), text_of(values["cert_password"]))
    if trouble := trouble_with(verify, cert):
        raise HitFailure(Outcome.TEMPLATE, trouble)
    return verify, cert


def flag(value: object) -> bool:
    """True or false, also as the text of a placeholder."""
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "yes")
