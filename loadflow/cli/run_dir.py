"""`loadflow run-dir`: all scripts below a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.options import RunOptions, run_options

__all__ = ["run_dir", "scripts_below"]


@click.command("run-dir", short_help="Run all scripts of a folder.", epilog=EXIT_CODE_HELP)
@click.argument("folder", metavar="DIR", type=click.Path())
@run_options
@click.pass_context
def run_dir(ctx: click.Context, /, folder: str, **options: Any) -> None:
    """Run every *.json file below DIR as a separate script, sorted by path.

    All scripts are checked before the first one runs. If a script does not pass, the next one still runs; the exit code is that
    of the worst verdict.
    """
    from loadflow.cli.running import check_all, run_all
    from loadflow.engine.script.document import read_script

    chosen = RunOptions(**options)
    files = scripts_below(Path(folder))
    ctx.exit(run_all(check_all({str(file): partial(read_script, file) for file in files}, chosen), chosen))


def scripts_below(folder: Path) -> list[Path]:
    """Raises a usage error if the folder is missing or has no script: a CI job that tests nothing must not pass."""
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not a folder; give one with action scripts (*.json)")
    files = sorted(path for path in folder.rglob("*.json") if path.is_file())
    if not files:
        raise click.UsageError(f"there is no *.json below {folder}, so nothing would be tested")
    return files
