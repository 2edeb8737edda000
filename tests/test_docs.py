"""README and docs say what is true: their scripts pass the check, their Python runs, their tables are complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import loadflow
from loadflow.cli import COMMANDS, main
from loadflow.engine.base.verdict import EXIT_CODES
from loadflow.engine.load_test.model import CsvSource, StartTest
from loadflow.engine.load_test.rate import MODES, RateStage
from loadflow.engine.load_test.shape import SHAPES
from loadflow.engine.load_test.user_types import known_user_types
from loadflow.engine.protocols.http.step import HttpStep
from loadflow.engine.protocols.model.assertion import ASSERTIONS
from loadflow.engine.protocols.model.condition import OPERATORS
from loadflow.engine.protocols.model.step import Retry, StepBase
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.script.document import PolicyElement
from loadflow.engine.script.part import Part
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from tests.builders import build_run, deal
from tests.prefect_servers import shared_server
from tests.waiting import HANG_S
from tests.warm.asked import MAY_BEGIN_WARM

ROOT = Path(__file__).resolve().parents[1]
OTHER_USERS = [one for one in known_user_types() if one.form.step is not HttpStep]
OF_THEIR_OWN = "statistics.md-"  # its lines go on from one block to the next: tests/records/test_statistics_page.py runs them
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```([a-z]+)((?: [a-z]+)*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(language: str) -> list[Any]:
    """Each fenced block of the language: the words behind it, and its text."""
    return [
        pytest.param(words.split(), text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (found, words, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if found == language
    ]


@pytest.mark.parametrize(("words", "text"), blocks("json"))
def test_json_is_json_and_scripts_pass_the_check(words: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(text)
    for name in ("INFLUX_TOKEN", "OTLP_TOKEN", "LOADFLOW_SECRET_GREETER_TOKEN"):
        monkeypatch.setenv(name, "given-from-outside")
    if "script" in words:
        assert load_script(document, session=Session()).actions


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.name)
def test_examples_pass_the_check(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = example.read_text(encoding="utf-8")
    values = {"base": "http://127.0.0.1:1", "users": "5", "seconds": "5", "client": "ann"}
    for name in re.findall(r"\${secret\.(\w+)}", text):
        monkeypatch.setenv(f"LOADFLOW_SECRET_{name.upper()}", "sqlite:///given-from-outside.db")
    given = [part for name, value in values.items() if re.search(rf"\${{(var\.)?{name}}}", text) for part in ("--var", f"{name}={value}")]
    result = CliRunner().invoke(main, ["check", str(example), *given])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.prefect
@pytest.mark.parametrize(("words", "text"), [one for one in blocks("python") if not str(one.id).startswith(OF_THEIR_OWN)])
def test_python_runs(words: list[str], text: str, tmp_path: Path) -> None:
    """In a process of its own. `run` blocks find the folder of a run in `run_dir`, and say the same of 1 shard and of 3."""
    if "run" not in words:
        output_of(text, tmp_path)
        return
    said = []
    for shards in (1, 3):
        deal(build_run(tmp_path / f"of-{shards}" / "a-run"), shards)
        given = f"run_dir = {str(tmp_path / f'of-{shards}' / 'a-run')!r}\n"
        said.append(sorted(output_of(given + text, tmp_path).replace(f"of-{shards}", "of-n").splitlines()))
    assert said[0] == said[1] != []


def output_of(text: str, folder: Path) -> str:
    server = shared_server()
    server.close()
    env = {**server.env({}), "PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-c", MAY_BEGIN_WARM + text]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that are there, and in pages of ours headings that are there."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link, anchor in LINK.findall(text):
        if link.startswith(("https://", "http://")):
            continue
        to = page.parent / link if link else page
        assert to.exists(), link
        if anchor:
            assert anchor in anchors(to), f"{link}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings: lower case, spaces as dashes, without other signs, numbered when there are several."""
    made: dict[str, int] = {}
    found = set()
    for heading in HEADING.findall(re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
        found.add(f"{anchor}-{made[anchor]}" if anchor in made else anchor)
        made[anchor] = made.get(anchor, 0) + 1
    return found


def test_the_page_of_commands_is_up_to_date() -> None:
    made = CliRunner().invoke(main, ["commands", "--markdown"]).stdout
    assert (ROOT / "docs/commands.md").read_text(encoding="utf-8") == made, "run `make docs`"


def test_type_checkers_know_the_functions_of_all_commands() -> None:
    made = CliRunner().invoke(main, ["commands", "--stub"]).stdout
    assert Path(loadflow.__file__).with_name("command_functions.pyi").read_text(encoding="utf-8") == made, "run `make docs`"


def test_the_readme_names_every_command_and_exit_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"| `loadflow {name}" in text
    for page in (ROOT / "README.md", ROOT / "docs/verdicts.md"):
        for kind, code in EXIT_CODES.items():
            assert f"\n| {kind} | {code} |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", [PolicyElement, StartTest, HttpStep, Retry, CsvSource, *SHAPES.values()], ids=lambda part: part.__name__)
def test_the_page_of_the_script_names_every_key(part: type[Part]) -> None:
    text = (ROOT / "docs/script.md").read_text(encoding="utf-8")
    assert [key for key in part.keys() if f"`{key}`" not in text and f'"{key}"' not in text] == []  # noqa: SIM118  no mapping


@pytest.mark.parametrize("mode", MODES)
def test_the_page_of_the_pace_names_every_mode_and_its_keys(mode: str) -> None:
    text = (ROOT / "docs/pace.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{mode}` |"))
    assert [key for key in MODES[mode].keys() if key not in ("mode", "spacing") and f"`{key}`" not in row] == []  # noqa: SIM118
    assert [key for key in RateStage.keys() if f'"{key}"' not in text] == []  # noqa: SIM118  no mapping


@pytest.mark.parametrize("user_type", OTHER_USERS, ids=lambda one: one.name)
def test_the_page_of_protocols_names_every_key_of_a_step(user_type: UserType) -> None:
    text = (ROOT / "docs/protocols.md").read_text(encoding="utf-8")
    section = next(part for part in text.split("\n## ") if part.split("\n", 1)[0].endswith(f"`{user_type.name}`"))
    own = set(user_type.form.step.keys()) - set(StepBase.keys())
    assert [key for key in sorted(own) if f"`{key}`" not in section] == []


def test_the_page_of_the_script_names_every_assertion_and_operator() -> None:
    text = (ROOT / "docs/script.md").read_text(encoding="utf-8")
    for word in (*ASSERTIONS, *OPERATORS):
        assert f'"{word}"' in text or f"`{word}`" in text


def test_the_page_of_the_run_folder_names_every_field_of_a_hit() -> None:
    from loadflow.engine.records.hitlog import HIT_DTYPE

    text = (ROOT / "docs/run-folder.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(name, HIT_DTYPE[name].str[1:]) for name in HIT_DTYPE.names or ()]
