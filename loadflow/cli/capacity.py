"""`loadflow capacity`: how much a target can bear."""

from __future__ import annotations

import click

from loadflow.cli.console import echo, echo_json
from loadflow.cli.many_loads import many_loads_options, session_of

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
@click.option("--peak", type=click.FloatRange(min=0, min_open=True), help="Rate that is expected at the busiest time, per second.")
@click.option("--peak-growth", default="0%", show_default=True, help="By how much the peak grows in 30 days.")
@many_loads_options
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
    peak: float | None,
    peak_growth: str,
    variables: dict[str, object],
    runs_dir: str | None,
    as_json: bool,
) -> None:
    """Find how many passes per second the LD_start_test that SCRIPT begins with can be made at, while all limits hold.

    Each probe is a run. A search that was cut off goes on with the probes that it has, when it is started again the same way.
    Exit codes: 0 found; 3 at least, or unclear.
    """
    from loadflow.engine.history.capacity_words import capacity_sentences
    from loadflow.engine.load.capacity import find_capacity
    from loadflow.engine.load.load_in_script import load_in
    from loadflow.engine.session.checking import Checking

    with session_of("capacity", runs_dir, variables, "probes that are finished are kept") as session:
        test = load_in(Checking(session).file(script), session)
        result = find_capacity(test, list(limits), start, at_most, precision, budget, probe, peak, peak_growth)
    if as_json:
        echo_json(result)
    else:
        for line in capacity_sentences(result):
            echo(line)
        echo(result["page"])
    ctx.exit(0 if result["verdict"] == "found" else 3)
