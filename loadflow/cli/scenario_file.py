"""A Python file of scenarios on the command line: which scenario is meant, and the script that it is."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import Styled, ask_number, echo
from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import shown

if TYPE_CHECKING:
    from loadflow.engine.scenario.definition import ScenarioDef
    from loadflow.engine.scenario.tracing import Trace

__all__ = ["is_scenario_file", "limits_of", "print_traces", "reader_of", "target_of", "traces_of"]

# LoadPilot's name for it too
TARGETS = ("LOADFLOW_TARGET", "LOADPILOT_TARGET")
ENV_FILE = ".env"


def is_scenario_file(file: str) -> bool:
    return file.endswith(".py")


def target_of(given: str | None) -> str | None:
    """Where requests go: as given, else by the environment, else by ./.env; None: as the scenario says."""
    if given is not None:
        return given
    found = next((os.environ[name] for name in TARGETS if os.environ.get(name)), None)
    return found or next(_in_env_file(), None)


def _in_env_file() -> Iterator[str]:
    path = Path(ENV_FILE)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        name, _, value = line.partition("=")
        if name.strip().removeprefix("export ") in TARGETS and value.strip():
            yield value.strip().strip("\"'")


def limits_of(texts: Sequence[str]) -> dict[str, float]:
    """`--threshold KEY=VALUE`, one or more. Raises UsageError; which keys there are, the scenario says."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = math.nan
        if not equals or not limit >= 0 or math.isinf(limit):
            raise click.UsageError(f"--threshold is KEY=VALUE with a number of 0 or more, for example p99_ms=250, not {shown(text)}")
        found[name.strip()] = limit
    return found


def reader_of(file: str, name: str | None, *, every: bool = False, limits: Mapping[str, float] | None = None) -> Callable[[], object]:
    """Gives the document of the scenario, or of `every` one of the file; which one, a person at a terminal is asked. `limits`: thresholds
    over its own."""

    def read() -> JsonObject:
        from loadflow.engine.scenario.loading import ALLOW, chosen, load_scenarios
        from loadflow.engine.scenario.script import script_of, with_thresholds
        from loadflow.engine.scenario.tracing import trace

        os.environ[ALLOW] = "1"  # a Python file that is named on the command line is meant to run
        found = [with_thresholds(made, limits) if limits else made for made in load_scenarios(file)]
        if every:
            from loadflow.engine.load_test.populations import side_by_side

            return side_by_side({made.name: script_of(made, trace(made), file) for made in found}, Path(file).stem, Path(file).name)
        made = chosen(found, name if name is not None or len(found) == 1 else _picked(found), file)
        return script_of(made, trace(made), file)

    return read


def _picked(found: list[ScenarioDef]) -> str | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    for number, one in enumerate(found, start=1):
        echo(f"  {number}  ", Styled(one.name, bold=True), f"  {one.rps:g} tasks/s, {one.mode}, {one.duration}", err=True)
    return found[ask_number("scenario", len(found)) - 1].name


def traces_of(file: str) -> list[tuple[ScenarioDef, Trace]]:
    """Of every scenario of the file. Raises ScriptError."""
    from loadflow.engine.scenario.loading import load_scenarios
    from loadflow.engine.scenario.tracing import trace

    return [(made, trace(made)) for made in load_scenarios(file)]


def print_traces(made: ScenarioDef, trace: Trace) -> None:
    """How each hook and task runs, and why."""
    from loadflow.engine.generator.native.fit import in_the_core, is_built
    from loadflow.engine.scenario.messages import users_spoken
    from loadflow.engine.script.visit import steps_of

    asking = [one.name for one in made.tasks if one.engine == "locust"]
    foreign = [user for user in users_spoken(made.cls) if not in_the_core(user)]
    in_core = is_built() and not asking and not foreign
    way = "Python per hit" if in_core else "on Locust"
    for name in (*(hook for hook in made.hooks if hook == "on_start"), *(one.name for one in made.tasks), *made.hooks[1:]):
        if name in trace.refused:
            echo(f"  {name}: ", Styled(way, fg="yellow"), f", because {trace.refused[name]}")
        elif name in trace.steps:
            echo(f"  {name}: ", Styled("traced", fg="green"), f", {counted(sum(1 for _ in steps_of(trace.steps[name])), 'step')}")
    if foreign:
        echo(f"  so Locust makes the load, as the native core does not take {' and '.join(foreign)}")
    elif not trace.refused:
        return
    elif in_core:
        echo("  so the native core calls all of them in Python, as users share self; traced, it would need no Python")
    elif asking:
        echo(f"  so Locust runs all of them, as marked: {', '.join(asking)}")
    else:
        echo("  so Locust runs all of them, as the native core is not built (see loadflow doctor)")
