"""What an agent needs to make a shard of a load: the plan, the files that it names, the environment that it asks for.

One block of bytes; agents have no files and no settings of a load's own. What their machine forbids stays forbidden. A file of scenarios
is sent with the digest of what was checked, and nothing that it imports from beside it.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.plan.target import allowed_by_environment
from loadflow.engine.protocols.python.place import split_place
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.scenario.loading import ALLOW
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from loadflow.engine.process.launch import Job

__all__ = [
    "CAP_VARIABLE",
    "Package",
    "fenced",
    "files_of",
    "pack",
    "rate_cap",
    "refuse_python",
    "refuse_unshippable",
    "scenario_files",
    "unpack",
]

CAP_VARIABLE = "LOADFLOW_MAX_RATE_PER_S"
FILE_KEYS = ("verify", "cert", "client_cert", "files")  # of a step
PathChange = Callable[[str], str]


def pack(entry: Job, plan: Plan, env: Mapping[str, str]) -> bytes:
    """What makes one engine process: its entry of a supervisor's job, whose loops have each a share of `plan`. Reads every file that the
    plan names."""
    import msgpack

    files: dict[str, bytes] = {}

    def shipped(path: str) -> str:
        files.setdefault(path, read_regular(path))
        return path

    _with_paths(plan, shipped)
    known = {name: env[name] for name in plan.env_names if name in env}
    packed: bytes = msgpack.packb({"job": entry["job"], "module": entry["argv"][-1], "files": files, "env": known})
    return packed


def unpack(data: bytes, folder: Path) -> Package:
    """Its files are written below `folder`, and keep their names, which targets may see."""
    import msgpack

    package = msgpack.unpackb(data, strict_map_key=False)
    places: dict[str, str] = {}
    for number, (path, content) in enumerate(package["files"].items()):
        place = folder / str(number) / Path(path).name
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        places[path] = str(place)

    job = package["job"]
    loops = tuple(job["jobs"]) if "jobs" in job else (job,)
    for loop in loops:
        _refuse_changed(loop["plan"].get("material") or {}, package["files"])
    plans = tuple(_with_paths(Plan.from_json(loop["plan"]), lambda path: places.get(path, path)) for loop in loops)
    return Package(package["module"], loops, plans, package["env"])


@dataclass(frozen=True, slots=True)
class Package:
    """`loops`: the jobs of an engine process's event loops, as `launch.local_job` has them; `plans`: theirs, with paths of this machine."""

    module: str
    loops: tuple[Job, ...]
    plans: tuple[Plan, ...]
    env: dict[str, str]


def fenced(plan: Plan, env: Mapping[str, str], loops: int = 1) -> Plan:
    """With the rules of the machine whose environment is `env` besides those of the coordinator: a host must be in each list, and the lower
    cap counts. `loops`: the most event loops that may send here at a time, each of which gets its share of the cap."""
    own = allowed_by_environment(env)
    if own is not None:
        plan = replace(plan, allowed_hosts=(*plan.allowed_hosts, own))
    cap = rate_cap(env)
    if cap is not None:
        share = cap / loops
        plan = replace(plan, max_rate_per_s=share if plan.max_rate_per_s is None else min(plan.max_rate_per_s, share))
    return plan


def rate_cap(env: Mapping[str, str]) -> float | None:
    """The most hits per second that this machine may send, from LOADFLOW_MAX_RATE_PER_S; None: no limit. Raises CommandError."""
    text = env.get(CAP_VARIABLE)
    if text is None:
        return None
    try:
        cap = float(text)
    except ValueError:
        cap = 0.0
    if not 0 < cap < math.inf:
        raise CommandError([Mistake(CAP_VARIABLE, f"{text!r} is not a rate", "write how many hits per second may be sent, such as 500")])
    return cap


def files_of(plan: Plan) -> list[str]:
    """The files that the load reads, each once; without those whose path changes from hit to hit."""
    steps = (compile_value(path, plan.variables) for step in plan.steps for _, path in _paths_of(step))
    return list(dict.fromkeys([*(one.file_path for one in plan.sources), *(str(one.value) for one in steps if one.is_static)]))


def refuse_unshippable(plan: Plan, place: str) -> None:
    """Raises CommandError for files that can't be known, or not be sent, before the load starts."""
    mistakes = []
    for file in scenario_files(plan):
        for name in _beside(Path(file)):
            text = f"the scenario's file imports {name}, which lies beside it, and agents are sent the file itself only"
            mistakes.append(Mistake(f"{place}.tasks", text, "write what it needs into the file, or install it where the agents are"))
    for position, step in enumerate(plan.steps):
        for key, path in _paths_of(step):
            compiled = compile_value(path, plan.variables)
            at = f"{place}.tasks[{position}].{key}"
            if not compiled.is_static:
                text = "is a path that changes from hit to hit, so it can't be sent to the agents"
                mistakes.append(Mistake(at, text, "name one file, or give its content"))
            elif Path(str(compiled.value)).is_dir():
                mistakes.append(Mistake(at, "is a folder, which is not sent to agents", "name one file with all certificates in it"))
    if mistakes:
        raise CommandError(mistakes)


def scenario_files(plan: Plan) -> list[str]:
    """The Python files whose functions the plan calls."""
    return list(dict.fromkeys(split_place(step["call"])[0] for step in plan.steps if "call" in step))


def refuse_python(plan: Plan, env: Mapping[str, str]) -> None:
    """Raises CommandError where the plan calls functions of Python, and the machine whose environment is `env` runs none."""
    files = scenario_files(plan)
    if files and not env.get(ALLOW):
        text = f"this machine runs no Python of scripts, and the load calls functions of {', '.join(Path(one).name for one in files)}"
        raise CommandError([Mistake("", text, f"start the agent with {ALLOW}=1, if it may")])


def _refuse_changed(material: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    for path, digest in material.items():
        if path in files and sha256(files[path]).hexdigest() != digest:
            text = f"{Path(path).name} is not the file with which the load was checked"
            raise CommandError([Mistake("", text, "it was changed meanwhile: start the load again")])


def _beside(file: Path) -> list[str]:
    """What a Python file imports that lies in its folder, where an agent has nothing."""
    try:
        tree = ast.parse(read_regular(str(file)))
    except (OSError, SyntaxError, ValueError):
        return []  # told where the file is imported
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update((one.name.partition(".")[0], None) for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names[node.module.partition(".")[0]] = None
    there = ((name, file.parent / name) for name in names)
    return [f"{name}.py" if path.with_suffix(".py").is_file() else name for name, path in there if _is_module(path)]


def _is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _paths_of(step: StepJson) -> Iterator[tuple[str, str]]:
    for key in FILE_KEYS:
        if key in step:
            paths: list[str] = []
            _changed(key, step[key], lambda path, paths=paths: _kept(path, paths))  # type: ignore[misc]
            yield from ((key, path) for path in paths)


def _kept(path: str, paths: list[str]) -> str:
    paths.append(path)
    return path


def _with_paths(plan: Plan, change: PathChange) -> Plan:
    sources = tuple(replace(source, file_path=change(source.file_path)) for source in plan.sources)

    def settled(path: str) -> str:
        return change(str(compile_value(path, plan.variables).value))

    scenarios = {file: change(file) for file in scenario_files(plan)}
    steps = tuple({key: _changed(key, value, settled) for key, value in step.items()} for step in plan.steps)
    material = {scenarios.get(key, key): value for key, value in plan.material.items()}
    return replace(plan, sources=sources, steps=steps, material=material)


def _changed(key: str, value: Any, change: PathChange) -> object:
    """`value` with each path in it changed; what holds no path comes back as it was."""
    if key in ("verify", "cert", "client_cert"):
        if isinstance(value, list | tuple):
            return [change(one) for one in value]
        return change(value) if isinstance(value, str) else value
    if key == "call":
        file, cls, method = split_place(value)
        return f"{change(file)}:{cls}.{method}"
    if key == "files":
        if isinstance(value, Mapping):
            return {field: _upload(entry, change) for field, entry in value.items()}
        return [_upload(entry, change) for entry in value]
    return value


def _upload(entry: object, change: PathChange) -> object:
    if isinstance(entry, str):
        return change(entry)
    return {**entry, "path": change(entry["path"])} if isinstance(entry, Mapping) and entry.get("path") is not None else entry
