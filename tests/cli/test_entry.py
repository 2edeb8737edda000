"""The command itself: help, version, wrong use, and what it costs to ask for help."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from loadflow.cli import COMMANDS, OLD_WORDS, main
from tests.waiting import HANG_S

HEAVY = ("prefect", "numpy", "pydantic", "rich", "locust", "gevent", "jinja2", "requests")


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")


@pytest.mark.parametrize("word", OLD_WORDS)
def test_words_of_loaddensity_name_what_to_write(word: str) -> None:
    result = CliRunner().invoke(main, [word, "x"])
    assert result.exit_code == 2
    assert f"{word} is a word of LoadDensity; here it is: {OLD_WORDS[word]}" in result.stderr


@pytest.mark.parametrize("name", ["run", "run-dir", "run-str"])
def test_commands_that_run_say_their_exit_codes(name: str) -> None:
    text = " ".join(CliRunner().invoke(main, [name, "--help"]).stdout.split())
    assert "Exit codes: 0 passed; 1 failed; 2 usage" in text
    assert "3 inconclusive; 4 interrupted; 5 error." in text


def test_help_imports_nothing_heavy() -> None:
    """So that it stays quick: what takes long to import is imported by the command that needs it."""
    ask = "import sys; from loadflow.cli import main; main(['--help'], standalone_mode=False)"
    code = f"{ask}; print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stderr.strip() == "[]"


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "loadflow", "--help"], capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stdout.startswith("Usage: loadflow ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "No such command 'rnu'; did you mean 'run'?"),
        (["zzz"], "No such command 'zzz'; see `loadflow --help`."),
        (["run"], "Missing argument 'FILE'."),
        (["run", "x.json", "--var", "base"], "'base' is not of the form name=value"),
        (["run", "x.json", "--fast"], "No such option"),
        (["run-dir", "no-such-folder"], "no-such-folder is not a folder"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_unexpected_error_is_two_lines_and_a_traceback_only_with_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr("loadflow.engine.load_test.schema.script_schema", broken)
    plain = CliRunner().invoke(main, ["schema"])
    assert (plain.exit_code, plain.stdout) == (5, "")
    assert plain.stderr == "unexpected error: ZeroDivisionError: one by none\n`loadflow --debug …` shows the traceback; please report it.\n"
    debug = CliRunner().invoke(main, ["--debug", "schema"])
    assert debug.exit_code == 5
    assert "Traceback (most recent call last)" in debug.stderr
