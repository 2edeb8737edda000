"""How a fork becomes the process that was asked for."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import json
import os
import resource
import runpy
import signal
import struct
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any, NoReturn

from tests.fork_client import VARIABLE, use_forks
from tests.warm.asked import CODE, PR_SET_PDEATHSIG, TURNING, Asked, asked_for

__all__ = ["become", "die_with_parent", "keep_only", "run", "show"]

PR_SET_MM, PR_SET_MM_MAP = 35, 14
# of proc(5), stat: what prctl(2) wants to know again
START_CODE, END_CODE, START_STACK, START_DATA, END_DATA, START_BRK = 26, 27, 28, 45, 46, 47
SYSTEM_PATH = [one for one in sys.path if one not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.sbrk.restype = ctypes.c_void_p
PR_GET_TID_ADDRESS = 40
CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x8000, 0x200000, 0x1000000
# clone(2): its number, and the order of its arguments
CLONE = {"x86_64": (56, "flags", "stack", "", "tid", ""), "aarch64": (220, "flags", "stack", "", "", "tid")}
SYSCALL = ctypes.PyDLL(None, use_errno=True).syscall  # which keeps the interpreter's lock
SYSCALL.argtypes, SYSCALL.restype = [ctypes.c_long] * 6, ctypes.c_long
MOST_FDS = 4_096
ENCODING, ERRORS = sys.__stdin__.encoding, sys.__stdin__.errors  # of this locale
_shown: list[Any] = []  # the memory that /proc shows


def show(command: list[str], env: dict[str, str]) -> bool:
    """What /proc/PID/cmdline and environ say of this process; False where the kernel was built without it (CONFIG_CHECKPOINT_RESTORE)."""
    line = b"".join(os.fsencode(one) + b"\0" for one in command)
    block = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
    memory = ctypes.create_string_buffer(line + block, len(line) + len(block) + 1)
    at = ctypes.addressof(memory)
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    same = [int(fields[number - 3]) for number in (START_CODE, END_CODE, START_DATA, END_DATA, START_BRK)]
    borders = (at, at + len(line), at + len(line), at + len(line) + len(block))
    asked = struct.pack("=12QII", *same, LIBC.sbrk(0), int(fields[START_STACK - 3]), *borders, 0, 0, 2**32 - 1)
    if LIBC.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.c_char_p(asked), ctypes.c_ulong(len(asked)), 0) != 0:
        return False
    _shown[:] = [memory]
    return True


def fork_beside() -> int:
    """A fork whose parent is that of this process, which has one thread: 0 in the new process, its pid in this one, as of `os.fork`.

    As glibc's fork(2) does, but for CLONE_PARENT: the kernel writes the new thread's id to where the C library looks for it, which
    prctl(2) tells.
    """
    place = ctypes.c_long(0)
    if LIBC.prctl(PR_GET_TID_ADDRESS, ctypes.byref(place), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_GET_TID_ADDRESS")
    flags = CLONE_PARENT | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | signal.SIGCHLD
    number, *order = CLONE[os.uname().machine]
    given = {"flags": flags, "tid": place.value}
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = SYSCALL(number, *(given.get(name, 0) for name in order))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return pid


def die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def keep_only(given: list[int], wanted: list[int]) -> None:
    """The descriptors `given` get the numbers `wanted`; every other one is closed."""
    above = [os.dup(fd) for fd in given]
    while min(above) <= max(wanted):
        above = [os.dup(fd) for fd in above]
    for fd, number in zip(above, wanted, strict=True):
        os.dup2(fd, number)
    kept = sorted(wanted)
    for low, high in zip(kept, [*kept[1:], MOST_FDS], strict=True):
        os.closerange(low + 1, high)


def become(asked: Asked) -> None:
    """All but the descriptors, which `keep_only` has set."""
    if asked.new_session:
        os.setsid()
    elif asked.group >= 0:
        os.setpgid(0, asked.group)
    _take_signals(asked)
    for one, soft, hard in asked.limits:
        if resource.getrlimit(one) != (soft, hard):
            resource.setrlimit(one, (soft, hard))
    os.umask(asked.umask)
    os.chdir(asked.cwd)
    os.environ.clear()
    os.environ.update(asked.env)
    time.tzset()
    tempfile.tempdir = None  # of the new environment, not of the one in which somebody asked before
    sys.dont_write_bytecode = bool(asked.env.get("PYTHONDONTWRITEBYTECODE"))
    show(asked.command, asked.env)
    sys.orig_argv = list(asked.command)
    sys.argv = ["-c", *asked.arguments[1:]] if asked.module == CODE else ["-m", *asked.arguments]
    place = asked.cwd
    if asked.module.endswith(".py"):
        sys.argv[0], place = asked.module, str(Path(asked.module).parent)
    paths = [path for path in asked.env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*([] if asked.is_safe_path else ["" if asked.module == CODE else place]), *paths, *SYSTEM_PATH]
    _take_streams(asked.is_unbuffered)
    if VARIABLE in asked.env:
        use_forks(asked.env[VARIABLE])
    if asked.dies_with_parent:
        die_with_parent()


def _take_signals(asked: Asked) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            if number in asked.ignored:
                signal.signal(number, signal.SIG_IGN)
            elif number == signal.SIGINT:
                signal.signal(number, signal.default_int_handler)
            elif number not in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, asked.blocked)


def _take_streams(is_unbuffered: bool) -> None:
    """Python files over the new descriptors, as a new interpreter has them that starts in the same locale."""

    def stream(number: int, errors: str) -> io.TextIOWrapper:
        binary: Any
        if number == 0:
            binary = io.BufferedReader(io.FileIO(number, closefd=False))
        else:
            raw = io.FileIO(number, "w", closefd=False)
            binary = raw if is_unbuffered else io.BufferedWriter(raw)
        lines = not is_unbuffered and (number == 2 or os.isatty(number))
        text = io.TextIOWrapper(binary, encoding=ENCODING, errors=errors, line_buffering=lines, write_through=is_unbuffered)
        text.mode = "r" if number == 0 else "w"  # type: ignore[misc]
        return text

    sys.stdin = sys.__stdin__ = stream(0, ERRORS)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = stream(1, ERRORS)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = stream(2, "backslashreplace")  # type: ignore[misc]


def run(asked: Asked) -> NoReturn:
    """The module, as `python -m` runs it, and the end of the process as Python ends: threads, exit hooks, streams. What is left in memory
    is not taken apart: that would touch all that was imported.
    """
    if asked.module in TURNING:
        asked = _after_exec(asked)
    _run(asked)


def _after_exec(asked: Asked) -> Asked:
    """What the module turns into by `os.execvpe`; until then it runs in a process below this one, which stays as it is.

    Ends as the module does where it does not get so far, or is replaced by a new interpreter where that is wanted.
    """
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        die_with_parent()

        def execvpe(file: str, args: list[str], env: dict[str, str]) -> NoReturn:
            with os.fdopen(tell, "w") as stream:
                json.dump([args, str(Path.cwd()), dict(env)], stream)
            os._exit(0)

        os.execvpe = execvpe
        _run(asked)
    os.close(tell)
    with os.fdopen(told) as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    if not text:
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)
    args, cwd, env = json.loads(text)
    os.chdir(cwd)
    after = asked_for(args, None, None, cwd, env)
    if after is None:
        os.execvpe(args[0], args, env)
    become(after)
    return after


def _run(asked: Asked) -> NoReturn:
    sys.modules["__main__"] = types.ModuleType("__main__")
    gc.enable()
    code = 0
    try:
        if asked.has_prefect:
            _read_settings()
        if asked.module == CODE:
            exec(compile(asked.arguments[0], "<string>", "exec"), sys.modules["__main__"].__dict__)
        elif asked.module.endswith(".py"):
            main = sys.modules["__main__"].__dict__
            main["__file__"] = asked.module
            exec(compile(Path(asked.module).read_bytes(), asked.module, "exec"), main)
        else:
            runpy._run_module_as_main(asked.module)  # type: ignore[attr-defined]
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
    except BaseException as error:  # noqa: BLE001  the outermost edge of this process
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    with contextlib.suppress(KeyboardInterrupt):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _read_settings() -> None:
    """Prefect reads its settings as it is imported, and sets up its log by them."""
    from prefect import context
    from prefect.logging import configuration

    context.refresh_global_settings_context()
    configuration.setup_logging()
