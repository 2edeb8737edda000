"""Calibrations that were never measured."""

from __future__ import annotations

from typing import Any

from loadflow.engine.machine.calibration import Calibration, EngineCeiling, Jitter, Limit, Machine

__all__ = ["calibration", "engine", "machine"]


def machine(**changes: Any) -> Machine:
    known = {"host": "build-7", "cores": 4, "cpu_quota": None, "open_files": 20_000, "local_ports": 28_232}
    return Machine(**{**known, **changes})


def engine(hits_per_s: float = 1000.0, *, limited_by: Limit = "generator", lag_ms: float = 1.5) -> EngineCeiling:
    return EngineCeiling(hits_per_s, 1e6 / hits_per_s, 1.0, 0.5, limited_by, Jitter(0.1, 0.5, 2.0), lag_ms)


def calibration(own: Machine | None = None, **engines: EngineCeiling) -> Calibration:
    """`own`: of which machine; the engines: native and locust with 1,000 hits/s unless others are given."""
    return Calibration(
        measured_at="2026-11-21T08:00:00+00:00",
        loadflow="0.1.0",
        python="3.11.7",
        machine=own or machine(),
        target="native",
        connections=50,
        seconds=1,
        rate_per_s=500.0,
        timer=Jitter(0.06, 0.2, 1.0),
        engines=engines or {"native": engine(), "locust": engine()},
    )
