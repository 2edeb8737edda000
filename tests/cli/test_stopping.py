"""A Ctrl-C whose exception does not come out as what it is."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from loadflow.cli.options import RunOptions
from loadflow.cli.running import Checked, run_all
from loadflow.cli.stopping import StopSignals
from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.own_commands import add_command_to_executor
from loadflow.engine.session.session import Session, use_session


def lost() -> None:
    """As a library in C that has called back: what was raised there ends as an error of its own."""
    try:
        signal.raise_signal(signal.SIGINT)
        time.sleep(30)
    except KeyboardInterrupt:
        raise ValueError("the callback failed") from None


def checked(folder: Path, name: str) -> Checked:
    session = Session(name="lost", runs_dir=folder)
    with use_session(session):
        add_command_to_executor({"lost": lost, "broken": (folder / "missing").stat})
        return Checked(load_script([[name, {}]], session=session, name=name), session, name)


def test_a_ctrl_c_that_came_out_as_an_error_is_an_interruption(tmp_path: Path) -> None:
    options = RunOptions({}, direct=True, quiet=True)
    assert run_all([checked(tmp_path, "lost"), checked(tmp_path, "broken")], options) == VerdictKind.INTERRUPTED.exit_code
    assert run_all([checked(tmp_path, "broken")], options) == VerdictKind.ERROR.exit_code


def test_without_raising_the_first_signal_is_only_noted() -> None:
    with StopSignals(raises=False) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.stop_requested() == "SIGTERM"
