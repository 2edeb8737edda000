"""What a machine could do when it was calibrated, and what of that holds for one run: values, and decisions about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping, JsonObject

__all__ = ["Calibration", "Ceiling", "EngineCeiling", "Jitter", "Limit", "Machine", "ceiling_for", "limit_of"]

FORMAT = "loadflow-calibration"
VERSION = 1
FULL_CORE = 0.9  # so much of a core is all that a thread gets on a machine that does other things too
HTTP_USERS = frozenset({"fast_http_user", "http_user"})  # those that the measured loads speak for
LAG_FACTOR = 10  # so far above what the machine does by itself, a lag is the load's doing
LAG_FLOOR_MS = 10.0  # what counts as late: see `plan.pace.LATE_NS`
LAG_MOST_MS = 100.0  # the judge's own limit: a calibration on a busy machine must not allow larger lags

Limit = Literal["generator", "target", "machine"]


@dataclass(frozen=True, slots=True)
class Jitter:
    """How late timers were."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores`: those that this process may use; `cpu_quota`: how many of them a container may use up, None: all."""

    host: str
    cores: int
    cpu_quota: float | None
    open_files: int
    local_ports: int | None  # for outgoing connections; None: unknown

    @property
    def usable_cores(self) -> float:
        return float(self.cores) if self.cpu_quota is None else min(self.cores, self.cpu_quota)


@dataclass(frozen=True, slots=True)
class EngineCeiling:
    """One loop of an engine, against a target that does nothing: in a closed loop, and at a rate far below that.

    The CPUs are shares of a core, in the closed loop. Where not the generator was the limit, it makes at least `hits_per_s`.
    """

    hits_per_s: float
    cpu_ms_per_1000_hits: float
    generator_cpu: float
    target_cpu: float
    limited_by: Limit
    late: Jitter  # of the passes of the rate: from when they were due to when they were sent
    lag_ms: float  # the most that the event loop was late at the rate
    floor: Jitter | None = None  # times of the hits at the rate, from sending to the end; None: measured by an older release


@dataclass(frozen=True, slots=True)
class Calibration:
    """`timer`: a plain sleep, with no engine at all. `target`: what answered."""

    measured_at: str  # UTC, ISO 8601
    loadflow: str
    python: str
    machine: Machine
    target: str
    connections: int
    seconds: int  # of each load
    rate_per_s: float
    timer: Jitter
    engines: Mapping[str, EngineCeiling] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Raises ValueError if it is not a calibration, or was made by a newer version."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("it is not a calibration")
        if data.get("version") != VERSION:
            raise ValueError(f"its version is {data.get('version')}, this loadflow knows {VERSION}")
        known = {key: value for key, value in data.items() if key not in ("format", "version")}
        try:
            datetime.fromisoformat(known["measured_at"])
            return cls(
                **{
                    **known,
                    "machine": Machine(**known["machine"]),
                    "timer": Jitter(**known["timer"]),
                    "engines": {name: _engine(one) for name, one in known["engines"].items()},
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is not whole ({error})") from error

    def differences(self, machine: Machine) -> list[str]:
        """Why these numbers are not those of `machine`; none: they are."""
        then = self.machine
        found = []
        if then.host != machine.host:
            found.append(f"it is of the host {then.host}, this is {machine.host}")
        if then.cores != machine.cores:
            found.append(f"there were {_cores(then.cores)}, now {_cores(machine.cores)}")
        if then.cpu_quota != machine.cpu_quota:
            found.append(f"the CPU quota was {_quota(then.cpu_quota)}, now {_quota(machine.cpu_quota)}")
        return found


def _engine(data: JsonMapping) -> EngineCeiling:
    floor = data.get("floor")
    return EngineCeiling(**{**data, "late": Jitter(**data["late"]), "floor": Jitter(**floor) if floor else None})


def _cores(count: int) -> str:
    return counted(count, "core")


def _quota(quota: float | None) -> str:
    return "none" if quota is None else f"{quota:g}"


def limit_of(generator_cpu: float, target_cpu: float) -> Limit:
    """Which of the two had a core all to itself and used it up; "machine": neither, so both had to share, or wait for others.

    >>> limit_of(0.99, 0.7), limit_of(0.6, 0.95), limit_of(0.5, 0.5)
    ('generator', 'target', 'machine')
    """
    if generator_cpu >= FULL_CORE:
        return "generator"
    return "target" if target_cpu >= FULL_CORE else "machine"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What of a calibration holds for one run. `unused`: why none of it does, and then the numbers mean nothing.

    `hits_per_s` is that of all the run's loops together, but of no more loops than there are cores. `asked_per_s`: the most hits
    per second that the run's rate asks for; None where users decide.
    """

    measured_at: str = ""
    hits_per_s: float = 0.0
    at_least: bool = False  # not the generator was the limit when this was measured
    late: Jitter = field(default_factory=lambda: Jitter(0.0, 0.0, 0.0))
    lag_limit_ms: float = LAG_MOST_MS
    asked_per_s: float | None = None
    unused: str = ""
    floor: Jitter | None = None  # times against a target that does nothing
    cpu_ms_per_1000_hits: float | None = None  # None: noted by a newer release only

    @property
    def date(self) -> str:
        return self.measured_at[:10]

    def to_json(self) -> JsonObject:
        return asdict(self)


def ceiling_for(
    calibration: Calibration, machine: Machine, *, engine: str, protocol: str, loops: int, asked_per_s: float | None
) -> Ceiling | None:
    """The ceiling of a run on `machine`; None where the calibration did not measure what makes this load."""
    found = calibration.engines.get(engine)
    if found is None or protocol not in HTTP_USERS:
        return None
    if different := calibration.differences(machine):
        return Ceiling(calibration.measured_at, unused="; ".join(different))
    return Ceiling(
        measured_at=calibration.measured_at,
        hits_per_s=found.hits_per_s * max(1.0, min(loops, machine.usable_cores)),
        at_least=found.limited_by != "generator",
        late=found.late,
        lag_limit_ms=min(LAG_MOST_MS, max(LAG_FLOOR_MS, LAG_FACTOR * found.lag_ms)),
        asked_per_s=asked_per_s,
        floor=found.floor,
        cpu_ms_per_1000_hits=found.cpu_ms_per_1000_hits,
    )
