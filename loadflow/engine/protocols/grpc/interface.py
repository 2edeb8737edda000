"""How the methods of a gRPC service become known before the load: a .proto file is compiled, or the server is asked.

Both give a FileDescriptorSet, which travels in the plan: engines need neither files nor a compiler, and a mistake is reported before
anything is sent. Both run in a process of their own: protoc reports to its standard error, and a process that has used grpc must
not fork, which an orchestrator may.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadflow.engine.base.extras import way_to_install
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.plan.target import host_of
from loadflow.engine.process.launch import child_environment
from loadflow.engine.protocols.grpc.target import DEFAULT_TIMEOUT_S, addresses_of, security_of, service_and_method, target_of
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.template import Compiler

__all__ = ["descriptors_of", "gather"]

PROTOC_LIMIT_S = 60.0


def gather(step: StepJson, plan: Plan, compiler: Compiler, material: dict[str, str]) -> None:
    """Put the descriptors of a step's service into `material`, unless they are there."""
    key = _key(step, plan, compiler)
    if key is None or key in material:
        return
    if step.get("proto") is not None:
        material[key] = _compiled(_settled(step, "proto", compiler), _settled(step, "import_paths", compiler) or [])
    else:
        material[key] = _asked(step, plan, compiler)


def descriptors_of(step: StepJson, plan: Plan, compiler: Compiler) -> str | None:
    """What `gather` found for a step, in Base64; None for a step with a stub."""
    key = _key(step, plan, compiler)
    return None if key is None else plan.material[key]


def _key(step: StepJson, plan: Plan, compiler: Compiler) -> str | None:
    if step.get("stub_path") is not None:
        return None
    if step.get("proto") is not None:
        return json.dumps(["proto", _settled(step, "proto", compiler), _settled(step, "import_paths", compiler)])
    return json.dumps(["reflection", _settled_target(step, plan, compiler), service_and_method(step)[0]])


def _settled(step: StepJson, key: str, compiler: Compiler) -> Any:
    written = step.get(key)
    compiled = compiler(written)
    if not compiled.is_static:
        raise HitFailure(Outcome.TEMPLATE, f"{key} holds a placeholder that changes from hit to hit; it must be known before the load")
    return compiled.value


def _settled_target(step: StepJson, plan: Plan, compiler: Compiler) -> str:
    return target_of(_settled(step, "target", compiler), plan)


def _compiled(proto: str | list[str], import_paths: list[str]) -> str:
    files = [Path(one) for one in ([proto] if isinstance(proto, str) else proto)]
    folders = [Path(one) for one in import_paths]
    for path in folders:
        if not path.is_dir():
            raise HitFailure(Outcome.TEMPLATE, f"import_paths: the folder {path} is not there")
    for path in files:
        if path.exists() and not path.is_file():  # a FIFO would keep the compiler waiting
            raise HitFailure(Outcome.TEMPLATE, f"proto: {path} is not a file")
        if not path.is_file() and not any((folder / path).is_file() for folder in folders):
            raise HitFailure(Outcome.TEMPLATE, f"proto: the file {path} is not there")
    # a file is found below one of the folders, else beside itself
    own = [path.parent for path in files if path.is_file() and not any(path.is_relative_to(folder) for folder in folders)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        options = [f"--proto_path={folder}" for folder in dict.fromkeys([*folders, *own])]
        call = ["grpc_tools.protoc", *options, f"--proto_path={_google_protos()}", "--include_imports", f"--descriptor_set_out={out}"]
        done = _child([*call, *map(str, files)], "", PROTOC_LIMIT_S)
        if done.returncode != 0 or not out.exists():
            raise HitFailure(Outcome.TEMPLATE, f"proto can't be compiled: {'; '.join(done.stderr.strip().splitlines()) or 'protoc failed'}")
        return base64.b64encode(out.read_bytes()).decode()


def _google_protos() -> Path:
    """google/protobuf/*.proto, as grpcio-tools brings them."""
    from importlib.util import find_spec

    spec = find_spec("grpc_tools")
    if spec is None or spec.origin is None:
        raise HitFailure(Outcome.TEMPLATE, f"proto: grpcio-tools is not installed; {way_to_install('grpc_tools')}")
    return Path(spec.origin).parent / "_proto"


def _asked(step: StepJson, plan: Plan, compiler: Compiler) -> str:
    target = _settled_target(step, plan, compiler)
    addresses = ""
    if plan.allowed_hosts:
        try:
            addresses = addresses_of(target, Fence(plan.allowed_hosts, socket).getaddrinfo)
        except HitFailure:
            text = f"{host_of(target)} may not be loaded here, so it is not asked for its services either"
            raise HitFailure(Outcome.TEMPLATE, text) from None
        except OSError as error:
            raise HitFailure(Outcome.TEMPLATE, f"reflection: {target}: gaierror: {error}") from None
    security = security_of({key: _settled(step, key, compiler) for key in ("tls", "verify", "cert", "server_name")})
    metadata = compiler(step.get("metadata"))
    job = {
        "target": target,
        "addresses": addresses,
        "service": service_and_method(step)[0],
        "timeout_s": DEFAULT_TIMEOUT_S,
        "security": None if security is None else security.to_json(),
        "metadata": metadata.value if metadata.is_static else None,
    }
    done = _child(["loadflow.engine.protocols.grpc.ask"], json.dumps(job), DEFAULT_TIMEOUT_S * 3)
    if done.returncode != 0:
        raise HitFailure(Outcome.TEMPLATE, f"reflection: {target}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise HitFailure(Outcome.TEMPLATE, f"reflection: {target}: {answer['error']}")
    return str(answer["descriptors"])


def _child(module_and_arguments: list[str], given: str, limit_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-P", "-m", *module_and_arguments],
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired:
        raise HitFailure(Outcome.TEMPLATE, f"{module_and_arguments[0]} did not end within {limit_s:g} s") from None
