"""`loadflow calibrate`: how much load this machine can make, and how late its timers are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import Styled, echo, echo_json
from loadflow.engine.base.counted import counted

if TYPE_CHECKING:
    from loadflow.engine.machine.calibration import Calibration, Jitter

__all__ = ["calibrate", "lines_of"]

LIMITS = {
    "generator": "the generator had a core to itself and used it up",
    "target": "the target was the limit, so the generator makes at least that",
    "machine": "neither had a core to itself, so it makes at least that: do it again when nothing else runs",
}


@click.command(short_help="Measure how much load this machine can make.")
@click.option("--seconds", type=click.IntRange(1, 60), default=1, show_default=True, help="Seconds per load; each engine makes two loads.")
@click.option("--show", is_flag=True, help="Show the last result without measuring.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrate(seconds: int, show: bool, as_json: bool) -> None:
    """Measure how much load each engine can make on this machine, against a small server on loopback. Later runs warn when they come
    close to it.

    Calibrate while nothing else runs; it takes about eight seconds. The result is kept in $LOADFLOW_CALIBRATION, else in
    $XDG_CACHE_HOME/loadflow/calibration.json or ~/.cache/loadflow/calibration.json.

    Exit codes: 0 if the result was measured or shown; 4 interrupted; 5 if it can't be measured, kept or shown.
    """
    from loadflow.engine.machine.kept import CALIBRATION_VARIABLE, calibration_path, read_calibration, write_calibration
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
                found = measure(seconds, lambda text: echo(Styled(f"measuring {text} …", dim=True), err=True), [stop])
        except Interrupted:
            raise Interrupted("the calibration was interrupted; what was kept before is as it was") from None
        write_calibration(path, found)
    if as_json:
        echo_json(found.to_json())
        return
    for line in lines_of(found, path):
        echo(line)


def lines_of(found: Calibration, path: Path) -> Iterator[str]:
    """For people."""
    machine = found.machine
    cores = counted(machine.cores, "core")
    quota = "no CPU quota" if machine.cpu_quota is None else f"a CPU quota of {machine.cpu_quota:g}"
    ports = "" if machine.local_ports is None else f", {counted(machine.local_ports, 'local port')}"
    yield f"{machine.host}: {cores}, {quota}, {counted(machine.open_files, 'open file')}{ports}"
    yield f"timers with nothing else to do: late by {_late(found.timer)}"
    for name, one in found.engines.items():
        yield (
            f"engine {name}: {one.hits_per_s:,.0f} hits/s by one loop with {counted(found.connections, 'connection')}, "
            f"{one.cpu_ms_per_1000_hits:.1f} ms CPU per 1,000 hits"
        )
        yield f"  {LIMITS[one.limited_by]} (generator {one.generator_cpu:.0%}, target {one.target_cpu:.0%} of a core)"
        yield f"  at {found.rate_per_s:g}/s hits started late by {_late(one.late)}; event loop at most {one.lag_ms:.2g} ms late"
    yield f"over loopback only: a network and what the steps do take more; measured {found.measured_at}, kept in {path}"


def _late(jitter: Jitter) -> str:
    return f"{jitter.p50_ms:.2g} ms at the median, {jitter.p99_ms:.2g} ms p99, {jitter.max_ms:.2g} ms at most"
