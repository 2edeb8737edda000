"""`loadflow commands`: the same table in three forms."""

from __future__ import annotations

import json

from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.session.table import TABLE


def test_json_has_every_command_with_parameters_and_policy() -> None:
    entries = {entry["name"]: entry for entry in json.loads(CliRunner().invoke(main, ["commands", "--json"]).stdout)}
    assert set(entries) == {*TABLE, *BUILTINS}
    start = entries["LD_start_test"]
    assert start["loads"] is True
    assert start["policy"]["retries"] == 0
    assert {"name": "user_count", "required": False, "default": 50} in start["parameters"]
    assert {"name": "user_detail_dict", "required": True} in start["parameters"]


def test_the_list_for_people_names_every_command_and_builtin() -> None:
    text = CliRunner().invoke(main, ["commands"]).stdout
    for name in (*TABLE, *BUILTINS):
        assert name in text
    assert "user_count=50" in text


def test_markdown_is_a_table_with_a_row_per_command() -> None:
    text = CliRunner().invoke(main, ["commands", "--markdown"]).stdout
    for command in TABLE.values():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{command.name}` |")]
        assert row.replace("\\|", "").count("|") == 6
        assert row.endswith(f" {command.summary} |")
