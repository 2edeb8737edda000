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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.command import Command
from loadflow.engine.guard import Guard
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.spans import SpanBatch
from loadflow.engine.records.summary import Summary
from loadflow.engine.reliability.budget_watch import InstalledBudget
from loadflow.engine.reliability.conditioner import NetworkConditioner
from loadflow.engine.resolve.variables import Variables

if TYPE_CHECKING:
    from loadflow.engine.exporters.exporter import Exporter

__all__ = ["PACKAGES_VARIABLE", "RUNS_DIR_VARIABLE", "Observer", "Session", "current_session", "secret_of_environment", "use_session"]

RUNS_DIR_VARIABLE = "LOADFLOW_RUNS_DIR"
SECRET_VARIABLE = "LOADFLOW_SECRET_"
PACKAGES_VARIABLE = "LOADFLOW_ALLOWED_PACKAGES"  # names, separated by commas


class Observer:
    """Watches the runs of a session; every method may be left as it is.

    All are called on the thread that runs the command, while the load goes on in its own process: a slow one delays the
    next call, never the load.
    """

    def run_started(self, run: Run) -> None:
        """The run's folder exists and the engine is about to start."""

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        """One second is complete. Seconds come in order, without gaps, and each once."""

    def spans(self, run: Run, batch: SpanBatch) -> None:
        """Hits that are traced have ended: once or more a second where somebody asked for traces, each once, before `run_ended`."""

    def run_ended(self, run: Run, summary: Summary) -> None:
        """The load is over, however it ended; the folder is complete, its report included."""

    def stop_requested(self) -> str:
        """Asked several times a second while load runs; a text other than "" ends the load, with the text as the reason."""
        return ""


class Session:
    """One script run's state.

    `runs` are the runs that summaries and reports speak of: those since the last LD_clear_records. `all_runs` also has the
    cleared ones, because a verdict can't be cleared. Relative report names are written below `report_dir`.
    `allowed_packages` are those that scripts may load, with their submodules, besides those that LOADFLOW_ALLOWED_PACKAGES
    names. `guard` says what scripts may reach: see `loadflow.engine.guard`; `target`, whom they may load. `secrets` gives the value
    of `${secret.NAME}`, and raises LookupError for a name that it does not know. `budget` and `network` hold for every load that
    starts while they are installed. `lease(target)` is held while a load runs. `exporters` are those that run, by kind.
    """

    def __init__(
        self,
        *,
        name: str = "script",
        label: str = "",
        runs_dir: str | os.PathLike[str] | None = None,
        report_dir: str | os.PathLike[str] | None = None,
        variables: Mapping[str, Any] | None = None,
        observers: Iterable[Observer] = (),
        own_commands: Mapping[str, Command] | None = None,
        allowed_packages: Iterable[str] = (),
        guard: Guard | None = None,
        target: TargetRules | None = None,
        secrets: Callable[[str], str] | None = None,
    ) -> None:
        self.name = name
        self.label = label
        self.runs_dir = Path(runs_dir or os.environ.get(RUNS_DIR_VARIABLE) or "loadflow-runs")
        self.report_dir = Path(report_dir or ".")
        self.variables = Variables()
        self.variables.register_many(variables or {})
        self.observers = list(observers)
        self.own_commands: dict[str, Command] = dict(own_commands or {})
        self.allowed_packages = set(allowed_packages)
        self.guard = guard or Guard()
        self.target = target or TargetRules()
        self._secrets = secrets or secret_of_environment
        self.store_url: str | None = None  # for store commands that name no database
        self.lease: Callable[[str], AbstractContextManager[object]] = nullcontext
        self.runs: list[Run] = []
        self.all_runs: list[Run] = []
        self.budget: InstalledBudget | None = None
        self.network: NetworkConditioner | None = None
        self.exporters: dict[str, Exporter] = {}
        self._at_end = ExitStack()
        self._scripts = 0

    @property
    def commands(self) -> dict[str, Command]:
        """Every command a script of this session may name: builtins, the LD_* table, own ones."""
        # the table names functions that act on sessions: the one cycle in the engine, cut here
        from loadflow.engine.commands import TABLE
        from loadflow.engine.script.builtin_functions import BUILTINS
        from loadflow.engine.script.model import HostedStartTest

        table = dict(TABLE)
        if self.target.base_url is not None:
            table["LD_start_test"] = replace(table["LD_start_test"], arguments=HostedStartTest)
        return {**BUILTINS, **table, **self.own_commands}

    @property
    def environment(self) -> Mapping[str, str]:
        """What `${env.NAME}` means in this session."""
        return self.guard.environment(os.environ)

    def secret(self, name: str) -> str:
        """Raises LookupError, its text the reason, when there is none."""
        return self._secrets(name)

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

    def close(self) -> None:
        """End what the session's scripts have started and left running."""
        self._at_end.close()

    def keep(self, run: Run) -> None:
        self.runs.append(run)
        self.all_runs.append(run)

    def clear_records(self) -> None:
        """Later summaries and reports start from nothing; the run folders stay."""
        self.runs.clear()


def secret_of_environment(name: str) -> str:
    """The value of LOADFLOW_SECRET_NAME; raises LookupError where it is not set."""
    variable = SECRET_VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())
    if variable not in os.environ:
        raise LookupError(f"no secret {name!r}; set {variable}")
    return os.environ[variable]


_default = Session(name="interactive")
_current: ContextVar[Session | None] = ContextVar("loadflow_session", default=None)


def current_session() -> Session:
    return _current.get() or _default


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
