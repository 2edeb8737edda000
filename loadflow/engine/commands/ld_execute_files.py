"""LD_execute_files: run script files, one after the other."""

from __future__ import annotations

from loadflow.engine.script.command import NESTED, Command

__all__ = ["COMMAND"]

COMMAND = Command(
    "LD_execute_files",
    "loadflow.engine.session.execute:execute_files",
    "Run script files, one after the other.",
    NESTED,
    nested="files",
    group="script",
    returns="list: the results of each file",
    example={"execute_files_list": ["warmup.json", "main.json"]},
)
