"""Whatever a target, a script or a file says, it can't steer the terminal, hide there, or write a line of its own."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from loadflow.cli import console, main
from loadflow.cli.boundary import print_error, print_mistakes
from loadflow.cli.closing import print_summary, print_verdict
from loadflow.cli.console import Styled, echo, echo_json
from loadflow.cli.live import panel
from loadflow.cli.plain_console import PlainConsole
from loadflow.cli.progress import Progress
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.base.visible import VisibleFormatter, visible
from loadflow.engine.records.summing import summary_of
from loadflow.errors import Mistake, RunError, ScriptError
from loadflow.tasks.masking import VisibleLogger
from tests.load.harness import get, load
from tests.targets.fixture import Target

EVIL = "a\x1b[2J\x1b]0;title\x07\x9b31m\r\nverdict: passed\u202etxt\u2066\u200f\u2028\x7f\x00[red]x[/] \ud800b"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
OURS = re.compile("\x1b\\[[0-9;]*m")  # colours


def told_by(write: Any) -> str:
    target = PlainConsole(file=io.StringIO(), width=400, force_terminal=True, color_system="standard")
    write(target)
    return target.file.getvalue()  # type: ignore[attr-defined]


def table() -> Table:
    made = Table(EVIL, title=None)
    made.add_row(EVIL)
    made.add_row(Text(EVIL, style="bold"))
    return made


WRITERS: dict[str, Any] = {
    "text": lambda console: console.print(EVIL),
    "a styled text": lambda console: console.print(Text.assemble((EVIL, "bold red"), EVIL), soft_wrap=True),
    "a table": lambda console: console.print(table()),
    "a panel": lambda console: console.print(Panel(Group(Text(EVIL), EVIL), title=Text(EVIL))),
    "the live view": lambda console: console.print(panel(Progress(EVIL, EVIL, 10.0, errors={EVIL: 1}), 1.0)),
    "a verdict": lambda console: print_verdict(console, Verdict(VerdictKind.FAILED, (EVIL, EVIL))),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_of_a_text_steers_the_console(name: str) -> None:
    told = OURS.sub("", told_by(WRITERS[name]))
    assert "[2J" in told
    assert not STEERS.search(told), repr(told)
    assert not [line for line in told.split("\n") if line.startswith("verdict:")]
    assert "[red]x[/]" in told or "…" in told  # no markup


ECHOES: dict[str, Any] = {
    "a line": lambda: echo(f"x {EVIL}", Styled(EVIL, fg="red"), err=True),
    "an error": lambda: print_error(RunError(EVIL)),
    "an error of ours": lambda: print_error(ValueError(EVIL)),
    "mistakes": lambda: print_mistakes([Mistake(EVIL, EVIL, EVIL)], EVIL),
    "a script error": lambda: print_error(ScriptError([Mistake(EVIL, EVIL)], EVIL)),
}


@pytest.mark.parametrize("name", ECHOES)
def test_nothing_of_a_text_steers_a_line(name: str) -> None:
    @click.command()
    def command() -> None:
        ECHOES[name]()

    told = OURS.sub("", CliRunner().invoke(command, color=True).stderr)
    assert "[2J" in told
    assert not STEERS.search(told), repr(told)
    assert not [line for line in told.split("\n") if line.startswith("verdict:")]


def test_json_says_the_same_and_steers_nothing() -> None:
    import json

    @click.command()
    def command() -> None:
        echo_json({"name": EVIL})

    told = CliRunner().invoke(command).stdout
    assert not STEERS.search(told)
    assert json.loads(told) == {"name": EVIL}


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_the_name_of_a_file_steers_nothing(debug: list[str], tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[2J\nverdict: passed.json"
    name.write_text('[["no_such_\x9bcommand"]]')
    result = CliRunner().invoke(main, [*debug, "check", str(name), str(tmp_path / "\x1b[2Jmissing.json")])
    assert result.exit_code == 2
    assert not STEERS.search(result.output), repr(result.output)


def test_a_log_line_is_one_line(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(VisibleFormatter())
    logger = logging.Logger("peers")
    logger.addHandler(handler)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logger.exception("from %s", EVIL)
    VisibleLogger(logger).info("from %s", EVIL)
    assert not STEERS.search(stream.getvalue())
    assert stream.getvalue().startswith("from a␛[2J")


def test_what_a_target_says_arrives_as_signs(target: Target, tmp_path: Path) -> None:
    """A run, from a name that a script fills in, to the table at its end."""
    asserted = [{"type": "contains", "value": "\x1b[31m"}]
    run = load(tmp_path, [get(f"{target.url}/status/500", name="n\x1b[2J\n\u202epay", assertions=asserted)])
    summary = summary_of([run.run])
    told = told_by(lambda console: print_summary(console, summary))
    assert "n␛[2J" in told
    assert not STEERS.search(OURS.sub("", told))


def test_there_is_no_other_way_to_the_terminal() -> None:
    """All that the command line writes passes `cli/console.py`, but for a signal handler (`stopping.py`), which has words of its own."""
    ways = re.compile(r"click\.(echo|style|secho|prompt)\b|(?<![\w.])print\(|(?<!Plain)\bConsole\(|sys\.std(out|err)\.write|print_exc")
    folder = Path(console.__file__).parent
    found = [f"{path.name}: {line}" for path in folder.glob("*.py") for line in path.read_text().splitlines() if ways.search(line)]
    assert [line for line in found if not line.startswith(("console.py", "plain_console.py", "stopping.py"))] == []


def test_every_sign_is_as_long_as_what_it_stands_for() -> None:
    every = "".join(map(chr, range(0x10000)))
    assert len(visible(every)) == len(every)
    assert not STEERS.search(visible(every))
    assert visible("\n\tä→漢👩\u200d👩") == "␊␉ä→漢👩\u200d👩"
    assert visible("a\n\tb", lines=True) == "a\n\tb"
