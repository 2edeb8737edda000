"""What a warm process is asked for: which command lines it can take, and what else a new process inherits."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loadflow

__all__ = ["CODE", "LEAVES", "MAY_BEGIN_WARM", "MODULES", "SUPERVISOR", "TURNING", "WORKER", "Asked", "asked_for"]

ROOT = str(Path(__file__).resolve().parents[2])
PREFECT_SERVER = "prefect.server.api.server:create_app"
SUPERVISOR, NATIVE, AGENT = (f"loadflow.engine.entry.{name}" for name in ("supervisor", "native", "agent"))
CODE = "-c"  # instead of a module; its text is the first argument
OF_PREFECT = "from prefect"  # how the code begins that Prefect gives to new processes
MAY_BEGIN_WARM = "# may begin warm\n"  # how the code of a test begins that is not about what is imported
WORKER = "import sys;exec(eval(sys.stdin.readline()))"  # the code of a worker of xdist, as execnet starts it
# which are run by their paths, by Prefect and by a test: how these end
FILES = ("/prefect/runner/_workspace_runtime_bootstrap.py", "/composition/announce.py", "/composition/by_deployment.py")
TURNING = {"prefect.runner._workspace_supervisor", "tests.warm.turning"}  # which turn into other processes, by `os.execvpe`
# of which everything may be imported beforehand
MODULES = {
    "loadflow",
    "prefect",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.runner._workspace_resolver",
    "tests.ends.flow_process",
    "tests.ends.outer_flow",
    "tests.prefect_tables",
    "tests.targets.recording",
    "tests.warm.facts",
    "uvicorn",
    SUPERVISOR,
    NATIVE,
    AGENT,
    *TURNING,
}
LEAVES = {NATIVE, "uvicorn", "tests.targets.recording"}  # they start nothing
# without Prefect, and so are these commands
LIGHT = {
    AGENT,
    NATIVE,
    SUPERVISOR,
    "tests.targets.recording",
    "tests.warm.facts",
    "tests.warm.turning",
}
LIGHT_COMMANDS = {"agent", "agents", "approve", "calibrate", "check", "commands", "compare", "har", "history", "judge", "migrate", "report"}
LIGHT_COMMANDS |= {"resume", "runs", "schema", "script", "verify"}
LIGHT_OPTIONS = {"--direct", "--dry-run", "--help", "--version"}
PACKAGES = ("loadflow", "prefect", "tests", "sitecustomize.py", "usercustomize.py")  # imported from elsewhere they would be others
PATHS = {ROOT, str(Path(loadflow.__file__).resolve().parents[1])}
# by these an interpreter starts otherwise; the packages of Kubernetes read where its configuration is while they are imported
OWN = ("LANG", "LC_", "LANGUAGE", "LD_", "MALLOC_", "OPENBLAS_", "OMP_", "COVERAGE_", "COV_", "KUBE")
KNOWN_PYTHON = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """`command`: as it is shown; `arguments`: behind the module's name. `fds`: numbers that the new process has, in the order in which they
    are sent. `ignored`, `blocked`: signals."""

    command: list[str]
    module: str
    arguments: list[str]
    is_safe_path: bool
    is_unbuffered: bool
    cwd: str
    env: dict[str, str]
    fds: list[int]
    new_session: bool
    group: int
    dies_with_parent: bool
    ignored: list[int]
    blocked: list[int]
    umask: int
    limits: list[tuple[int, int, int]]

    @property
    def is_worker(self) -> bool:
        """Whether it will collect the tests and run some."""
        return self.module == CODE and self.arguments[:1] == [WORKER]

    @property
    def has_prefect(self) -> bool:
        """Whether it would import Prefect."""
        if self.module == "loadflow":
            return not (LIGHT_COMMANDS.intersection(self.arguments[:1]) or LIGHT_OPTIONS.intersection(self.arguments))
        return self.module not in LIGHT


def asked_for(args: Any, executable: Any, preexec_fn: Callable[[], Any] | None, cwd: Any, env: Mapping[Any, Any] | None) -> Asked | None:
    """None where only a new interpreter will do. Descriptors, session and group are the caller's to fill in."""
    if isinstance(args, str | bytes | os.PathLike) or executable is not None:
        return None
    command = [os.fsdecode(one) for one in args]
    found = _module(command)
    environ = {os.fsdecode(name): os.fsdecode(value) for name, value in (os.environ if env is None else env).items()}
    folder = os.fsdecode(cwd) if cwd is not None else str(Path.cwd())
    if found is None or not _same_start(environ) or not _same_package(folder, environ):
        return None
    if preexec_fn is not None and getattr(preexec_fn, "__name__", "") != "die_with_supervisor":
        return None
    options, module, arguments = found
    return Asked(
        command=command,
        module=module,
        arguments=arguments,
        is_safe_path="-P" in options,
        is_unbuffered="-u" in options or bool(environ.get("PYTHONUNBUFFERED")),
        cwd=folder,
        env=environ,
        fds=[0, 1, 2],
        new_session=False,
        group=-1,
        dies_with_parent=preexec_fn is not None,
        ignored=[int(one) for one in signal.valid_signals() if _is_ignored(one)],
        blocked=[int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        umask=_umask(),
        limits=[(one, *resource.getrlimit(one)) for one in LIMITS],
    )


def _module(command: Sequence[str]) -> tuple[list[str], str, list[str]] | None:
    """The interpreter's options, the module (or CODE, or the path of a file), and its arguments."""
    if not command or command[0] != sys.executable:
        return None
    place = 1
    while place < len(command) and command[place] in ("-P", "-u"):
        place += 1
    code = command[place + 1] if command[place : place + 1] == ["-c"] else ""
    if code == WORKER or code.lstrip().startswith((OF_PREFECT, MAY_BEGIN_WARM)):
        return list(command[1:place]), CODE, list(command[place + 1 :])
    if place < len(command) and command[place].endswith(FILES):
        return list(command[1:place]), command[place], list(command[place + 1 :])
    if command[place : place + 1] != ["-m"] or len(command) < place + 2 or command[place + 1] not in MODULES:
        return None
    module, arguments = command[place + 1], list(command[place + 2 :])
    if module == "uvicorn" and PREFECT_SERVER not in arguments:
        return None
    return list(command[1:place]), module, arguments


def _same_start(env: Mapping[str, str]) -> bool:
    """Whether its interpreter would start as this one did."""

    def starting(of: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value for name, value in of.items() if name.startswith(OWN) or (name.startswith("PYTHON") and name not in KNOWN_PYTHON)
        }

    return starting(env) == starting(os.environ)


def _same_package(folder: str, env: Mapping[str, str]) -> bool:
    """Whether it would find the packages that are imported here, from a folder that is there."""
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    return Path(folder).is_dir() and not any((Path(path) / name).exists() for path in {folder, *paths} - PATHS for name in PACKAGES)


def _is_ignored(number: int) -> bool:
    if number in (signal.SIGPIPE, signal.SIGXFSZ):  # every Python ignores them
        return False
    with contextlib.suppress(ValueError):  # one that Python does not know
        return signal.getsignal(number) is signal.SIG_IGN
    return False


def _umask() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    raise AssertionError("Linux says the umask of every process")
