"""Whether the generator was the limit, so that what was measured is its own: decided by lag, gaps, CPU and what it had run out of."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from loadflow.engine.machine.calibration import Ceiling
from loadflow.engine.records.health import Health
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.totals import ErrorCount, Totals
from loadflow.errors import CommandError, Mistake

__all__ = [
    "BUSY_CPU",
    "LAG_LIMIT_MS",
    "NEAR_CEILING",
    "busy_share",
    "exhausted",
    "generator_limited",
    "lag_limit_of",
    "own_failures",
    "share_of",
]

# The generator's own limits. Above them the latencies are, to a large part, the generator's own queueing.
BUSY_CPU = 0.9  # share of one core, or of the CPU quota
BUSY_SHARE = 0.2  # share of the run's seconds that may be busy
LAG_LIMIT_MS = 100.0
LATE_SECONDS = 0.05  # share of the run's seconds that may be later: the rest is what a p95 is made of
GAP_TIMES = 10  # one lag of this many times the limit is enough: no answer was read for a second
NEAR_CEILING = 0.9  # of the hits per second that a calibrated machine can make: more than that is as good as all
MOSTLY = 0.5  # of the time: functions of Python that take as much leave little for the rest
WORTH_A_WORD = 0.05  # of throttled periods, or of stolen time
LAG_VARIABLE = "LOADFLOW_LAG_LIMIT_MS"

# what the system calls a lack of its own; the texts are the same in both engines and every protocol
NO_PORTS = os.strerror(errno.EADDRNOTAVAIL)
NO_FILES = (os.strerror(errno.EMFILE), os.strerror(errno.ENFILE))
OF_CONNECTIONS = frozenset({Outcome.DNS, Outcome.CONNECT, Outcome.TLS, Outcome.CLOSED})
WAYS_OUT: Mapping[str, str] = {
    NO_PORTS: "no local port was left for {count:,} of its hits: keep connections alive, use fewer connections to one address, widen "
    "net.ipv4.ip_local_port_range, or use more source addresses or machines (where no hit at all could connect: this machine has no "
    "address of the target's kind, as without IPv6)",
    NO_FILES[0]: "no file descriptor was left for {count:,} of its hits: raise `ulimit -n` (the hard limit holds), or use fewer users",
    NO_FILES[1]: "no file descriptor was left on the whole machine for {count:,} of its hits: raise fs.file-max, or use fewer users",
}


def lag_limit_of(environment: Mapping[str, str]) -> float:
    """Milliseconds: the value of LOADFLOW_LAG_LIMIT_MS, for machines that others use too. Raises CommandError if it is not a time."""
    given = environment.get(LAG_VARIABLE)
    try:
        limit = float(given) if given else LAG_LIMIT_MS
        if not 0 < limit < float("inf"):
            raise ValueError
    except ValueError:
        raise CommandError(
            [Mistake(LAG_VARIABLE, f"{given!r} is not a number of milliseconds", "set it to a number above 0, such as 100")]
        ) from None
    return limit


def busy_share(health: Sequence[Health]) -> float:
    """The share of the seconds in which the CPU was used up; 0.0 if it is too small to report."""
    busy = sum(one.busy >= BUSY_CPU for one in health) / len(health) if health else 0.0
    return busy if busy > BUSY_SHARE else 0.0


def generator_limited(health: Sequence[Health], totals: Totals, ceiling: Ceiling | None, lag_limit_ms: float = LAG_LIMIT_MS) -> str:
    """Why the numbers describe the generator and not the target; "" if they describe the target.

    A lag is enough by itself, whatever the CPU says: a process that is stopped, throttled or waits uses none. So is throttling: for the
    rest of each such period (100 ms) the process stands still, and what comes then waits, though no timer need be due to see it.
    Where the CPU or a known ceiling was used up, the stricter limit of the machine's calibration holds.
    """
    if not health:
        return ""
    ceiling = None if ceiling is None or ceiling.unused else ceiling
    lags_ms = np.array([one.lag_ms for one in health])
    late = float(np.mean(lags_ms > lag_limit_ms))
    if lags_ms.max() > GAP_TIMES * lag_limit_ms:
        did = f"it stood still for {lags_ms.max() / 1e3:.1f} s, and sent and read nothing in that time"
    elif late > LATE_SECONDS:
        did = f"its event loop was more than {lag_limit_ms:.0f} ms late in {late:.0%} of the seconds"
    elif _mean(one.throttled for one in health) >= WORTH_A_WORD:
        did = "it was kept from running"
    elif not (did := _by_calibration(health, totals, ceiling, float(np.quantile(lags_ms, 0.95)), lag_limit_ms)):
        return ""
    return f"generator-limited: {'; '.join([did, *_causes(health)])}; {_way_out(health)}"


def _by_calibration(health: Sequence[Health], totals: Totals, ceiling: Ceiling | None, lag_ms: float, lag_limit_ms: float) -> str:
    limit, by = (lag_limit_ms, "") if ceiling is None else (ceiling.lag_limit_ms, f" by the calibration of {ceiling.date}")
    busy, share = busy_share(health), share_of(ceiling, totals)
    if lag_ms <= limit or (not busy and share < NEAR_CEILING):
        return ""
    made = "" if busy else f"it made {share:.0%} of the hits per second that this machine can make, and "
    return f"{made}its event loop was {lag_ms:.0f} ms late (limit {limit:.0f} ms{by})"


def _causes(health: Sequence[Health]) -> Iterator[str]:
    """What the system reports as causes."""
    if busy := busy_share(health):
        of_what = "its CPU quota" if _by_quota(health) else "a core"
        yield f"its CPU was at {BUSY_CPU:.0%} or more of {of_what} in {busy:.0%} of the seconds"
    if (python := _mean(one.python for one in health)) >= MOSTLY or any(one.slow for one in health):
        slow = sum(one.slow for one in health)
        longest = f", {slow:,} times for more than 10 ms (at most {max(one.slowest_ms for one in health):,.0f} ms)" if slow else ""
        yield f"functions of the scenario kept its event loop for {python:.0%} of the time{longest}"
    if (throttled := _mean(one.throttled for one in health)) >= WORTH_A_WORD:
        yield f"it was throttled in {throttled:.0%} of the periods of its CPU quota"
    if (stolen := _mean(one.stolen for one in health)) >= WORTH_A_WORD:
        yield f"the machine's host gave {stolen:.0%} of its CPU to others"


def _way_out(health: Sequence[Health]) -> str:
    if _by_quota(health):
        return "give its container more CPU, or use fewer users or a wait_time"
    if any(one.slow for one in health):
        return (
            "do what takes long once, in on_start or in the module, leave out calls that block (time.sleep, other clients), or mark such "
            'tasks with @task(engine="locust"); `loadflow check FILE.py` says which functions run in Python'
        )
    if busy_share(health):
        return "use more `processes`, fewer users or a wait_time"
    return "use a machine where nothing else runs; if single answers take long to read or check, use fewer users or more `processes`"


def _by_quota(health: Sequence[Health]) -> bool:
    return _mean(one.throttled for one in health) >= WORTH_A_WORD or _mean(one.quota_used for one in health) >= BUSY_CPU


def _mean(values: Iterator[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def share_of(ceiling: Ceiling | None, totals: Totals) -> float:
    """The reached share of a known ceiling. 0.0 without one, or if the ceiling is only a lower bound (measured on a busy machine)."""
    if ceiling is None or ceiling.at_least or totals.duration_s <= 0:
        return 0.0
    return totals.hits / totals.duration_s / ceiling.hits_per_s


def own_failures(totals: Totals) -> dict[str, int]:
    """How many hits that decide failed because this machine had no port or file descriptor left, by the system's words for it.

    An attempt that a retry replaced is none of them: what the retry met is what counts, and that may be the target's.
    """
    return {lack: sum(count.final for count in counts) for lack, counts in _lacks(totals).items()}


def _lacks(totals: Totals) -> dict[str, list[ErrorCount]]:
    found: dict[str, list[ErrorCount]] = {}
    for (_, error), count in totals.errors.items():
        lacks = [one for one in WAYS_OUT if one in error.text] if error.outcome in OF_CONNECTIONS else []
        if lacks:
            found.setdefault(max(lacks, key=len), []).append(count)  # one text is the begin of another
    return found


def exhausted(totals: Totals) -> str:
    """What this machine had run out of, and the ways out; "" if nothing. Hits that failed for this reason say nothing about the target."""
    lacks = [WAYS_OUT[lack].format(count=sum(count.count for count in counts)) for lack, counts in _lacks(totals).items()]
    return f"generator-limited: {'; '.join(lacks)}" if lacks else ""
