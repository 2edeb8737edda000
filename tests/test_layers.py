"""The order of rooms: each imports only rooms below it. Read from the source, so nothing has to run; one test gives every fault."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import loadflow

ROOT = Path(loadflow.__file__).parent
BESIDE = Path(__file__).parents[1]  # what is no part of the package: sources of the core, documents
NATIVE = BESIDE / "native" / "src"

# From the bottom up. Rooms of one line do not know each other. A room is a folder or a module, and all below it that is not named itself.
ROOMS = (
    ("errors", "interrupting", "old_names"),
    ("engine.base",),
    ("engine.machine", "engine.markup", "engine.plan", "engine.scenario", "engine.script"),
    ("engine.records",),
    ("engine.resolve", "engine.reliability", "engine.process"),
    ("engine.store",),
    ("engine.history",),
    ("engine.reports",),
    ("engine.protocols.model",),
    ("engine.protocols.running",),
    ("engine.protocols.http",),
    (
        *("engine.protocols.grpc", "engine.protocols.mqtt", "engine.protocols.python", "engine.protocols.redis"),
        *("engine.protocols.socket", "engine.protocols.websocket"),
    ),
    ("engine.load_test", "engine.generator"),
    ("engine.generator.locust", "engine.generator.native"),
    ("engine.recording", "engine.session"),
    ("engine.exporters.shared", "engine.loaddensity"),
    ("engine.exporters.influxdb", "engine.exporters.otlp", "engine.exporters.prometheus", "engine.exporters.statsd"),
    ("engine.commands", "engine.control", "engine.forked", "engine.fleet", "tasks"),
    ("engine.load", "engine.entry", "flows"),
    ("engine.calibration", "engine.hostile", "engine.proving"),
    ("cli", "pytest_plugin", "__init__"),
    ("__main__",),
)
NATIVE_ROOMS = (("os",), ("values", "null_target"), ("markup",), ("plan",), ("http",), ("protocols",), ("load",), ("python",))

# What makes load starts without what only scripts, pages and flows need.
HEAVY = {"pydantic", "click", "prefect", "sqlalchemy", "jinja2"}
MAKES_LOAD = ("engine.generator", "engine.entry")
# What patches the interpreter, or takes a second to import: only a process that makes load has it.
ENGINE_ONLY = {"gevent", "locust", "geventhttpclient"}


HOLDS_IMPORTS = (ast.stmt, ast.ExceptHandler, ast.match_case)  # expressions, which most of a tree is, hold none


class Module:
    """One file: its tree, its imports, and the modules that it names as text, "loadflow.package.module:NAME"."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._imports: list[tuple[str, bool, bool]] | None = None

    # read by the test, not while tests are collected: every worker does that

    @cached_property
    def source(self) -> str:
        return self._path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def named(self) -> set[str]:
        return {m[1] for m in re.finditer(r'"loadflow\.([\w.]+):\w+"', self.source)}

    def imports(self, known: Mapping[str, object]) -> list[tuple[str, bool, bool]]:
        """(dotted name, late, typed): `late` ones run inside of functions, `typed` ones never; without "loadflow." before the name."""
        if self._imports is None:
            self._imports = list(self._read(known))
        return self._imports

    def _read(self, known: Mapping[str, object]) -> Iterator[tuple[str, bool, bool]]:
        pending: list[tuple[ast.AST, bool, bool]] = [(self.tree, False, False)]
        while pending:
            node, late, typed = pending.pop()
            late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            typed = typed or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
            names: Iterable[str] = ()
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                if name.split(".")[0] != "loadflow":
                    yield name, late, typed
                elif name.startswith("loadflow._native"):
                    continue  # the core, which knows nothing of Python's rooms
                else:
                    yield _module_of(name, known), late, typed
            pending.extend((child, late, typed) for child in ast.iter_child_nodes(node) if isinstance(child, HOLDS_IMPORTS))


def _module_of(name: str, known: Mapping[str, object]) -> str:
    """The longest part of a dotted name that is a module."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts) or "__init__"


def _modules() -> dict[str, Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name if name == "__init__" else name.removesuffix(".__init__")] = Module(name, path)
    return found


MODULES = _modules()
LINE = {room: line for line, rooms in enumerate(ROOMS) for room in rooms}


def _room(module: str) -> str | None:
    """The room with the longest name that the module is in."""
    parts = module.split(".")
    return next((room for end in range(len(parts), 0, -1) if (room := ".".join(parts[:end])) in LINE), None)


def _misplaced() -> Iterator[str]:
    for name, module in MODULES.items():
        room = _room(name)
        if room is None:
            if module.tree.body and name not in ("engine", "engine.exporters", "engine.protocols"):
                yield f"{name} is in no room: give it one in ROOMS, or move it into one"
            continue
        for other, _, _ in module.imports(MODULES):
            above = _room(other) if other in MODULES else None
            if above is not None and above != room and LINE[above] >= LINE[room] and name != "__init__":
                yield f"{name} imports {other}: {room} may not know {above}"


def _circles(edges: Mapping[str, set[str]], what: str) -> Iterator[str]:
    """A circle for each pair that reach one another."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        pending = [start]
        while pending:
            for following in edges.get(pending.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
        reach[start] = seen
    together = {frozenset(one for one in reach if one in reach[start] and start in reach[one]) for start in edges if start in reach[start]}
    for group in sorted(together, key=sorted):
        yield f"these {what} import each other: {', '.join(sorted(group))}"


def _room_edges() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for name, module in MODULES.items():
        if name != "__init__" and (room := _room(name)):
            others = {_room(other) for other, _, _ in module.imports(MODULES) if other in MODULES}
            edges.setdefault(room, set()).update(one for one in others if one is not None and one != room)
    return edges


def _import_time_edges() -> dict[str, set[str]]:
    return {
        name: {other for other, late, typed in module.imports(MODULES) if other in MODULES and other != name and not late and not typed}
        for name, module in MODULES.items()
        if name != "__init__"
    }


def _reached(seeds: Iterable[str], *, late_too: bool) -> dict[str, str]:
    """Every module that the seeds import, directly or not, each with the one that asked for it."""
    why = dict.fromkeys(seeds, "")
    pending = list(why)
    while pending:
        name = pending.pop()
        for other, late, typed in MODULES[name].imports(MODULES):
            if other in MODULES and other != "__init__" and other not in why and not typed and (late_too or not late):
                why[other] = name
                pending.append(other)
    return why


def _uses(name: str, packages: set[str], *, late_too: bool) -> set[str]:
    found = {other.split(".")[0] for other, late, typed in MODULES[name].imports(MODULES) if not typed and (late_too or not late)}
    return found & packages


def _way(name: str, why: Mapping[str, str]) -> str:
    steps = [name]
    while why[steps[-1]]:
        steps.append(why[steps[-1]])
    return " ← ".join(steps)


def _within(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def _heavy() -> Iterator[str]:
    """What a process that makes load would import in vain; what user types name counts as reached."""
    named = {one for name, module in MODULES.items() if _within(name, ("engine.protocols",)) for one in module.named}
    seeds = {name for name in MODULES if _within(name, MAKES_LOAD)} | {name for name in named if name in MODULES}
    why = _reached(sorted(seeds), late_too=True)
    for name in why:
        for package in sorted(_uses(name, HEAVY, late_too=True)):
            yield f"what makes load reaches {package}: {_way(name, why)}"


def _engine_only() -> Iterator[str]:
    """What the other processes import: all but the engine's own modules, and of protocols what compiles their steps."""
    prepared = {
        name
        for module in MODULES.values()
        for name in re.findall(r'"loadflow\.([\w.]+):(?:\w+Step|\w+Call|gather)"', module.source)
        if name in MODULES
    }
    clients = ("engine.generator.locust", "engine.entry", "engine.protocols")
    why = _reached(sorted({name for name in MODULES if not _within(name, clients)} | prepared), late_too=False)
    for name in why:
        for package in sorted(_uses(name, ENGINE_ONLY, late_too=False)):
            yield f"a process that makes no load imports {package}: {_way(name, why)}"


def _prefect() -> Iterator[str]:
    for name in MODULES:
        if _within(name, ("engine",)) and _uses(name, {"prefect"}, late_too=True):
            yield f"{name} imports prefect, which only tasks, flows and cli may"


def _native() -> Iterator[str]:
    line = {room: number for number, rooms in enumerate(NATIVE_ROOMS) for room in rooms}
    for path in sorted(NATIVE.rglob("*.rs")):
        room = path.relative_to(NATIVE).with_suffix("").parts[0]
        if room == "lib":
            continue
        if room not in line:
            yield f"native/src/{room} is in no room: give it one in NATIVE_ROOMS, or move it into one"
            continue
        for other in sorted(set(re.findall(r"\bcrate::(\w+)", path.read_text(encoding="utf-8"))) - {room}):
            if line.get(other, len(line)) >= line[room]:
                yield f"native/src/{path.relative_to(NATIVE)} uses crate::{other}: {room} may not know it"


def _too_long() -> Iterator[str]:
    for name, module in MODULES.items():
        if (lines := module.source.count("\n")) > 500:
            yield f"{name} has {lines} lines; a file of 500 can be read at one go"
    for path in NATIVE.rglob("*.rs"):
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 500:
            yield f"native/src/{path.relative_to(NATIVE)} has {lines} lines; a file of 500 can be read at one go"


def _lost() -> Iterator[str]:
    """Files that sources name as the other side of themselves."""
    sources = {f"loadflow/{module.name.replace('.', '/')}.py": module.source for module in MODULES.values()}
    sources |= {f"native/src/{path.relative_to(NATIVE)}": path.read_text(encoding="utf-8") for path in NATIVE.rglob("*.rs")}
    for name, source in sources.items():
        for other in sorted(set(re.findall(r"\b(?:loadflow|native/src)/[\w/]+\.(?:py|rs)\b", source))):
            if not (ROOT.parent if other.startswith("loadflow") else BESIDE).joinpath(other).exists():
                yield f"{name} names {other}, which is not there"


def test_every_line_knows_its_room() -> None:
    assert any(NATIVE.rglob("*.rs")), "without the core's sources half of it is not looked at"
    faults = [
        *_misplaced(),
        *_circles(_room_edges(), "rooms"),
        *_circles(_import_time_edges(), "modules"),
        *_heavy(),
        *_engine_only(),
        *_prefect(),
        *(_native() if NATIVE.is_dir() else ()),
        *_too_long(),
        *_lost(),
    ]
    assert not faults, "\n".join(faults)
