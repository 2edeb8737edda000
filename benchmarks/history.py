"""Nights whose truth is known, judged: false alarms, what is found, the first bad night, duets: `python -m benchmarks.history [RUNS]`.

A night is the logarithm of one number; the target does not change, or is 5 % slower from night 30 on. Nights waver by 2 %, are alike
from one to the next (AR(1) with the coefficient ρ), and now and then one is far off (4 to 8 standard deviations). Needs no network.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace

import numpy as np

from loadflow.engine.history.duet import LOOKS, DuetKind, duet_look
from loadflow.engine.history.nights import LEAST_NIGHTS, Baseline, Night, NightKind, baseline_of, detectable, judged, onset

__all__ = ["main", "nights", "run"]

SD, FLOOR, SHIFT = 0.02, 0.02, 0.05
AT, WITHIN, LENGTH = 30, 3, 60
KINDS = ((0.0, 0.0), (0.2, 0.0), (0.0, 0.02), (0.2, 0.02))  # ρ, share of nights that are far off


def nights(generator: np.random.Generator, count: int, *, shift: float, alike: float, far_off: float) -> list[Night]:
    found, state = [], 0.0
    for number in range(count):
        state = alike * state + math.sqrt(1 - alike**2) * generator.normal()
        y = SD * state
        if generator.uniform() < far_off:
            y += SD * generator.choice([-1, 1]) * generator.uniform(4, 8)
        found.append(Night(y + (math.log1p(shift) if number >= AT else 0.0), 0.005, number % 7))
    return found


def run(every: list[Night], *, duet: np.random.Generator | None = None, shift: float = 0.0) -> tuple[int | None, Baseline | None]:
    """The first night that is called worse; with `duet`, each suspect or worse night is settled by pairs of legs."""
    cleared: set[int] = set()
    for tonight in range(LEAST_NIGHTS, len(every)):
        found = judged(every[:tonight], [every[tonight]], floor=FLOOR)
        if duet is not None and found.kind in (NightKind.SUSPECT, NightKind.WORSE):
            real = math.log1p(shift) if tonight >= AT else 0.0
            pairs = duet.normal(real, SD, LOOKS[-1]).tolist()
            looks = (duet_look(pairs[:count], floor=FLOOR) for count in LOOKS)
            if next((look for look in looks if look.kind is not DuetKind.OPEN), duet_look(pairs, floor=FLOOR)).kind is DuetKind.WORSE:
                return tonight, found.baseline
            cleared.add(tonight)
        elif found.kind is NightKind.WORSE:
            return tonight, found.baseline
    return None, None


def said_and_seen(runs: int, alike: float, far_off: float) -> tuple[str, ...]:
    """The rise that 30 nights say they would show, the median of them; and how often one a bit smaller, as large and larger was seen."""
    chains = [
        nights(np.random.default_rng((20_261_201, number)), AT + WITHIN, shift=0.0, alike=alike, far_off=far_off) for number in range(runs)
    ]
    said = float(np.median([detectable(baseline_of(one[:AT])) for one in chains]))
    found = []
    for times in (1 / 1.15, 1.0, 1.15):
        rise = math.log1p(said * times)
        seen = 0
        for one in chains:
            slower = [*one[:AT], *(replace(night, y=night.y + rise) for night in one[AT:])]
            seen += any(judged(slower[:at], [slower[at]], floor=FLOOR).kind is NightKind.WORSE for at in range(AT, len(slower)))
        found.append(seen / runs)
    return (f"{said:.1%}", *(f"{share:.0%}" for share in found))


def main(runs: int = 200) -> None:
    print("| ρ | far off | alarms per 100 nights | +5 % found in 3 nights | first bad night, ± 1 | with duet: alarms | found |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for alike, far_off in KINDS:
        alarms = judged_nights = duet_alarms = duet_nights = found = named = duet_found = 0
        for number in range(runs):
            generator = np.random.default_rng((20_261_130, number))
            same = nights(generator, LENGTH, shift=0.0, alike=alike, far_off=far_off)
            at, _ = run(same)
            alarms, judged_nights = alarms + (at is not None), judged_nights + (at or LENGTH) - LEAST_NIGHTS
            at, _ = run(same, duet=generator)
            duet_alarms, duet_nights = duet_alarms + (at is not None), duet_nights + (at or LENGTH) - LEAST_NIGHTS
            shifted = nights(generator, AT + WITHIN, shift=SHIFT, alike=alike, far_off=far_off)
            at, baseline = run(shifted)
            if at is not None and at >= AT and baseline is not None:
                found += 1
                named += abs(at - onset(shifted[: at + 1], baseline)[0][0] - AT) <= 1
            at, _ = run(shifted, duet=generator, shift=SHIFT)
            duet_found += at is not None and at >= AT
        rates = (100 * alarms / judged_nights, found / runs, named / max(1, found), 100 * duet_alarms / duet_nights, duet_found / runs)
        print(
            f"| {alike:g} | {far_off:.0%} | {rates[0]:.2f} | {rates[1]:.2f} | {rates[2]:.2f} | {rates[3]:.2f} | {rates[4]:.2f} |",
            flush=True,
        )
    print("\n| ρ | far off | said to be seen nine times in ten | seen, of 15 % less | of it | of 15 % more |\n|--:|--:|--:|--:|--:|--:|")
    for alike, far_off in KINDS:
        print(f"| {alike:g} | {far_off:.0%} | {' | '.join(said_and_seen(runs, alike, far_off))} |", flush=True)
    usual = [nights(np.random.default_rng((20_261_201, number)), AT, shift=0.0, alike=0.0, far_off=0.0) for number in range(2)]
    began = time.process_time()
    for _ in range(50):
        judged(usual[0], usual[1][:1], floor=FLOOR)
    print(f"50 names of 30 nights are judged in {time.process_time() - began:.2f} s of one core.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
