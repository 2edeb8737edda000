"""When a deployment runs: `--cron`, `--interval` or `--rrule`, as Prefect's schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

__all__ = ["Times", "schedule_of"]


@dataclass(frozen=True, slots=True)
class Times:
    """The options as they were given; `interval` in seconds."""

    cron: str | None = None
    interval: float | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor: str | None = None


def schedule_of(times: Times) -> object:
    """The schedule, None where there is none. Raises UsageError for options that don't fit, and for values that Prefect refuses."""
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

    ways = [name for name in ("cron", "interval", "rrule") if getattr(times, name) is not None]
    if len(ways) > 1:
        raise click.UsageError(f"--{ways[0]} and --{ways[1]} are two schedules; give one")
    if not ways:
        for name, option in (("timezone", "--timezone"), ("anchor", "--anchor-date")):
            if getattr(times, name) is not None:
                raise click.UsageError(f"{option} goes with a schedule: --cron, --interval or --rrule")
        return None
    if times.anchor is not None and times.interval is None:
        raise click.UsageError("--anchor-date goes with --interval")
    zone = {"timezone": times.timezone or "UTC"}
    try:
        if times.cron is not None:
            return CronSchedule(cron=times.cron, **zone)
        if times.rrule is not None:
            return RRuleSchedule(rrule=times.rrule, **zone)
        anchor: dict[str, Any] = {"anchor_date": datetime.fromisoformat(times.anchor)} if times.anchor is not None else {}
        return IntervalSchedule(interval=timedelta(seconds=times.interval or 0), **anchor, **zone)
    except ValueError as error:  # pydantic's are ValueErrors too
        raise click.UsageError(f"the schedule is none: {_reason(error)}") from None


def _reason(error: ValueError) -> str:
    lines = str(error).splitlines()
    said = next((line.strip() for line in lines[2:] if line.strip()), lines[0] if lines else "not readable")
    return said.removeprefix("Value error, ").partition(" [type=")[0]
