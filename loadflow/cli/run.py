"""`loadflow run`: one script file, as a Prefect flow or without Prefect."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from loadflow.cli.baseline import baseline_options
from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.options import RunOptions, run_options

__all__ = ["run"]


@click.command(short_help="Run a script or a Python scenario as a Prefect flow.", epilog=EXIT_CODE_HELP)
@click.argument("file", type=click.Path())
@run_options
@click.option("--scenario", "-s", metavar="NAME", help="Of a Python file: which scenario, if it has several.")
@click.option("--all", "every", is_flag=True, help="Of a Python file: all of its scenarios, side by side.")
@click.option("--target", "-t", metavar="URL", help="Of a Python file: where requests go. [default: $LOADFLOW_TARGET, or ./.env]")
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="KEY=VALUE", help="Of a Python file: a limit over its own, as p99_ms=250."
)
@click.option("--dry-run", is_flag=True, help="Check, print the script that would run, and send nothing.")
@click.option("--results-json", type=click.Path(dir_okay=False), metavar="FILE", help="Write the numbers of the last load as JSON.")
@baseline_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    file: str,
    scenario: str | None,
    every: bool,
    target: str | None,
    thresholds: tuple[str, ...],
    dry_run: bool,
    results_json: str | None,
    save_baseline: bool,
    baseline_file: str | None,
    **options: Any,
) -> None:
    """Run the action script FILE, or a scenario of the Python file FILE, as a Prefect flow, and give it a verdict.

    A Python file is imported. If PREFECT_API_URL is not set, Prefect's embedded server is used. The first Ctrl-C ends the load and keeps
    its results; a second one ends everything at once.
    """
    from loadflow.cli.baseline import compare_with
    from loadflow.cli.baseline import save_baseline as keep
    from loadflow.cli.console import console_for, echo_json
    from loadflow.cli.running import check_all, run_all
    from loadflow.cli.scenario_file import is_scenario_file, limits_of, reader_of, target_of
    from loadflow.engine.history.plain_results import read_results, results_of, write_results
    from loadflow.engine.script.document import read_script

    if save_baseline and baseline_file is not None:
        raise click.UsageError("--save-baseline and --baseline are for two runs: save the first one, and compare the second with it")
    known = None if baseline_file is None else read_results(baseline_file)

    if is_scenario_file(file):
        if every and scenario is not None:
            raise click.UsageError("--all and --scenario say different things")
        read = reader_of(file, scenario, every=every, limits=limits_of(thresholds))
        address = target_of(target)
        if address is not None:
            options["variables"] = {"target": address, **options["variables"]}
    elif scenario is not None or target is not None or every or thresholds:
        text = "--scenario, --all, --target and --threshold are for Python files; a script has thresholds, and variables: --var NAME=VALUE"
        raise click.UsageError(text)
    else:
        read = partial(read_script, file, from_terminal=True)
    chosen = RunOptions(**options)
    documents: list[object] = []

    def once() -> object:
        documents.append(read())
        return documents[-1]

    checked = check_all({file: once}, chosen)
    if dry_run:
        echo_json(documents[-1])
        return
    code = run_all(checked, chosen)
    runs = checked[0].session.all_runs
    if runs and (results_json or save_baseline or known is not None):
        results = results_of(runs[-1], runs[-1].facts.target)
        console = console_for(stderr=chosen.as_json)
        if results_json:
            write_results(results, results_json)
        if save_baseline:
            keep(console, results)
        if known is not None:
            code = compare_with(console, known, results, code)
    ctx.exit(code)
