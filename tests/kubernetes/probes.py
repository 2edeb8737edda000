"""The probes of a container: when each is due, and what its answers mean. No clock, no network: they are given.

The rules are the kubelet's (Kubernetes: "Configure Liveness, Readiness and Startup Probes"): a container without a readiness probe is
ready, one with it is not until it has succeeded; the others are not asked before the startup probe has succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Probe", "Probes"]


class Probe:
    """One probe of a container that started at `started_s`; seconds of any clock that only goes forward."""

    def __init__(self, spec: Mapping[str, Any], started_s: float, holds: bool) -> None:
        self.spec = spec
        self.holds = holds
        self.known = False  # whether a threshold was reached yet
        self.told = ""  # the last answer
        self._next_s = started_s + spec.get("initialDelaySeconds", 0)
        self._row = 0  # successes in a row, or failures as a negative number

    @property
    def timeout_s(self) -> float:
        return float(self.spec.get("timeoutSeconds", 1))

    def is_due(self, now_s: float) -> bool:
        return now_s >= self._next_s

    def answer(self, ok: bool, told: str, now_s: float) -> None:
        """Takes an answer; `holds` changes when a threshold is reached."""
        self._next_s = now_s + self.spec.get("periodSeconds", 10)
        self.told = told
        self._row = max(self._row, 0) + 1 if ok else min(self._row, 0) - 1
        if self._row >= self.spec.get("successThreshold", 1):
            self.holds = self.known = True
        elif -self._row >= self.spec.get("failureThreshold", 3):
            self.holds, self.known = False, True


class Probes:
    """Those of one start of a container."""

    def __init__(self, container: Mapping[str, Any], started_s: float) -> None:
        def made(kind: str, holds: bool) -> Probe | None:
            return Probe(container[kind], started_s, holds) if container.get(kind) else None

        self._startup = made("startupProbe", False)
        self._readiness = made("readinessProbe", False)
        self._liveness = made("livenessProbe", True)

    def due(self, now_s: float) -> list[Probe]:
        """Which have to be asked now."""
        asked = [self._startup] if self._startup and not self._startup.holds else [self._readiness, self._liveness]
        return [probe for probe in asked if probe is not None and probe.is_due(now_s)]

    @property
    def started(self) -> bool:
        return self._startup is None or self._startup.holds

    @property
    def ready(self) -> bool:
        return self.started and (self._readiness is None or self._readiness.holds)

    @property
    def failed(self) -> str | None:
        """Why the container has to be ended: what the probe said that failed too often; None if none did."""
        if self._startup is not None and self._startup.known and not self._startup.holds:
            return f"startup probe failed: {self._startup.told}"
        if self._liveness is not None and not self._liveness.holds:
            return f"liveness probe failed: {self._liveness.told}"
        return None
