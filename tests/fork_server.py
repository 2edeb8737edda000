"""A process that has imported an engine once, and forks a supervisor with its engines for each load that a test makes.

`python -P -m tests.fork_server ENGINE LISTENER`: ENGINE is locust or native, LISTENER the number of an inherited listening Unix
socket. The server ends when its standard input ends, which is when the process that started it is gone.

Each connection asks for one supervisor: a line of JSON `{"cwd", "environ"}`, sent with the three descriptors that become
its standard streams. The server answers with `pid <n>`, and with `exit <code>` when it has ended. What runs in the forks is the
product's own code, from `supervisor.main` and the engine's `main` on; only Python's start and the imports are left out. So a test
about the start of processes, their environment or their limits must not use it.
"""

from __future__ import annotations

import sys
import tempfile

LOCUST = sys.argv[1:2] == ["locust"]
if LOCUST:
    from gevent import monkey

    monkey.patch_all()

import _socket  # noqa: E402  sockets as they are without gevent
import contextlib  # noqa: E402  nothing may be imported before the patch
import gc  # noqa: E402
import importlib  # noqa: E402
import inspect  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import posix  # noqa: E402
import signal  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import IO, Any  # noqa: E402

import psutil  # noqa: E402, F401

from loadflow.engine.entry import supervisor  # noqa: E402
from tests.warm.process import show  # noqa: E402

MISSING = object()
SYSTEM_PATH = [one for one in sys.path if one not in os.environ["PYTHONPATH"].split(os.pathsep)]
ENGINE = "loadflow.engine.entry.locust" if LOCUST else "loadflow.engine.entry.native"
# what an engine imports once it knows its job
LATER = (
    (
        "loadflow.engine.generator.locust.generate",
        "loadflow.engine.protocols.http.client",
        "loadflow.engine.protocols.websocket.client",
        "loadflow.engine.protocols.mqtt.client",
        "loadflow.engine.protocols.socket.client",
        "encodings.ascii",
        "gevent._threading",
        "gevent.resolver.thread",
        "gevent.threadpool",
        "gevent.util",
    )
    if LOCUST
    else (
        "loadflow.engine.generator.native.plan",
        "loadflow.engine.generator.native.calls",
        "loadflow.engine.generator.notes",
        "loadflow.engine.generator.probe",
        "loadflow.engine.process.messages",
        "loadflow.engine.generator.tracing",
        "loadflow._native",
        "loadflow.engine.generator.engine_process",
        "encodings.ascii",
        "encodings.idna",
        "importlib.resources.readers",
        "logging",
    )
)


class Patches:
    """What gevent replaced in the standard library; `swap` puts the other version in its place, and a second time back."""

    def __init__(self) -> None:
        self._other: list[tuple[Any, str, Any]] = []
        if LOCUST:
            for module, attributes in monkey.saved.items():
                if module in sys.modules:
                    self._other += [(sys.modules[module], name, value) for name, value in attributes.items()]

    def swap(self) -> None:
        replaced = []
        for module, name, value in self._other:
            replaced.append((module, name, module.__dict__.get(name, MISSING)))
            if value is MISSING:
                delattr(module, name)
            else:
                setattr(module, name, value)
        self._other = replaced


class Forked:
    """An engine process, as far as the supervisor needs a Popen."""

    def __init__(self, pid: int, stdin: IO[bytes]) -> None:
        self.pid, self.stdin = pid, stdin
        self._code: int | None = None

    def poll(self, flags: int = os.WNOHANG) -> int | None:
        if self._code is None:
            pid, status = posix.waitpid(self.pid, flags)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self) -> int | None:
        return self.poll(0)


def forking_supervisor(patches: Patches) -> type[supervisor.Supervisor]:
    class ForkingSupervisor(supervisor.Supervisor):
        def start_engine(self, engine: dict[str, Any], log: IO[bytes]) -> Any:
            assert engine["argv"][-1] == ENGINE
            main = importlib.import_module(ENGINE).main
            reader, writer = os.pipe()
            pid = posix.fork()
            if pid == 0:
                _run(lambda: _be_engine(main, engine["argv"], (reader, 1, log.fileno()), patches))
            os.close(reader)
            return Forked(pid, os.fdopen(writer, "wb"))

    return ForkingSupervisor


def _be_engine(main: Callable[[], int], command: list[str], streams: tuple[int, int, int], patches: Patches) -> int:
    os.setpgid(0, 0)
    show(command, dict(os.environ))
    supervisor.die_with_supervisor()
    _take_streams(streams)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    patches.swap()  # the engine has gevent's version, the supervisor the system's
    return main()


def _be_supervisor(asked: dict[str, Any], streams: tuple[int, ...], patches: Patches) -> int:
    os.setsid()
    _take_streams(streams)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    tempfile.tempdir = None  # of this environment
    show([sys.executable, "-P", "-m", "loadflow.engine.entry.supervisor"], asked["environ"])
    sys.path[:] = [*asked["environ"]["PYTHONPATH"].split(os.pathsep), *SYSTEM_PATH]
    patches.swap()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    supervisor.main(forking_supervisor(patches))
    return 0


def _take_streams(descriptors: tuple[int, ...]) -> None:
    """The descriptors become 0, 1 and 2, with fresh Python files over them; every other one is closed."""
    above = [os.dup(fd) for fd in descriptors]
    for number, fd in enumerate(above):
        os.dup2(fd, number)
    os.closerange(3, 4_096)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding="utf-8", line_buffering=True)


def _run(call: Callable[[], int]) -> None:
    """Never returns: what the server has on its stack must not run twice."""
    code = 1
    try:
        code = call()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  the outermost edge of this process
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class Server:
    """Forks on request and tells each asker when its supervisor has ended."""

    def __init__(self, listener: Any, patches: Patches) -> None:
        self._listener, self._patches = listener, patches
        self._askers: dict[int, Any] = {}  # by the pid of the supervisor
        self._ended, writer = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(writer, False)
        # gevent's would not install a handler for this signal
        set_handler = monkey.get_original("signal", "signal") if LOCUST else signal.signal
        set_handler(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def serve(self, select: Callable[..., Any]) -> None:
        while True:
            ready, _, _ = select([0, self._listener, self._ended], [], [])
            if self._ended in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._ended, 4_096)
                self._tell_ends()
            if self._listener.fileno() in [one if isinstance(one, int) else one.fileno() for one in ready]:
                fd, _ = self._listener._accept()
                self._answer(_socket.socket(fileno=fd))
            if 0 in ready and not os.read(0, 4_096):
                return

    def _answer(self, asker: Any) -> None:
        data, ancillary, _, _ = asker.recvmsg(2**20, _socket.CMSG_SPACE(12))
        streams = tuple(int.from_bytes(ancillary[0][2][at : at + 4], sys.byteorder) for at in (0, 4, 8))
        while not data.endswith(b"\n"):
            data += asker.recv(2**20)
        pid = posix.fork()
        if pid == 0:
            _run(lambda: _be_supervisor(json.loads(data), streams, self._patches))
        for fd in streams:
            os.close(fd)
        self._askers[pid] = asker
        asker.sendall(b"pid %d\n" % pid)

    def _tell_ends(self) -> None:
        for pid, asker in list(self._askers.items()):
            ended, status = posix.waitpid(pid, os.WNOHANG)
            if ended:
                del self._askers[pid]
                with contextlib.suppress(OSError):  # it may be gone
                    asker.sendall(b"exit %d\n" % os.waitstatus_to_exitcode(status))
                asker.close()


def main() -> None:
    importlib.import_module(ENGINE)
    for name in LATER:
        with contextlib.suppress(ModuleNotFoundError):  # the core, where it was not built
            importlib.import_module(name)
    select: Callable[..., Any]
    if LOCUST:
        import gevent

        # Locust looks at the stack as a load ends; for the first time that is a look at the files of all modules
        inspect.stack()
        # made by a library that opens a socket as it is imported; each engine makes its own
        gevent.get_hub().destroy(destroy_loop=True)
        select = monkey.get_original("select", "select")
    else:
        from select import select
    gc.collect()
    gc.freeze()
    Server(_socket.socket(fileno=int(sys.argv[2])), Patches()).serve(select)


if __name__ == "__main__":
    main()
