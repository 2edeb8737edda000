"""`loadflow migrate`: a script of LoadDensity, written so that it means here what it meant there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from loadflow.cli.console import Styled, echo, echo_lines
from loadflow.engine.base.counted import noun_for
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.visible import visible_json

__all__ = ["migrate"]


@click.command(short_help="Turn a script of LoadDensity into one for loadflow.")
@click.argument("file", metavar="FILE", required=False, type=click.Path(dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the script. [default: stdout]")
@click.option("--table", is_flag=True, help="Print docs/loaddensity.md: all differences between the two tools.")
def migrate(file: str | None, output: str | None, table: bool) -> None:
    """Turn FILE, a script of LoadDensity, into a script that means the same in loadflow. Each change is listed on stderr, with its place.

    FILE itself is never changed unless it is also the output. Migrating a script a second time changes nothing. Files that the script
    runs by LD_execute_files are not written; stderr lists those that need changes, and the changes.
    """
    from loadflow.engine.loaddensity.differences import markdown
    from loadflow.engine.loaddensity.migrate import migrate as migrated
    from loadflow.engine.script.document import read_script

    if table:
        echo_lines(markdown(), nl=False)
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    migration = migrated(read_script(file, from_terminal=True), read=read_script)
    for change in migration.changes:
        echo("  ", Styled(change.place, bold=True), f": {change.message}", err=True)
    number = len(migration.changes)
    echo(f"{file}: {number or 'no'} {noun_for(number, 'change')}", err=True)
    for other in migration.files:
        echo(f"{other}, which the script runs, needs changes too; run `loadflow migrate {other}`", err=True)
        for change in migration.elsewhere:
            if change.file == other:
                echo("  ", Styled(change.place, bold=True), f": {change.message}", err=True)
    text = json.dumps(migration.document, indent=2, ensure_ascii=False)
    if output is None:
        echo_lines(visible_json(text))
        return
    write_atomically(Path(output), f"{text}\n")
    echo(f"wrote {output}; `loadflow check {output}` names what is left", err=True)
