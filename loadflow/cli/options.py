"""The options that every command which runs scripts takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from loadflow.cli.variables import variables_option

__all__ = ["RunOptions", "run_options"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`runs_dir` None: LOADFLOW_RUNS_DIR or ./loadflow-runs; `report_dir` None: the current folder."""

    variables: dict[str, Any]
    direct: bool = False
    report_dir: str | None = None
    runs_dir: str | None = None
    label: str = ""
    as_json: bool = False
    quiet: bool = False


def run_options(function: F) -> F:
    """Adds the options; the command takes them as `**options` for RunOptions."""
    folder = click.Path(file_okay=False)
    decorators: list[Callable[[F], F]] = [
        variables_option,
        click.option("--direct", is_flag=True, help="Run without Prefect: no flow, no server, no artifacts."),
        click.option("--report-dir", type=folder, help="Where reports with a relative name are written. [default: .]"),
        click.option("--runs-dir", type=folder, help="Where run folders are made. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"),
        click.option("--label", default="", help="A word for this run, in its folder's name and the report."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr."),
        click.option("--quiet", "-q", is_flag=True, help="No live view and no table; the verdict only."),
    ]
    for decorate in reversed(decorators):
        function = decorate(function)
    return function
