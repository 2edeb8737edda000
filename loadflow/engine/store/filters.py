"""Which hits of a run are wanted: checked once, then the same for every database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from loadflow.engine.records.outcome import Outcome
from loadflow.engine.script.mistakes import shorten
from loadflow.errors import CommandError, Mistake

__all__ = ["Filters", "filters_of"]

Moment = datetime | float  # a float: seconds since the load began
OUTCOMES = {"success": int(Outcome.OK), "failure": None, **{one.label: int(one) for one in Outcome if one is not Outcome.OK}}


@dataclass(frozen=True, slots=True)
class Filters:
    """`since` (inclusive) and `until` (exclusive) are about the end of a hit. `limit` None: no limit."""

    name: str | None = None
    outcome: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: int | None = None
    offset: int = 0

    @property
    def kind(self) -> int | None:
        """The one Outcome wanted; None: every failure."""
        return OUTCOMES[self.outcome or "failure"]

    @property
    def passes_all(self) -> bool:
        return (self.name, self.outcome, self.since, self.until) == (None, None, None, None)

    def window_ns(self, origin_unix_ns: int) -> tuple[int | None, int | None]:
        """Since and until, in nanoseconds since the load began."""
        return _since_origin_ns(self.since, origin_unix_ns), _since_origin_ns(self.until, origin_unix_ns)


def filters_of(
    name: str | None = None,
    outcome: str | None = None,
    since: object = None,
    until: object = None,
    limit: int | None = None,
    offset: int = 0,
) -> Filters:
    """Checked filters. A time is a datetime, ISO 8601 text (UTC where it names no zone), or seconds since the load began.

    Raises CommandError with everything that can't be meant.

    >>> filters_of(outcome="timeout", since="2026-11-21T04:28:00+01:00").since
    datetime.datetime(2026, 11, 21, 3, 28, tzinfo=datetime.timezone.utc)
    """
    mistakes: list[Mistake] = []
    if outcome is not None and outcome not in OUTCOMES:
        mistakes.append(Mistake("outcome", f"{shorten(outcome)} is none", f"one of {', '.join(OUTCOMES)}"))
    for place, number in (("limit", limit), ("offset", offset)):
        if number is not None and number < 0:
            mistakes.append(Mistake(place, f"{number} is below 0", "leave limit out for all hits"))
    moments = [_moment(place, value, mistakes) for place, value in (("since", since), ("until", until))]
    if mistakes:
        raise CommandError(mistakes)
    return Filters(name, outcome, moments[0], moments[1], limit, offset)


def _moment(place: str, value: object, mistakes: list[Mistake]) -> Moment | None:
    match value:
        case None:
            return None
        case bool():
            pass
        case int() | float():
            return float(value)
        case datetime():
            return _utc(value)
        case str():
            try:
                return _utc(datetime.fromisoformat(value))
            except ValueError:
                pass
    mistakes.append(Mistake(place, f"{shorten(value)} is not a time", 'give "2026-11-21T04:28:00Z", or seconds since the load began'))
    return None


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _since_origin_ns(moment: Moment | None, origin_unix_ns: int) -> int | None:
    if moment is None:
        return None
    if isinstance(moment, float):
        return round(moment * 1e9)
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds
    # as exact as the times in the records, which are cut to microseconds: asking since one of them finds it
    return microseconds * 1_000 - origin_unix_ns // 1_000 * 1_000
