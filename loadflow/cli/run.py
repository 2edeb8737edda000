"""`loadflow run`: one script file, as a Prefect flow or without Prefect."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.options import RunOptions, run_options

__all__ = ["run"]


@click.command(short_help="Run a script or a Python scenario as a Prefect flow.", epilog=EXIT_CODE_HELP)
@click.argument("file", type=click.Path())
@run_options
@click.option("--scenario", metavar="NAME", help="Of a Python file: which scenario, if it has several.")
@click.option("--target", "-t", metavar="URL", help="Of a Python file: where requests go. [default: $LOADFLOW_TARGET, or ./.env]")
@click.option("--dry-run", is_flag=True, help="Check, print the script that would run, and send nothing.")
@click.option("--results-json", type=click.Path(dir_okay=False), metavar="FILE", help="Write the numbers of the last load as JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    file: str,
    scenario: str | None,
    target: str | None,
    dry_run: bool,
    results_json: str | None,
    **options: Any,
) -> None:
    """Run the action script FILE, or a scenario of the Python file FILE, as a Prefect flow, and give it a verdict.

    A Python file is imported. If PREFECT_API_URL is not set, Prefect's embedded server is used. The first Ctrl-C ends the load and keeps
    its results; a second one ends everything at once.
    """
    from loadflow.cli.console import echo_json
    from loadflow.cli.running import check_all, run_all
    from loadflow.cli.scenario_file import is_scenario_file, reader_of, target_of, write_results
    from loadflow.engine.script.document import read_script

    if is_scenario_file(file):
        read = reader_of(file, scenario)
        address = target_of(target)
        if address is not None:
            options["variables"] = {"target": address, **options["variables"]}
    elif scenario is not None or target is not None:
        raise click.UsageError("--scenario and --target are for Python files; a script has variables: --var NAME=VALUE")
    else:
        read = partial(read_script, file, from_terminal=True)
    chosen = RunOptions(**options)
    documents: list[Any] = []

    def once() -> Any:
        documents.append(read())
        return documents[-1]

    checked = check_all({file: once}, chosen)
    if dry_run:
        echo_json(documents[-1])
        return
    code = run_all(checked, chosen)
    runs = checked[0].session.all_runs
    if results_json and runs:
        write_results(runs[-1], results_json, runs[-1].facts.target)
    ctx.exit(code)
