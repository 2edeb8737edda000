"""Imports point one way, and what belongs to the engine process stays there. Read from the source, so nothing has to run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import loadflow

ROOT = Path(loadflow.__file__).parent
# the engine process's own modules: the only ones that may name gevent or Locust
ENGINE_PROCESS = {
    "engine.load.worker",
    "engine.cluster.link",
    "engine.cluster.master",
    "engine.cluster.wire",
    "engine.cluster.working",
    "engine.load.generate",
    "engine.load.lead",
    "engine.load.arrivals",
    "engine.load.user",
    "engine.load.step",
    "engine.load.redirects",
    "engine.load.fast_http",
    "engine.load.classic_http",
    "engine.load.mqtt",
    "engine.load.mqtt_wire",
    "engine.load.grpc_client",
    "engine.load.connecting",
    "engine.load.socket_client",
    "engine.load.websocket_client",
    "engine.load.websocket_connection",
}
LAYERS = ["engine", "tasks", "flows", "cli"]  # each may import those before it


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


def imports(tree: ast.Module, *, at_import: bool = False) -> set[str]:
    """Dotted names of all modules that are imported; `at_import`: only those outside of functions and TYPE_CHECKING blocks."""
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if at_import and isinstance(node, ast.FunctionDef | ast.If):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        pending.extend(ast.iter_child_nodes(node))
    return found


MODULES = modules()


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in LAYERS])
def test_a_layer_imports_only_layers_below_it(name: str) -> None:
    layer = LAYERS.index(name.split(".")[0])
    above = {f"loadflow.{other}" for other in LAYERS[layer + 1 :]}
    assert not {one for one in imports(MODULES[name]) if any(one == top or one.startswith(f"{top}.") for top in above)}


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] == "engine"])
def test_the_engine_knows_no_prefect(name: str) -> None:
    assert not {one for one in imports(MODULES[name]) if one.split(".")[0] == "prefect"}


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ENGINE_PROCESS])
def test_only_the_engine_process_imports_gevent_and_locust(name: str) -> None:
    used = imports(MODULES[name], at_import=True)
    assert not {one for one in used if one.split(".")[0] in ("gevent", "locust", "geventhttpclient")}
    own = {one.removeprefix("loadflow.") for one in used}
    assert not own & ENGINE_PROCESS


def test_no_file_is_too_long_to_be_read_at_one_go() -> None:
    long = {name: len((ROOT / f"{name.replace('.', '/')}.py").read_text().splitlines()) for name in MODULES}
    assert not {name: lines for name, lines in long.items() if lines > 500}
