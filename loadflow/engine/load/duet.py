"""LD_duet: two versions of a target in one night, in pairs of legs, until it is known whether the new one is worse."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.history.comparing import share_of
from loadflow.engine.history.duet import LOOKS, DuetKind, DuetLeg, DuetResult, Look, duet_look, legs_of
from loadflow.engine.history.judging import keep_judgement
from loadflow.engine.history.kept_runs import KeptRun, find_run
from loadflow.engine.history.population import JUDGEMENT, METRICS
from loadflow.engine.load.start import start_test
from loadflow.engine.load_test.populations import refuse_populations
from loadflow.engine.records.run import Run
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.session.session import current_session, use_session
from loadflow.errors import CommandError, Mistake, RunError, ThresholdsNotMet

__all__ = ["FORMAT", "duet"]

FORMAT, VERSION = "loadflow-duet", 1
SEED = 1  # of the first pair: both legs of a pair make the same choices, at the same due times
LEG_KEYS = ("label", "seed", "test_time", "stop_when", "thresholds", "host")
LABEL = "duet"


def duet(
    test: JsonMapping,
    baseline_target: str,
    target: str,
    metric: str = "p95",
    floor: float | str = "2%",
    pairs: int = LOOKS[-1],
    leg: float = 60.0,
    suspect: str | None = None,
    fail_on_worse: bool = False,
) -> DuetResult:
    """Load `baseline_target` (A) and `target` (B) in turns, A B B A …, and say whether B is worse.

    `test`: arguments of LD_start_test, whose steps name no host. `leg`: seconds of each load. `suspect`: a run of LD_judge, whose judgement
    becomes this one. Raises CommandError before anything is sent; RunError where a leg sent nothing.
    """
    refuse_populations(test, "a leg of a duet")
    share = share_of("floor", floor)
    if metric not in METRICS:
        raise CommandError([Mistake("metric", f"{metric!r} is not a metric", f"metrics: {', '.join(METRICS)}")])
    session = current_session()
    targets = {"A": baseline_target, "B": target}
    label = f"{test.get('label') or session.label or session.name}-{LABEL}"
    plain = {key: value for key, value in test.items() if key not in LEG_KEYS}
    if session.rehearsing:
        for side in targets.values():
            start_test(**{**plain, "host": side, "label": label, "test_time": leg})
        return {}
    named = str(compile_value(suspect, session.variables.values, session.environment).value) if suspect else ""
    suspected = find_run("suspect", named, session.runs_dir) if named else None
    differences: list[float] = []
    legs: list[DuetLeg] = []
    look = Look(DuetKind.OPEN, 0, 0.0, math.inf)
    apart = session.apart()
    with use_session(apart):
        while len(differences) < pairs and look.kind is DuetKind.OPEN:
            pair, found = len(differences), {}
            for side in legs_of(pair):
                start_test(**{**plain, "host": targets[side], "label": label, "seed": SEED + pair, "test_time": leg})
                run = apart.all_runs[-1]
                found[side] = _value(run, metric, targets[side])
                legs.append({"pair": pair + 1, "side": side, "run": run.facts.id, "value": found[side]})
            differences.append(math.log(found["B"] / found["A"]))
            look = duet_look(differences, floor=share, sign=METRICS[metric], most=pairs)
    result: DuetResult = {
        "format": FORMAT,
        "version": VERSION,
        "verdict": str(look.kind) if look.kind is not DuetKind.OPEN else "unclear",
        "metric": metric,
        "floor": share,
        "label": label.removesuffix(f"-{LABEL}"),
        "pairs": look.pairs,
        "change": math.expm1(look.change),
        "error": look.error if math.isfinite(look.error) else None,
        "suspect": suspected.name if suspected else None,
        "legs": legs,
    }
    if suspected is not None and look.kind is not DuetKind.OPEN:
        _settle(suspected, result)
    for observer in session.observers:
        observer.judged(result)
    if fail_on_worse and look.kind is DuetKind.WORSE:
        text = f"{metric} of {target} is worse than of {baseline_target}: {result['change']:+.1%} in {counted(look.pairs, 'pair')}"
        raise ThresholdsNotMet([text])
    return result


def _value(run: Run, metric: str, wanted: str) -> float:
    """Raises RunError for a leg that had another target, or none."""
    if urlsplit(wanted).netloc and urlsplit(wanted).netloc not in run.facts.target:
        raise RunError(f"the steps name a host of their own ({run.facts.target}), so {wanted} was not asked; write relative URLs into them")
    overall = run.summary().overall
    value = overall.rate_per_s if metric == "rate" else float(getattr(overall.latency, f"{metric}_ms"))
    if not value > 0:
        raise RunError(f"a load of {wanted} has no {metric}; see {run.folder}")
    return value


def _settle(suspected: KeptRun, result: DuetResult) -> None:
    """The suspect run is worse or the same now; what was judged of it before stays beside."""
    from loadflow.engine.base.json_reading import read_json
    from loadflow.engine.base.regular_file import read_regular

    if suspected.folder is None:
        return
    try:
        before = read_json(read_regular(suspected.folder / JUDGEMENT))
    except (OSError, ValueError):
        before = {}
    settled = {"verdict": result["verdict"], "pairs": result["pairs"], "change": result["change"]}
    verdict = "worse" if result["verdict"] == DuetKind.WORSE else "same"
    keep_judgement(suspected, {**before, "verdict": verdict, "duet": settled})
