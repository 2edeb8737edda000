"""A file of scenarios, imported: the classes in it that `@scenario` marks."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from loadflow.engine.base.counted import counted
from loadflow.engine.scenario import client, definition
from loadflow.engine.scenario.definition import ScenarioDef
from loadflow.errors import Mistake, ScriptError

__all__ = ["ALLOW", "chosen", "digest_of", "load_scenarios"]

ALLOW = "LOADFLOW_ALLOW_PYTHON"  # set by the person who starts loadflow, never by a script
OTHER = "loadpilot"  # whose files import it by this name
HERE = Path(__file__).parent
NAME = "give each method its own name"
HOW = 'write @scenario(rps=…, duration="…") before a class with methods that are marked by @task'


class _AsWritten(SourceFileLoader):
    """Compiles the file as it is now: a .pyc beside it may be of other words that were written in the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_scenarios(path: str | Path) -> list[ScenarioDef]:
    """The scenarios of a file in their order. It is imported, so what stands outside of its functions runs. Raises ScriptError."""
    file = Path(path).resolve()
    if not file.is_file():
        raise ScriptError([Mistake("", "there is no such file", "check the path")], str(path))
    name = f"loadflow_scenario_{digest_of(file)[:12]}_{sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_AsWritten(name, str(file)))
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise ScriptError([Mistake("", "is no Python file", "name it NAME.py")], str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # modules beside it may be imported, also later by its functions
    try:
        # what it prints is for a person: commands write to standard output what programs read
        with definition.taking() as found, _known_by_its_old_name(), redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ScriptError([_mistake(error, file)], str(path)) from error
    if not found:
        raise ScriptError([Mistake("", "has no scenario", HOW)], str(path))
    mistakes = [Mistake(one.name, "has no task", "mark a method with @task") for one in found if not one.tasks]
    mistakes += [
        Mistake(one.name, "all weights are 0, so no task is ever picked", "give one task a weight of 1 or more")
        for one in found
        if one.tasks and all(task.weight == 0 for task in one.tasks)
    ]
    names = [one.name for one in found]
    mistakes += [Mistake(name, "is there twice", "give each class its own name") for name in dict.fromkeys(names) if names.count(name) > 1]
    mistakes += _lost_tasks(file)
    if mistakes:
        raise ScriptError(mistakes, str(path))
    return found


def chosen(found: Sequence[ScenarioDef], name: str | None, path: str | Path) -> ScenarioDef:
    """The one of this name, or the only one. Raises ScriptError."""
    names = [one.name for one in found]
    if name is None:
        if len(found) == 1:
            return found[0]
        text = f"has {counted(len(found), 'scenario')}: {', '.join(names)}"
        raise ScriptError([Mistake("", text, f"choose one with --scenario {names[0]}, or run all side by side with --all")], str(path))
    if name not in names:
        close = get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(names)}"
        raise ScriptError([Mistake("", f"has no scenario {name!r}", hint)], str(path))
    return found[names.index(name)]


def digest_of(file: Path) -> str:
    """Of the file's content, so that a run can be known to be of the same file."""
    return sha256(file.read_bytes()).hexdigest()


def _lost_tasks(file: Path) -> list[Mistake]:
    """Methods marked as tasks that a later one of the same name replaces: Python says nothing of it."""
    lost = []
    for cls in (node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.ClassDef)):
        methods = [one for one in cls.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        last = {one.name: one for one in methods}
        lost += [
            Mistake(
                f"line {one.lineno}", f"{cls.name}.{one.name} is defined again in line {last[one.name].lineno}, and this one is lost", NAME
            )
            for one in methods
            if one is not last[one.name] and any("task" in ast.unparse(decorator) for decorator in one.decorator_list)
        ]
    return lost


def _mistake(error: BaseException, file: Path) -> Mistake:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    is_syntax = isinstance(error, SyntaxError) and error.filename == str(file)
    line = error.lineno if isinstance(error, SyntaxError) and is_syntax else lines[-1] if lines else None
    place = "" if line is None else f"line {line}"
    if frames and Path(frames[-1].filename).parent == HERE:  # the decorators' own words
        return Mistake(place, str(error))
    if isinstance(error, SystemExit):
        return Mistake(place, "ends the program while it is imported", 'move that below if __name__ == "__main__":')
    said = error.msg if isinstance(error, SyntaxError) and is_syntax else str(error)
    return Mistake(place, f"{type(error).__name__}: {said}" if said else type(error).__name__, _way_out(error))


def _way_out(error: BaseException) -> str:
    match error:
        case ImportError() if "relative import" in str(error):
            return "a file beside it is imported by its name alone: from helpers import …"
        case ImportError():
            return "install it beside loadflow, or lay the file beside this one"
        case SyntaxError():
            return ""
        case _:
            return "the file is imported before the load, and must not raise"


@contextmanager
def _known_by_its_old_name() -> Iterator[None]:
    """LoadPilot's files import its package; where that is not installed, its names are ours while the file is imported."""
    if OTHER in sys.modules or importlib.util.find_spec(OTHER) is not None:
        yield
        return
    package = ModuleType(OTHER, "LoadPilot's names, by loadflow.")
    names = {one: getattr(definition, one) for one in ("scenario", "task", "VUser", "ScenarioDef", "TaskDef")}
    vars(package).update(names, LoadClient=client.LoadClient, __path__=[])
    inner = {f"{OTHER}.{name}": ModuleType(f"{OTHER}.{name}") for name in ("dsl", "client")}
    for name, one in inner.items():
        vars(one).update(names, LoadClient=client.LoadClient)
        setattr(package, name.rpartition(".")[2], one)
    sys.modules.update({OTHER: package, **inner})
    try:
        yield
    finally:
        for name in (OTHER, *inner):
            sys.modules.pop(name, None)
