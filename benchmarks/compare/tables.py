"""Makes the tables of what was found: medians of the rounds, the truth beside what each tool says, and what went wrong."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.compare.measure import FREEZE_RATE, FREEZE_S, Freeze, Frozen, Pace, Throughput
from benchmarks.compare.peer import Missing, Peer
from benchmarks.results import table

__all__ = ["Found", "text", "true_quantile_ms"]


@dataclass
class Found:
    """All that was measured; None in a list is a run that failed, and `notes` says how."""

    versions: dict[Peer, str | Missing]
    throughput: dict[Peer, list[Throughput | None]] = field(default_factory=lambda: defaultdict(list))
    paces: dict[Peer, dict[int, list[Pace | None]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    freezes: dict[Peer, Freeze | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def there(self) -> list[Peer]:
        return [peer for peer, version in self.versions.items() if isinstance(version, str)]

    def runs(self, peer: Peer) -> list[Throughput]:
        return [one for one in self.throughput[peer] if one is not None]

    def by_rate(self) -> list[Peer]:
        """Fastest first; those that never gave a result are left out."""
        return sorted(filter(self.runs, self.there()), key=lambda peer: -self.rate_per_s(peer))

    def rate_per_s(self, peer: Peer) -> float:
        return statistics.median(one.rate_per_s for one in self.runs(peer))

    def cpu_s_per_hit(self, peer: Peer) -> float:
        return statistics.median(one.cpu_s_per_hit for one in self.runs(peer))

    def named(self, peer: Peer) -> str:
        return f"{peer.name} {self.versions[peer]}"


def text(found: Found, connections: int, few: int, many: int, took_s: float) -> str:
    parts = [
        "![requests per second and CPU time of each](compare.svg)",
        f"**As fast as each can, {connections} connections.** The target's count and the CPU time of all processes of a tool, in a window "
        "in the middle of each run; memory is the largest sum over its processes. *Own count* is what the tool reports of the whole run, "
        "against what the target counted.",
        _throughput(found),
        "**At a rate.** How far the target's count is from what was asked for, and the CPU time of the whole run, start and report "
        f"included. At most {connections} connections. At the lowest rate one hit more or less is some percent already: tools that send "
        "at both ends of the time have one more.",
        _paces(found),
        f"**A target that answers at once, but freezes for one of {FREEZE_S} seconds.** What each tool says of it, at {FREEZE_RATE}/s or, "
        f"where it has no rate, in a closed loop; with {few} connections, fewer than hits that fall due in the freeze, and with {many}. "
        "*The truth* is that of visitors who come at that rate and wait until they are answered.",
        _freezes(found, few, many),
        _not_there(found),
        f"The run took {took_s:.0f} s.",
    ]
    return "\n\n".join(part for part in parts if part)


def _throughput(found: Found) -> str:
    rows = []
    fastest = found.by_rate()[0] if found.by_rate() else None
    for peer in found.by_rate():
        runs = found.runs(peer)
        rates = [one.rate_per_s for one in runs]
        assert fastest is not None
        pairs = zip(found.throughput[peer], found.throughput[fastest], strict=True)
        ratios = [one.rate_per_s / other.rate_per_s for one, other in pairs if one and other]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        cpu_ms = f"{found.cpu_s_per_hit(peer) * 1e6:,.1f} ms"
        rss = f"{max(one.rss_mib for one in runs):,.0f} MiB"
        own = statistics.median(one.said.requests / one.counted - 1 for one in runs)
        errors = sum(one.said.errors or 0 for one in runs)
        p99 = [one.said.p99_ms for one in runs if one.said.p99_ms is not None]
        said = f"{statistics.median(p99):,.2f} ms" if p99 else "does not say"
        rows.append([found.named(peer), f"{statistics.median(rates):,.0f}", spread, ratio, cpu_ms, rss, _off(own), f"{errors:,}", said])
    heads = ["tool", "requests/s, median", "spread", "ratio to the first, median of rounds", "CPU per 1,000 hits", "memory"]
    return table([*heads, "own count", "errors", "p99 that it reports"], rows)


def _paces(found: Found) -> str:
    rates = sorted({rate for paces in found.paces.values() for rate in paces})
    rows = []
    for peer in found.there():
        if peer.rate_mode is None:
            rows.append([found.named(peer), "has no rate", *["–"] * (2 * len(rates))])
            continue
        cells = []
        for rate in rates:
            runs = [one for one in found.paces[peer][rate] if one is not None]
            cells.append(_off(statistics.median(abs(one.counted / one.asked - 1) for one in runs), signed=False) if runs else "failed")
            cells.append(f"{statistics.median(one.cpu_s for one in runs):.2f} s" if runs else "–")
        rows.append([found.named(peer), peer.rate_mode, *cells])
    heads = ["tool", "its rate is kept"]
    for rate in rates:
        heads += [f"{rate:,}/s: off by", "CPU"]
    return table(heads, rows)


def _freezes(found: Found, few: int, many: int) -> str:
    p99, most = (f"{true_quantile_ms(FREEZE_RATE, FREEZE_S, 1000.0, quantile):,.0f} ms" for quantile in (0.99, 1.0))
    rows = [["*the truth at a rate*", f"{FREEZE_RATE}/s", "when due", *[f"{FREEZE_RATE * FREEZE_S:,}", p99, most] * 2]]
    for peer, freeze in found.freezes.items():
        mode = "closed loop" if peer.rate_mode is None else f"{FREEZE_RATE}/s"
        rows.append(
            [found.named(peer), mode, peer.times, *([*_told(freeze.few), *_told(freeze.many)] if freeze else ["failed", *["–"] * 5])]
        )
    heads = ["tool", "load", "times from"]
    for connections in (few, many):
        heads += [f"{connections} connections: requests", "p99", "max"]
    return table(heads, rows)


def _told(frozen: Frozen) -> list[str]:
    said = frozen.said
    return [f"{frozen.counted:,}", *("does not say" if value is None else f"{value:,.0f} ms" for value in (said.p99_ms, said.max_ms))]


def _not_there(found: Found) -> str:
    lines = [
        f"- {peer.name} ({peer.source}) is not in the tables: {version}"
        for peer, version in found.versions.items()
        if isinstance(version, Missing)
    ]
    return "\n".join([*lines, *(f"- {note}" for note in found.notes)])


def _off(share: float, *, signed: bool = True) -> str:
    return "exact" if share == 0 else f"{share:{'+' if signed else ''}.2%}"


def true_quantile_ms(rate: int, seconds: int, freeze_ms: float, quantile: float) -> float:
    """Of the waits of hits that are due evenly at `rate`, where those due in the freeze wait for its end and others not at all."""
    gap_ms = 1000.0 / rate
    frozen = math.floor(freeze_ms / gap_ms)
    waits = [0.0] * (rate * seconds - frozen) + sorted(freeze_ms - number * gap_ms for number in range(frozen))
    return waits[max(0, math.ceil(quantile * len(waits)) - 1)]
