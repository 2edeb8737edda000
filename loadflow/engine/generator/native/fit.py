"""Which features of a plan the native core does not take; then Locust makes the load, and the run says why."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Literal

from loadflow.engine.base.pem import decrypted_key
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.http.request import PARTS
from loadflow.engine.protocols.python.place import PYTHON_USER
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.errors import CommandError, Mistake

__all__ = ["CORE_CIPHERS", "MESSAGE_USERS", "Choice", "EngineName", "choose", "features_that_do_not_fit", "in_the_core", "is_built"]

EngineName = Literal["auto", "native", "locust"]
Choice = tuple[Literal["native", "locust"], str]  # who makes the load, and why it is not the native core

# what the core is given of a plan, or needs nothing of; a field that is not here and is used does not fit
PLAN_FIELDS = frozenset(
    {"protocol", "speaker", "mode", "steps", "stages", "duration_s", "variables", "sources", "host", "iterations", "wait_s", "drain_s"}
    | {"seed", "max_body_bytes", "redact", "env_names", "network", "traces", "allowed_hosts", "max_rate_per_s", "flush_s", "pace"}
    | {"http_version", "connections", "revision_header", "material", "pauses", "speakers", "hosts"}
)
HTTP_USERS = frozenset({"fast_http_user", "http_user", PYTHON_USER})
# their requests are made of steps by the same code for both engines, so no key of a step can get lost
MESSAGE_USERS = frozenset({"grpc_user", "mqtt_user", "socket_user", "websocket_user"})
STEP_KEYS = frozenset(
    {"phase", "group", "follows", "at_once", "think_after", "on_failure", "name", "weight", "run_if", "skip_if", "think_time"}
    | {"throttle", "retry", "assertions", "extract", "method", "request_url", "call", "stream", *PARTS}
)
ASSERTIONS = frozenset({"status_code", "contains", "not_contains", "regex", "not_regex", "json_path", "header", "response_time"})
FINDERS = frozenset({"json_path", "header", "status_code", "regex", "cookie", "body", "css", "xpath"})
# ciphers of TLS 1.2 that the core has: by their names in OpenSSL, what the core calls them
CORE_CIPHERS = {
    f"ECDHE-{key}-{cipher}": f"TLS_ECDHE_{key}_WITH_{name}"
    for key in ("ECDSA", "RSA")
    for cipher, name in (
        ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
        ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
        ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    )
}
HOW_TO_BUILD = "install Rust and then loadflow again with LOADFLOW_NATIVE=1, which says what fails"


def in_the_core(user: str) -> bool:
    """Whether the core speaks the protocol of this user type."""
    return user in HTTP_USERS | MESSAGE_USERS


def is_built() -> bool:
    """Whether the core was built when loadflow was installed."""
    return importlib.util.find_spec("loadflow._native") is not None


def choose(plan: Plan, wanted: EngineName) -> Choice:
    """Who makes the load. Raises CommandError where the core is asked for, or needed, and can't do it."""
    needed = plan.http_version is not None
    if wanted == "locust" and not needed:
        return "locust", ""
    missing = list(features_that_do_not_fit(plan))
    if not missing and is_built():
        return "native", ""
    why = f"the native core does not take {', '.join(missing)}" if missing else "the native core is not built"
    if needed:
        hint = "leave http_version out, or what does not fit" if missing else HOW_TO_BUILD
        raise CommandError(
            [Mistake("LD_start_test.user_detail_dict.http_version", f"{why}, and Locust sends no HTTP/{plan.http_version}", hint)]
        )
    if wanted == "native":
        hint = 'leave "engine" out, or write "locust"' if missing else HOW_TO_BUILD
        raise CommandError([Mistake("LD_start_test.user_detail_dict.engine", why, hint)])
    return "locust", why


def features_that_do_not_fit(plan: Plan) -> Iterator[str]:
    """In the words of a script, each once; none: the core makes this load."""
    if others := [name for name in plan.protocols if not in_the_core(name)]:
        yield from (f"user {name!r}" for name in others)
        return
    for one in fields(plan):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        if one.name not in PLAN_FIELDS and getattr(plan, one.name) != default:
            yield one.name
    for name in plan.connections.tls.ciphers:
        if name not in CORE_CIPHERS:
            yield f"the cipher {name}"
    if _holds_halves(plan.steps) or _holds_halves(plan.variables):
        yield "text with half a surrogate pair"
    found: dict[str, None] = {}
    for step in plan.steps:
        if step.get("user", plan.protocol) in HTTP_USERS:
            found.update(dict.fromkeys(f"step key {key!r}" for key in step.keys() - STEP_KEYS - {"user"}))
        if step.get("user", plan.protocol) == "grpc_user":
            found.update(dict.fromkeys(_of_grpc(step)))
        found.update(dict.fromkeys(_of_step(step)))
    yield from found


def _of_grpc(step: StepJson) -> Iterator[str]:
    if step.get("stub_path") is not None:
        from loadflow.engine.protocols.grpc.rpc import stub_rpc  # few loads are of gRPC, and none should start later for it

        try:
            rpc = stub_rpc(step["stub_path"], step.get("request_path"), step["method"])
        except HitFailure:
            return  # said elsewhere
        if rpc.reply is None:
            yield f"answers of {step['stub_path']}, which protobuf does not read"


def _of_step(step: StepJson) -> Iterator[str]:
    cert = step.get("cert")
    pem = cert[-1] if isinstance(cert, list | tuple) else cert
    password = str(step.get("cert_password") or "")
    if isinstance(pem, str) and "${" not in pem + password and is_built() and (trouble := _key_trouble(pem, password)) is not None:
        yield f"the client key {pem} ({trouble})"
    for entry in step.get("assertions") or ():
        if entry["type"] not in ASSERTIONS:
            yield f"assertion {entry['type']!r}"
    for entry in step.get("extract") or ():
        if (entry.get("from") or "json_path") not in FINDERS:
            yield f"extract from {entry['from']!r}"
    for entry in (*(step.get("assertions") or ()), *(step.get("extract") or ())):
        pattern = entry.get("pattern")
        if pattern is not None and is_built() and (what := _not_taken_of(pattern)) is not None:
            yield f"{what} in pattern {pattern!r}"


def _not_taken_of(pattern: str) -> str | None:
    from loadflow import _native

    return _native.not_taken_of(pattern)


def _key_trouble(path: str, password: str) -> str | None:
    from loadflow import _native

    if not Path(path).is_file():
        return None  # said elsewhere
    return _native.key_trouble(decrypted_key(path, password) if password else Path(path).read_bytes())


def _holds_halves(data: object) -> bool:
    try:
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False
