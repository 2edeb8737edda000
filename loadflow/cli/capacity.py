"""`loadflow capacity`: how much a target can bear."""

from __future__ import annotations

from typing import Any

import click

from loadflow.cli.console import echo, echo_json

__all__ = ["capacity"]


@click.command(short_help="Find the highest rate at which all limits hold.")
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.option("--limit", "limits", multiple=True, default=("p99 < 500 ms", "failure_rate < 1%"), show_default=True, help="Repeatable.")
@click.option("--start", default=50.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="First rate, per second.")
@click.option(
    "--at-most", default=2_000.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Highest rate, per second."
)
@click.option("--precision", default="5%", show_default=True, help="How far to each side the capacity may be from the true one.")
@click.option("--budget", default=1_800.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Seconds of load at most.")
@click.option("--probe", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Seconds of a whole probe.")
@click.option("--var", "-V", "variables", multiple=True, metavar="NAME=VALUE", help="A value of ${var.NAME}; repeatable.")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder for the probes. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def capacity(
    ctx: click.Context,
    script: str,
    limits: tuple[str, ...],
    start: float,
    at_most: float,
    precision: str,
    budget: float,
    probe: float,
    variables: tuple[str, ...],
    runs_dir: str | None,
    as_json: bool,
) -> None:
    """Find how many passes per second the first LD_start_test of SCRIPT can be made at, while all limits hold.

    Each probe is a run. A search that was cut off goes on with the probes that it has, when it is started again the same way.
    Exit codes: 0 found; 3 at least, or unclear.
    """
    from loadflow.engine.history.capacity_words import capacity_sentences
    from loadflow.engine.load.capacity import find_capacity
    from loadflow.engine.script.document import read_script
    from loadflow.engine.session.execute import load_script
    from loadflow.engine.session.session import Session, use_session
    from loadflow.errors import CommandError, Mistake

    given = dict(one.partition("=")[::2] for one in variables)
    session = Session(name="capacity", runs_dir=runs_dir, variables=given)
    with use_session(session):
        checked = load_script(read_script(script), session=session, source=script)
        test: Any = next((one.arguments for one in checked.actions if one.name == "LD_start_test"), None)
        if not isinstance(test, dict):
            raise CommandError([Mistake("SCRIPT", "has no LD_start_test with named arguments", "write the load into it")])
        result = find_capacity(test, list(limits), start, at_most, precision, budget, probe)
    if as_json:
        echo_json(result)
    else:
        for line in capacity_sentences(result):
            echo(line)
    ctx.exit(0 if result["verdict"] == "found" else 3)
