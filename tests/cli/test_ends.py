"""How the command ends when its terminal, its reader, its disk or its server goes away: never with 1, which means failed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow.cli.prefect_run import ANSWER_S
from loadflow.engine.records.run import Run
from loadflow.flows.embedded import EMBEDDED_SERVER
from tests.cli.running import LIMIT_S, command, environment, load, loadflow, start, steps_script
from tests.targets.fixture import Target
from tests.waiting import wait_for
from tests.warm.asked import MAY_BEGIN_WARM

pytestmark = pytest.mark.processes
INTERRUPTED, ERROR = 4, 5
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def long_script(folder: Path, target: Target, **keys: Any) -> Path:
    return steps_script(folder, load(f"{target.url}/ok", test_time=60, **keys))


def wait_for_hits(target: Target) -> None:
    wait_for("hits", lambda: target.counts().get("/ok", 0) > 20)


def run_of(folder: Path) -> Run:
    (found,) = (folder / "runs").glob("*/")
    return Run.open(found)


# -- signals


@pytest.mark.parametrize("number", [*STOPS[:3], pytest.param(STOPS[3], marks=pytest.mark.long)])
def test_a_stop_signal_ends_the_load_with_a_verdict_and_a_report(number: signal.Signals, target: Target, tmp_path: Path) -> None:
    target.reset()
    process = start(tmp_path, "run", "--direct", "--json", long_script(tmp_path, target))
    wait_for_hits(target)
    process.send_signal(number)
    out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == INTERRUPTED
    document = json.loads(out)
    assert document["verdict"]["verdict"] == "interrupted"
    assert run_of(tmp_path).totals().hits > 0
    assert (run_of(tmp_path).folder / "report.html").exists()


def test_under_nohup_the_end_of_the_terminal_is_none_of_the_loads(target: Target, tmp_path: Path) -> None:
    target.reset()
    script = steps_script(tmp_path, load(f"{target.url}/ok", test_time=2))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a new process inherits
    try:
        process = subprocess.Popen(
            command("run", "--direct", script),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for_hits(target)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, out


def test_a_terminal_that_is_gone_ends_the_load_in_good_order(target: Target, tmp_path: Path) -> None:
    """What is printed afterwards goes nowhere, and every write to it fails."""
    target.reset()
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command("run", "--direct", long_script(tmp_path, target)),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    drained = threading.Thread(target=_drain, args=(ours,), daemon=True)
    drained.start()
    wait_for_hits(target)
    process.send_signal(signal.SIGHUP)  # no controlling terminal here: the kernel would send it
    os.close(ours)
    assert process.wait(LIMIT_S) == INTERRUPTED
    assert (run_of(tmp_path).folder / "report.html").exists()


def _drain(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 65_536):
            pass


@pytest.mark.parametrize(
    ("module", "number"),
    [
        pytest.param(module, number, marks=() if at == turn else pytest.mark.long)  # each place once, and each signal but the last
        for at, module in enumerate(("click", "pydantic", "loadflow.engine.load.build"))
        for turn, number in enumerate(STOPS)
    ],
)
def test_a_signal_while_modules_are_imported_interrupts(number: signal.Signals, module: str, tmp_path: Path) -> None:
    """The signal comes in the middle of an import of the command's first second."""
    hook = f"""
import os, signal, sys
class Now:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Now())
"""
    (tmp_path / "sitecustomize.py").write_text(hook)
    script = steps_script(tmp_path, load("http://127.0.0.1:9/never"))
    done = loadflow(tmp_path, "run", "--direct", script, PYTHONPATH=f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}")
    assert done.code == INTERRUPTED, done.stderr
    assert not (tmp_path / "runs").exists()


# -- streams


@contextlib.contextmanager
def closed_reader() -> Iterator[int]:
    """A pipe whose reader is gone, as after `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@pytest.mark.parametrize("arguments", [("commands",), ("run", "--direct"), ("run", "--direct", "--json"), ("check",)])
def test_a_reader_that_has_read_enough_changes_no_verdict(arguments: tuple[str, ...], target: Target, tmp_path: Path) -> None:
    script = [steps_script(tmp_path, load(f"{target.url}/ok", iterations=1))] if arguments[0] != "commands" else []
    with closed_reader() as gone:
        done = subprocess.run(
            command(*arguments, *script), cwd=tmp_path, env=environment(tmp_path), stdout=gone, stderr=gone, timeout=LIMIT_S, check=False
        )
    assert done.returncode == 0
    if arguments[0] == "run":
        assert run_of(tmp_path).summary().verdict.kind == "passed"


@pytest.mark.parametrize("arguments", [("commands",), ("run", "--direct"), ("check",)])
def test_a_full_disk_behind_standard_output_is_an_error(arguments: tuple[str, ...], target: Target, tmp_path: Path) -> None:
    script = [steps_script(tmp_path, load(f"{target.url}/ok", iterations=1))] if arguments[0] != "commands" else []
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*arguments, *script),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == ERROR
    assert "standard output can't be written (No space left on device)" in done.stderr


@pytest.mark.parametrize("fds", [pytest.param((1,), marks=pytest.mark.long), pytest.param((2,), marks=pytest.mark.long), (0, 1, 2)])
def test_streams_that_were_closed_before_change_nothing(fds: tuple[int, ...], target: Target, tmp_path: Path) -> None:
    script = steps_script(tmp_path, load(f"{target.url}/ok", iterations=1))
    closing = " ".join(f"{fd}>&-" for fd in fds)
    words = " ".join(map(repr, command("run", "--direct", script)))
    done = subprocess.run(["sh", "-c", f"{words} {closing}"], cwd=tmp_path, env=environment(tmp_path), timeout=LIMIT_S, check=False)
    assert done.returncode == 0
    assert run_of(tmp_path).summary().verdict.kind == "passed"


# -- disks and folders


@pytest.mark.parametrize("engine", ["native", pytest.param("locust", marks=pytest.mark.long)])
def test_a_full_disk_is_told_with_the_path_and_the_way_out(engine: str, target: Target, tmp_path: Path) -> None:
    """A limit on the size of files: the hit log, which grows, is the first to meet it."""
    script = steps_script(
        tmp_path, load(f"{target.url}/ok", test_time=3, wait_time=0, user_detail_dict={"user": "fast_http_user", "engine": engine})
    )
    process = subprocess.run(
        command("run", "--direct", script),
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONDONTWRITEBYTECODE="1"),  # Python itself would keep what it compiled cut off at that size
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384)),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = process.stdout + process.stderr
    assert process.returncode == ERROR, said
    assert f"{run_of(tmp_path).folder} can't be written: a file reached the largest size that is allowed (ulimit -f)" in said
    assert "--runs-dir" in said
    assert "unexpected error" not in said


@pytest.mark.parametrize("engine", ["native", pytest.param("locust", marks=pytest.mark.long)])
def test_a_run_folder_that_is_deleted_ends_the_load_and_is_told(engine: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    process = start(
        tmp_path, "run", "--direct", long_script(tmp_path, target, user_detail_dict={"user": "fast_http_user", "engine": engine})
    )
    wait_for_hits(target)
    folder = run_of(tmp_path).folder
    shutil.rmtree(folder)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == ERROR, out + err
    assert f"the run folder {folder} was deleted while its load ran" in out
    assert not folder.exists()


# -- Prefect


@contextlib.contextmanager
def silent_server(answer: Callable[[socket.socket], None] = lambda _: None) -> Iterator[str]:
    """Takes every connection and gives no answer."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"


@pytest.mark.prefect
def test_a_prefect_api_that_never_answers_costs_one_short_deadline(tmp_path: Path) -> None:
    script = steps_script(tmp_path, load("http://127.0.0.1:9/never"))
    with silent_server() as url:
        done = loadflow(tmp_path, "run", script, PREFECT_API_URL=url, PREFECT_HOME=str(tmp_path / "prefect"))
    assert done.code == ERROR
    assert f"gave no answer within {ANSWER_S:g} s" in done.stderr
    assert "use --direct" in done.stderr


OWN_PROCESS = f"""{MAY_BEGIN_WARM}
import subprocess, sys
from loadflow.flows import embedded

server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "uvicorn", embedded.EMBEDDED_SERVER])
for _ in range(3):  # as many flows
    embedded.guard_embedded_server()
print(server.pid, len(embedded._guarded), flush=True)
sys.stdin.read()
"""


def servers(home: Path) -> list[psutil.Process]:
    """The embedded ones of this home."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if EMBEDDED_SERVER in one.cmdline() and one.environ().get("PREFECT_HOME") == str(home):
                found.append(one)
    return found


@pytest.mark.prefect
def test_the_embedded_server_does_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    """Killed as soon as the server is there, before it has answered."""
    script, home = steps_script(tmp_path, load("http://127.0.0.1:9/never")), tmp_path / "prefect"
    process = start(tmp_path, "run", script, PREFECT_API_URL="", PREFECT_HOME=str(home))
    wait_for("the embedded server", lambda: bool(servers(home)))
    process.kill()
    process.communicate(timeout=LIMIT_S)
    wait_for("the end of the embedded server", lambda: not servers(home))


@pytest.mark.prefect
def test_the_embedded_server_does_not_outlive_a_python_process_that_is_killed(tmp_path: Path) -> None:
    """Prefect starts it without any mark of ours; a process that has its arguments stands for it here."""
    env = environment(tmp_path, PREFECT_API_URL="", PREFECT_HOME=str(tmp_path / "prefect"))
    process = subprocess.Popen([sys.executable, "-c", OWN_PROCESS], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        server, guarded = map(int, process.stdout.readline().split())
        assert guarded == 1
        assert psutil.pid_exists(server)
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)
    wait_for("the end of the embedded server", lambda: not psutil.pid_exists(server))
