"""What a worker needs to make its share of the load: the plan, the files that it names, the environment that it asks for.

One block of bytes, the same for every worker of a run; workers have no files and no settings of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack

from loadflow.engine.plan.plan import Plan
from loadflow.engine.resolve.template import compile_value
from loadflow.errors import CommandError, Mistake

__all__ = ["pack", "refuse_unshippable", "unpack"]

FILE_KEYS = ("verify", "cert", "client_cert", "files")  # of a step
PathChange = Callable[[str], str]


def pack(plan: Plan, env: Mapping[str, str]) -> bytes:
    """Reads every file that the plan names."""
    files: dict[str, bytes] = {}

    def shipped(path: str) -> str:
        files.setdefault(path, Path(path).read_bytes())
        return path

    plan = _with_paths(plan, shipped)
    known = {name: env[name] for name in plan.env_names if name in env}
    packed: bytes = msgpack.packb({"plan": plan.to_json(), "files": files, "env": known})
    return packed


def unpack(data: bytes, folder: Path) -> tuple[Plan, dict[str, str]]:
    """The plan, its files written below `folder`, and the environment variables. A file keeps its name, which targets may see."""
    package = msgpack.unpackb(data, strict_map_key=False)
    places: dict[str, str] = {}
    for number, (path, content) in enumerate(package["files"].items()):
        place = folder / str(number) / Path(path).name
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        places[path] = str(place)
    return _with_paths(Plan.from_json(package["plan"]), places.__getitem__), package["env"]


def refuse_unshippable(plan: Plan, place: str) -> None:
    """Raises CommandError for files that can't be known, or not be sent, before the load starts."""
    mistakes = []
    for position, step in enumerate(plan.steps):
        for key, path in _paths_of(step):
            compiled = compile_value(path, plan.variables)
            at = f"{place}.tasks[{position}].{key}"
            if not compiled.is_static:
                text = "is a path that changes from hit to hit, so it can't be sent to the workers"
                mistakes.append(Mistake(at, text, "name one file, or give its content"))
            elif Path(str(compiled.value)).is_dir():
                mistakes.append(Mistake(at, "is a folder, which is not sent to workers", "name one file with all certificates in it"))
    if mistakes:
        raise CommandError(mistakes)


def _paths_of(step: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
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

    steps = tuple({key: _changed(key, value, settled) for key, value in step.items()} for step in plan.steps)
    return replace(plan, sources=sources, steps=steps)


def _changed(key: str, value: Any, change: PathChange) -> Any:
    """`value` with each path in it changed; what holds no path comes back as it was."""
    if key in ("verify", "cert", "client_cert"):
        if isinstance(value, list | tuple):
            return [change(one) for one in value]
        return change(value) if isinstance(value, str) else value
    if key == "files":
        if isinstance(value, Mapping):
            return {field: _upload(entry, change) for field, entry in value.items()}
        return [_upload(entry, change) for entry in value]
    return value


def _upload(entry: Any, change: PathChange) -> Any:
    if isinstance(entry, str):
        return change(entry)
    return {**entry, "path": change(entry["path"])} if isinstance(entry, Mapping) and entry.get("path") is not None else entry
