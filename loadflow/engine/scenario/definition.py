"""What a scenario is written with: `@scenario` on a class, `@task` on its methods, `VUser` as a base for editors.

>>> @scenario(rps=5, duration="10s", mode="constant", register=False)
... class Shop(VUser):
...     @task(weight=3)
...     def browse(self, client: LoadClient) -> None:
...         client.get("/products")
>>> scenario_of(Shop).tasks
(TaskDef(name='browse', weight=3, engine='auto'),)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.scenario.client import LoadClient
from loadflow.engine.scenario.refusing import method_trouble, nearest, refuse_keywords, refuse_method, refuse_thresholds, refuse_weight

__all__ = ["HOOKS", "MODES", "ScenarioDef", "TaskDef", "VUser", "check_of", "scenario", "scenario_of", "scenarios", "taking", "task"]

MODES = ("ramp", "constant", "step", "spike")
HOOKS = ("on_start", "on_stop")
ENGINES = ("auto", "locust")
WEIGHT = "__loadflow_weight__"
ENGINE = "__loadflow_engine__"
SCENARIO = "__loadflow_scenario__"
CHECK = "check_"
TAKES = ("client",)  # what a task and a hook are given beside the user
KEYWORDS = ("rps", "duration", "ramp_up", "mode", "steps", "thresholds", "users")

F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C", bound=type)


class VUser:
    """One virtual user. A scenario's class may have it as its base; each user of the load is an object of its own."""

    def on_start(self, client: LoadClient) -> object:
        """Once, before the user's first task."""

    def on_stop(self, client: LoadClient) -> object:
        """Once, after the user's last task."""


@dataclass(frozen=True, slots=True)
class TaskDef:
    """A method that makes requests; `weight` is its share of passes, `engine` who runs it."""

    name: str
    weight: int
    engine: str = "auto"


@dataclass(frozen=True)
class ScenarioDef:
    """A class and its load. `rps` are tasks begun per second; `test` are further keys of LD_start_test."""

    name: str
    cls: type
    rps: float
    duration: str | float
    ramp_up: str | float
    mode: str
    steps: int
    thresholds: Mapping[str, float] | list[Any]
    users: int | None
    test: JsonMapping = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[TaskDef, ...]:
        """In the order in which they are defined, those of bases first; one that is defined anew keeps its place."""
        found: dict[str, None] = {}
        for base in reversed(self.cls.__mro__):
            found.update((name, None) for name, value in vars(base).items() if hasattr(value, WEIGHT))
        methods = ((name, getattr(self.cls, name, None)) for name in found)
        marked = ((name, method) for name, method in methods if hasattr(method, WEIGHT))
        return tuple(TaskDef(name, getattr(method, WEIGHT), getattr(method, ENGINE, "auto")) for name, method in marked)

    @property
    def hooks(self) -> tuple[str, ...]:
        """Those of on_start and on_stop that the class or one of its bases defines."""
        return tuple(name for name in HOOKS if getattr(self.cls, name, None) not in (None, getattr(VUser, name)))


scenarios: list[ScenarioDef] = []  # in the order in which they were defined
_taken: list[list[ScenarioDef]] = [scenarios]


class taking:
    """`with taking() as found`: scenarios that are defined meanwhile are in `found`, and nowhere else."""

    def __enter__(self) -> list[ScenarioDef]:
        _taken.append([])
        return _taken[-1]

    def __exit__(self, *_: object) -> None:
        _taken.pop()


def scenario(
    cls: object = None,
    /,
    *,
    rps: float = 10,
    duration: str | float = "1m",
    ramp_up: str | float = "10s",
    mode: str = "ramp",
    steps: int = 5,
    thresholds: Mapping[str, float] | list[Any] | None = None,
    users: int | None = None,
    register: bool = True,
    **test: object,
) -> Callable[[C], C]:
    """The load of a class: `rps` tasks are begun per second at its height, for `duration`.

    `mode`: "ramp" comes to `rps` within `ramp_up`, "constant" has it all the time, "step" in `steps` stairs, "spike" in the middle third.
    `thresholds`: {"p99_ms": 250, "error_rate": 1} (percent), or expressions such as "p95 < 200". `users`: how many take turns; None: as
    many as the rate needs. Further keywords are keys of LD_start_test, such as `seed=7`. Raises ValueError, TypeError.
    """
    if cls is not None:
        raise TypeError("@scenario has parentheses: write @scenario(rps=…, duration=…) before the class")
    refuse_keywords(rps, duration, ramp_up, mode, steps, users, MODES)
    if thresholds is not None:
        refuse_thresholds(thresholds)
    for name in test:
        if close := get_close_matches(name, KEYWORDS, 1, cutoff=0.8):
            raise TypeError(f"@scenario takes no {name!r}; did you mean {close[0]!r}?")

    def decorate(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError("@scenario(…) goes before a class")
        made = ScenarioDef(cls.__name__, cls, rps, duration, ramp_up, mode, steps, thresholds or {}, users, test)
        setattr(cls, SCENARIO, made)
        _refuse_methods(made)
        _refuse_lost_checks(made)
        if register:
            _taken[-1].append(made)
        return cls

    return decorate


def scenario_of(cls: type) -> ScenarioDef:
    """Raises TypeError for a class without `@scenario`."""
    found = vars(cls).get(SCENARIO)
    if not isinstance(found, ScenarioDef):
        raise TypeError(f"{cls.__name__} is no scenario; write @scenario(rps=…, duration=…) before the class")
    return found


@overload
def task(function: F, /) -> F: ...
@overload
def task(*, weight: int = 1, engine: str = "auto") -> Callable[[F], F]: ...
def task(function: Any = None, /, *, weight: int = 1, engine: str = "auto") -> Any:
    """Marks a method of a scenario, `def` or `async def`, as one of its tasks; `weight` is its share of passes.

    `engine`: "locust" for a task that calls libraries which wait for sockets of their own; its whole scenario runs on Locust then. Raises
    ValueError.
    """
    if engine not in ENGINES:
        raise ValueError(f"the engine {engine!r} is not known; {nearest(str(engine), ENGINES)}")
    refuse_weight(weight)
    if isinstance(function, int | float | str):
        raise TypeError(f"@task takes its weight by name: @task(weight={function!r})")

    def mark(method: F) -> F:
        if trouble := method_trouble(method, TAKES):
            raise TypeError(f"{getattr(method, '__name__', 'a task')} {trouble}")
        setattr(method, WEIGHT, weight)
        setattr(method, ENGINE, engine)
        return method

    return mark if function is None else mark(function)


def check_of(cls: type, task_name: str) -> Callable[..., object] | None:
    """The method `check_TASK(self, status, body)`, also of a base."""
    found: Callable[..., object] | None = getattr(cls, f"{CHECK}{task_name}", None)
    return found


def _refuse_lost_checks(made: ScenarioDef) -> None:
    """A check whose task is misspelt would never run."""
    names = [one.name for one in made.tasks]
    for name in dir(made.cls):
        if not name.startswith(CHECK) or not callable(getattr(made.cls, name)):
            continue
        if name.removeprefix(CHECK) not in names:
            raise ValueError(f"{made.name}.{name} checks no task; {nearest(name.removeprefix(CHECK), names)}")
        refuse_method(made.cls, name, ("status", "body"))


def _refuse_methods(made: ScenarioDef) -> None:
    """Methods, or a class, that no user could call."""
    for base in made.cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, staticmethod | classmethod) and hasattr(value.__func__, WEIGHT):
                refuse_method(made.cls, name, TAKES)
    for name in HOOKS:
        if getattr(made.cls, name, None) is None:
            continue
        if hasattr(getattr(made.cls, name), WEIGHT):
            raise ValueError(f"{made.name}.{name} is a task too; it runs by itself, before or after the tasks of each user: remove @task")
        refuse_method(made.cls, name, TAKES)
    if inspect.isabstract(made.cls):
        lacks = sorted(getattr(made.cls, "__abstractmethods__", ()))
        raise ValueError(f"{made.name} is abstract: it lacks {', '.join(lacks)}")
    try:
        inspect.signature(made.cls).bind()
    except TypeError:
        raise ValueError(f"{made.name} is made for each user without arguments; set what a user has in on_start") from None
    except ValueError:  # it says nothing of its arguments
        pass
