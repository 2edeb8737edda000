"""A session holds everything that one script run changes: variables, runs, own commands, who watches.

There is no other state. Module-level functions act on the current session, a context variable; outside of `use_session` that
is one default session per process, for interactive use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.runs_dir import asked_of, usual_runs_dir
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.script.command import Command, Commands
from loadflow.engine.session.guard import Guard
from loadflow.engine.session.kept_values import KeptValues
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.table import TABLE

if TYPE_CHECKING:
    from loadflow.engine.plan.cluster import PoolOrder, Workers
    from loadflow.engine.plan.conditioner import NetworkConditioner
    from loadflow.engine.records.names import SeriesName
    from loadflow.engine.records.run import Run
    from loadflow.engine.reliability.budget import InstalledBudget

__all__ = ["PACKAGES_VARIABLE", "Session", "at_once", "current_session", "secret_of_environment", "use_session"]

SECRET_VARIABLE = "LOADFLOW_SECRET_"
PACKAGES_VARIABLE = "LOADFLOW_ALLOWED_PACKAGES"  # names, separated by commas


class Session:
    """One script run's state.

    `variables` are given from outside and win over the script's own of the same name.
    `runs` are the runs that summaries and reports speak of: those since the last LD_clear_records. `all_runs` also has the
    cleared ones, because a verdict can't be cleared. Relative report names are written below `report_dir`.
    `allowed_packages` are those that scripts may load, with their submodules, besides those that LOADFLOW_ALLOWED_PACKAGES
    names. `guard` says what scripts may reach: see `loadflow.engine.session.guard`; `target`, whom they may load; `workers`, who
    makes the load where the script does not say it; `pool(order)` starts agents in a work pool, for the length of its block.
    `secrets` gives the value of `${secret.NAME}`, and raises LookupError for a name that it does not know. `budget` and `network` hold
    for every load that starts while they are installed. `lease(target)` is held while a load
    runs. `exporters` are those that run, by kind. `started_by`: who or what has started it, as far as that is known, for the evidence.
    `ask_prefect("variable", name)` gives a variable's value, `("automation", name)` whether it is enabled; None outside of flow runs.
    `as_task(name, work)` does a part of a command, where Prefect is there as a task run of its own.
    `pace_seed`: of the random gaps of loads whose script has no seed, where a run is made again.
    `rehearsing`: commands report their mistakes here and do nothing else, see `rehearsal`.
    `loads` are then those since the last LD_clear_records: the names of their hits, None where they are not all known. `engines`: what
    users of each load would speak, where that is several protocols, who would make it, and why the native core would not.
    """

    def __init__(
        self,
        *,
        name: str = "script",
        label: str = "",
        runs_dir: str | os.PathLike[str] | None = None,
        report_dir: str | os.PathLike[str] | None = None,
        variables: JsonMapping | None = None,
        observers: Iterable[Observer] = (),
        own_commands: Mapping[str, Command] | None = None,
        allowed_packages: Iterable[str] = (),
        guard: Guard | None = None,
        target: TargetRules | None = None,
        secrets: Callable[[str], str] | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.name = name
        self.label = label
        self.runs_dir = Path(runs_dir) if runs_dir else usual_runs_dir()
        self.report_dir = Path(report_dir or ".")
        self.variables = Variables(variables)
        self.observers = list(observers)
        self.own_commands: dict[str, Command] = dict(own_commands or {})
        self.allowed_packages = set(allowed_packages)
        self.guard = guard or Guard()
        self.target = target or TargetRules()
        self.workers = workers
        self._secrets = secrets
        self.usual_secrets: Callable[[str], str] = secret_of_environment  # where no `secrets` were given
        self.told_secrets: set[str] = set()  # values, to be masked wherever they turn up
        self.store_url: str | None = None  # for store commands that name no database
        self.lease: Callable[[str], AbstractContextManager[object]] = nullcontext
        self.pool: Callable[[PoolOrder], AbstractContextManager[object]] | None = None
        self.runs: list[Run] = []
        self.all_runs: list[Run] = []
        self.budget: InstalledBudget | None = None
        self.network: NetworkConditioner | None = None
        self.flow_run_ids: list[str] = []  # of the flow runs that are running now, the outermost first
        self.flow_run_url = ""  # the page of the outermost
        self.exporters: dict[str, Observer] = {}
        self.started_by: JsonObject = {}
        self.pace_seed: int | None = None
        self.ask_prefect: Callable[[str, str], object] | None = None
        self.as_task: Callable[[str, Callable[[], object]], Any] = at_once
        self.rehearsing = False
        self.loads: list[tuple[SeriesName, ...] | None] = []
        self.engines: list[tuple[tuple[str, ...], str, str]] = []
        self.kept = KeptValues()
        self._at_end = ExitStack()
        self._scripts = 0

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command a script of this session may name: own ones, the LD_* table, builtins."""
        hosted: dict[str, Command] = {}
        if self.target.base_url is not None:
            hosted["LD_start_test"] = replace(TABLE["LD_start_test"], model="loadflow.engine.load_test.model:HostedStartTest")
        return Commands(self.own_commands, hosted, TABLE, BUILTINS)

    @property
    def environment(self) -> Mapping[str, str]:
        """What `${env.NAME}` means in this session."""
        return self.guard.environment(os.environ)

    def secret(self, name: str) -> str:
        """Raises LookupError, its text the reason, when there is none."""
        value = (self._secrets or self.usual_secrets)(name)
        self.told_secrets.add(value)
        return value

    def may_load(self, package: str) -> bool:
        """Whether scripts may load `package`: it or a package that it is in was allowed."""
        named = os.environ.get(PACKAGES_VARIABLE, "").split(",")
        allowed = self.allowed_packages | {name.strip() for name in named if name.strip()}
        return any(package == one or package.startswith(f"{one}.") for one in allowed)

    def at_end(self, close: Callable[[], object]) -> None:
        """Call `close` when the script that is running now is over; with none running, when the session is closed."""
        self._at_end.callback(close)

    @contextmanager
    def script(self) -> Iterator[None]:
        """A script runs inside of the block; scripts nested in it open further ones."""
        self._scripts += 1
        try:
            yield
        finally:
            self._scripts -= 1
            if self._scripts == 0:
                self.close()

    @contextmanager
    def in_flow_run(self, flow_run_id: str) -> Iterator[None]:
        """Runs that are made inside of the block say that this flow run made them."""
        self.flow_run_ids.append(flow_run_id)
        try:
            yield
        finally:
            self.flow_run_ids.remove(flow_run_id)

    def close(self) -> None:
        """End what the session's scripts have started and left running."""
        self._at_end.close()

    def rehearsal(self) -> Session:
        """A session like this one, where a check calls commands: what they set stays in it, and they start nothing."""
        other = copy(self)
        other.rehearsing = True
        other.variables = self.variables.copy()
        other.own_commands, other.exporters = dict(self.own_commands), dict(self.exporters)
        other.observers, other.runs, other.all_runs = [], [], []
        other.loads, other.engines = [None] * len(self.runs), []
        other._at_end = ExitStack()
        return other

    def apart(self) -> Session:
        """A session like this one, whose runs are its own: of commands that make many loads to learn one thing."""
        other = copy(self)
        other.runs, other.all_runs = [], []
        return other

    def keep(self, run: Run) -> None:
        self.runs.append(run)
        self.all_runs.append(run)

    def clear_records(self) -> None:
        """Later summaries and reports start from nothing; the run folders stay."""
        self.runs.clear()
        self.loads.clear()


def secret_of_environment(name: str) -> str:
    """The value of LOADFLOW_SECRET_NAME; raises LookupError where it is not set."""
    variable = SECRET_VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())
    if variable not in os.environ:
        raise LookupError(f"no secret {name!r}; set {variable}")
    return os.environ[variable]


def at_once(name: str, work: Callable[[], object]) -> object:
    """`as_task` without Prefect."""
    return work()


_default = Session(name="interactive")
_current: ContextVar[Session | None] = ContextVar("loadflow_session", default=None)


def current_session() -> Session:
    return _current.get() or _default


asked_of(lambda: current_session().runs_dir)


@contextmanager
def use_session(session: Session) -> Iterator[Session]:
    """Make `session` the current one inside the block.

    >>> with use_session(Session(name="nightly")) as session:
    ...     current_session() is session
    True
    """
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)
