"""What a command is: all that registry, tasks, help, docs and schema know of it stands in one `Command`.

`loadflow.engine.session.table` finds the commands of loadflow. A definition may name its function and its model as text,
"package.module:NAME": they are imported when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from loadflow.engine.base.named import load_named

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "ASSERTION",
    "COMPARISON",
    "FILES",
    "GROUPS",
    "LOAD",
    "NESTED",
    "QUICK",
    "SERVER",
    "STORE",
    "Command",
    "Commands",
    "Policy",
]

OnError = Literal["stop", "continue"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a command's task is run. Seconds at this edge, because people write them.

    `retry_safe` False means that running the function twice is not the same as running it once; such a command is retried
    only after a failure that says nothing was done (`EngineError` with 0 hits), however many retries a script asks for.
    `timeout_seconds` None: no deadline of its own.
    """

    retries: int = 0
    retry_delay_seconds: float = 0.0
    timeout_seconds: float | None = None
    on_error: OnError = "stop"
    retry_safe: bool = True


QUICK = Policy(timeout_seconds=60)
FILES = Policy(retries=2, retry_delay_seconds=1, timeout_seconds=300)  # writes by rename: doing it twice is doing it once
STORE = Policy(retries=3, retry_delay_seconds=2, timeout_seconds=600)  # a run is stored once, however often it is asked for
ASSERTION = Policy(timeout_seconds=60, retry_safe=False)  # the numbers do not change
COMPARISON = Policy(timeout_seconds=600, retry_safe=False)  # nor do those of kept runs
LOAD = Policy(retries=0, retry_safe=False)
NESTED = Policy(retries=0, retry_safe=False)
SERVER = Policy(timeout_seconds=60, retry_safe=False)

# In the order of the docs; each command of loadflow is in one.
GROUPS = {
    "load": "Load",
    "script": "Scripts, packages and the control plane",
    "judging": "Results and verdicts",
    "reports": "Reports",
    "store": "The store",
    "values": "Variables and data",
    "conditions": "Budgets and network conditions",
    "exporters": "Exporters",
    "recordings": "Recordings",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    `code` is the function, `model` the pydantic model that checks the keyword arguments, each itself or named as text; without a
    model the function's own signature is the rule.
    `nested` says that the arguments hold actions or files of actions that run as scripts of their own.
    `loads` marks the commands that send load: their task is called directly, never submitted.
    `dry` marks those whose mistakes can be reported before anything runs: in a session that rehearses, they do nothing outside of it.
    `sets`: later actions may build on what it sets, so after a failed one a check tries no further; `opens`: it may also set what the
    script does not show, so a check can't say then that a variable has no value.
    `guarded`: a client of the control plane may call it only where the server allows it by name.
    `secrets` are the arguments of which every value is masked in logs, whatever name it has in them; `servers` those that name a
    server of metrics, which may be anywhere, though another command's argument of that name may not.
    For the docs: `group` is one of GROUPS; `returns` says in words what it gives back, as JSON values; `example` are arguments.
    """

    name: str
    code: Callable[..., object] | str
    summary: str
    policy: Policy = field(default_factory=Policy)
    model: type[BaseModel] | str | None = None
    nested: Literal["actions", "files"] | None = None
    loads: bool = False
    dry: bool = False
    sets: bool = False
    opens: bool = False
    guarded: bool = False
    secrets: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()
    group: str = ""
    returns: str = ""
    example: dict[str, object] | None = None

    @property
    def action(self) -> list[object]:
        """The example as it stands in a script."""
        return [self.name] if self.example is None else [self.name, self.example]

    @property
    def function(self) -> Callable[..., object]:
        return load_named(self.code) if isinstance(self.code, str) else self.code

    @property
    def arguments(self) -> type[BaseModel] | None:
        return load_named(self.model) if isinstance(self.model, str) else self.model


class Commands(Mapping[str, Command]):
    """Several maps of commands as one: the first that has a name counts. A command is loaded when its value is asked for, not before."""

    def __init__(self, *maps: Mapping[str, Command]) -> None:
        self._maps = maps

    def __getitem__(self, name: str) -> Command:
        for one in self._maps:
            if name in one:
                return one[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name in one for one in self._maps)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for one in reversed(self._maps) for name in one))

    def __len__(self) -> int:
        return len(set().union(*self._maps))
