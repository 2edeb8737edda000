"""`loadflow calibrate`: how much load this machine can make, and how late its timers are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadflow.engine.calibration.value import Calibration, Jitter

__all__ = ["calibrate", "lines_of"]

LIMITS = {
    "generator": "the generator had a core to itself and used it up",
    "target": "the target was the limit, so the generator makes at least that",
    "machine": "neither had a core to itself, so it makes at least that: do it again when nothing else runs",
}


@click.command(short_help="Measure how much load this machine can make.")
@click.option(
    "--seconds", type=click.IntRange(1, 60), default=1, show_default=True, help="How long each load lasts; each engine makes two."
)
@click.option("--show", is_flag=True, help="Show what was measured last, and measure nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrate(seconds: int, show: bool, as_json: bool) -> None:
    """Load a small server of our own with each engine, and keep what came of it; runs then warn when they come near to that.

    Do it while nothing else runs: it takes about eight seconds. What it found is kept in $LOADFLOW_CALIBRATION, else in
    $XDG_CACHE_HOME/loadflow/calibration.json or ~/.cache/loadflow/calibration.json.

    Exit codes: 0 when it was measured or shown; 4 interrupted; 5 when it can't be measured, kept or shown.
    """
    from loadflow.engine.calibration.place import CALIBRATION_VARIABLE, calibration_path, read_calibration, write_calibration
    from loadflow.errors import Interrupted, RunError

    path = calibration_path(os.environ)
    if show:
        found = read_calibration(path)
        if found is None:
            raise RunError(f"there is no calibration in {path}; run `loadflow calibrate`, or set {CALIBRATION_VARIABLE}")
    else:
        from loadflow.cli.stopping import StopSignals
        from loadflow.engine.calibration.measuring import calibrate as measure

        try:
            with StopSignals(promise="ending the calibration", raises=False) as stop:
                found = measure(seconds, lambda text: click.echo(click.style(f"measuring {text} …", dim=True), err=True), [stop])
        except Interrupted:
            raise Interrupted("the calibration was interrupted; what was kept before is as it was") from None
        write_calibration(path, found)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    for line in lines_of(found, path):
        click.echo(line)


def lines_of(found: Calibration, path: Path) -> Iterator[str]:
    """For people."""
    machine = found.machine
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    quota = "no CPU quota" if machine.cpu_quota is None else f"a CPU quota of {machine.cpu_quota:g}"
    ports = "" if machine.local_ports is None else f", {machine.local_ports:,} local ports"
    yield f"{machine.host}: {cores}, {quota}, {machine.open_files:,} open files{ports}"
    yield f"timers with nothing else to do: late by {_late(found.timer)}"
    for name, one in found.engines.items():
        yield (
            f"engine {name}: {one.hits_per_s:,.0f} hits/s by one loop with {found.connections} connections, "
            f"{one.cpu_ms_per_1000_hits:.1f} ms CPU per 1,000 hits"
        )
        yield f"  {LIMITS[one.limited_by]} (generator {one.generator_cpu:.0%}, target {one.target_cpu:.0%} of a core)"
        yield f"  at {found.rate_per_s:g}/s hits started late by {_late(one.late)}; event loop at most {one.lag_ms:.2g} ms late"
    yield f"over loopback only: a network and what the steps do take more; measured {found.measured_at}, kept in {path}"


def _late(jitter: Jitter) -> str:
    return f"{jitter.p50_ms:.2g} ms at the median, {jitter.p99_ms:.2g} ms p99, {jitter.max_ms:.2g} ms at most"
