"""A process that begins as a fork of a warm one is what it would have been: each row starts both, and they say the same of themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_S, wait_for
from tests.warm import plugin
from tests.warm.asked import asked_for
from tests.warm.client import Starter

FACTS = [sys.executable, "-m", "tests.warm.facts"]
ENV = {**os.environ, "PYTHONPATH": str(plugin.ROOT)}


@pytest.fixture
def starter() -> Starter:
    if not plugin.WARM or not plugin.WARM[0].is_warm:
        pytest.skip("no process begins warm here")
    return plugin.WARM[0].starter


def says(command: list[str], **given: Any) -> tuple[int, str, str]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **{"env": ENV, **given}
    )
    stdout, stderr = process.communicate("words", timeout=HANG_S)
    return process.returncode, stdout, stderr


def both(starter: Starter, command: list[str], **given: Any) -> tuple[tuple[int, Any, str], tuple[int, Any, str]]:
    """What a warm and a new process say. Of the one below, its parent's pid is left out."""
    found = []
    for is_on in (True, False):
        starter.is_on = is_on
        code, stdout, stderr = says(command, **given)
        facts = json.loads(stdout.splitlines()[0])
        if facts["below"]:
            facts["below"] = {**json.loads(facts["below"].splitlines()[0]), "parent": None}
        found.append((code, [facts, *stdout.splitlines()[1:]], stderr.splitlines()[-1] if stderr else ""))
    starter.is_on = True
    (warm, new) = found
    assert {name: value for name, value in warm[1][0].items() if new[1][0][name] != value} == {}
    return warm, new


ROWS = [
    pytest.param([], {}, 0, id="as it is"),
    pytest.param(["above"], {}, 0, id="what it starts"),
    pytest.param(["3"], {"start_new_session": True}, 3, id="an exit code, in a session of its own"),
    pytest.param(["a text"], {"process_group": 0}, 1, id="a text at the end, in a group of its own"),
    pytest.param(["error"], {}, 1, id="an error"),
    pytest.param(["Ctrl-C"], {}, -signal.SIGINT, id="Ctrl-C"),
    pytest.param(["ä ß"], {"env": {**ENV, "GIVEN": "ä\nß", "TMPDIR": "/var/tmp"}, "cwd": "/"}, 0, id="another folder and environment"),
    pytest.param([], {"env": {**ENV, "PYTHONUNBUFFERED": "1"}, "restore_signals": False}, 0, id="without buffers"),
]


@pytest.mark.parametrize(("arguments", "given", "code"), ROWS)
def test_a_warm_process_is_what_a_new_one_is(arguments: list[str], given: dict[str, Any], code: int, starter: Starter) -> None:
    warm, new = both(starter, [*FACTS, *arguments], **given)
    assert warm == new
    assert warm[0] == code
    assert warm[1][0]["parent"] == os.getpid()
    assert warm[1][0]["environment"] is True


@pytest.mark.parametrize("words", [["3"], ["above"], ["Ctrl-C"]])
def test_what_turns_into_another_process_is_what_it_turns_into(words: list[str], starter: Starter) -> None:
    warm, new = both(starter, [sys.executable, "-m", "tests.warm.turning", *words])
    assert warm == new
    facts = warm[1][0]
    assert (facts["parent"], facts["folder"], facts["variables"]["GIVEN"]) == (os.getpid(), "/", "by who turned")


def test_what_ends_before_it_turns_into_another_ends_as_it_does(starter: Starter) -> None:
    command = [sys.executable, "-m", "tests.warm.turning"]
    assert subprocess.run(command, env=ENV, timeout=HANG_S, check=False).returncode == 7


def test_signals_descriptors_and_umask_are_those_of_who_asks(starter: Starter, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    umask = os.umask(0o027)
    try:
        with tempfile.TemporaryFile() as file:
            warm, new = both(starter, FACTS, pass_fds=[file.fileno()])
            assert file.fileno() in warm[1][0]["descriptors"]
    finally:
        os.umask(umask)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGHUP, before)
    assert warm == new
    assert warm[1][0]["umask"] == "0027"


def test_what_it_leaves_behind_ends_with_it_and_it_is_its_parents_to_wait_for(starter: Starter) -> None:
    process = subprocess.Popen([*FACTS, "wait"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=ENV)
    below = wait_for("its own warm process", lambda: Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split(), HANG_S)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_for("the end of its warm process", lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below), HANG_S)


@pytest.mark.parametrize(
    ("command", "given"),
    [
        pytest.param([sys.executable, "-c", "print(1)"], {}, id="code"),
        pytest.param([sys.executable, "-m", "pip", "--version"], {}, id="another module"),
        pytest.param(["/bin/sh", "-c", "true"], {}, id="another program"),
        pytest.param([sys.executable, "-X", "dev", "-m", "loadflow"], {}, id="another option"),
        pytest.param([sys.executable, "-m", "loadflow"], {"env": {**ENV, "PYTHONHASHSEED": "1"}}, id="another start"),
        pytest.param([sys.executable, "-m", "loadflow"], {"env": {**ENV, "LD_PRELOAD": "/lib/x.so"}}, id="another library"),
        pytest.param([sys.executable, "-m", "loadflow"], {"preexec_fn": print}, id="something before it begins"),
        pytest.param([sys.executable, "-m", "loadflow"], {"cwd": "/nowhere/at/all"}, id="no folder"),
    ],
)
def test_for_anything_else_there_is_a_new_interpreter(command: list[str], given: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"executable": None, "preexec_fn": None, "cwd": None, "env": ENV, **given}
    assert asked_for(command, **whole) is None
    assert asked_for([sys.executable, "-m", "loadflow"], None, None, None, ENV) is not None


def test_another_loadflow_is_not_the_one_that_is_warm(tmp_path: Path) -> None:
    (tmp_path / "loadflow").mkdir()
    command = [sys.executable, "-m", "loadflow"]
    assert asked_for(command, None, None, tmp_path, ENV) is None
    assert asked_for(command, None, None, None, {**ENV, "PYTHONPATH": str(tmp_path)}) is None
