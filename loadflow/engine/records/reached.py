"""What was asked for and not reached: users that never came, steps that never ran, conditions that treated no hit. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.records.judge import Warning_

__all__ = ["Shortfall", "StepCount", "shortfalls"]

USERS_TOLERANCE = 0.1  # share of the users asked for that may be missing before the run says nothing
MOST_STEPS = 20  # listed one by one
TITLE = 80  # characters of a step's title

# a step's attempts, and how often its conditions said no
StepCount = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """`doubt`: why the run is inconclusive; "" where it is a warning and no more."""

    warning: Warning_
    doubt: str = ""


def shortfalls(plan: Mapping[str, object], users_peak: int, steps: Sequence[StepCount] | None, conditioned: int) -> list[Shortfall]:
    """Of a load that ran its time. `plan` as `Plan.to_json` gives it; `steps` None: not known, as an engine that was lost can't say."""
    found = list(_users(plan, users_peak))
    if steps is not None:
        found += _steps(plan, steps)
        found += _conditioned(plan, conditioned if any(ran for ran, _ in steps) else -1)
    return found


def _users(plan: JsonMapping, users_peak: int) -> Iterator[Shortfall]:
    stages: Sequence[JsonMapping] = plan.get("stages") or ()
    if not stages or plan.get("pace"):  # with a pace all users are there before the first pass is due
        return
    asked = max(int(stage["users"]) for stage in stages)
    missed = list(_missed_by_plan(stages, plan.get("duration_s"))) if len(stages) > 1 else []
    if users_peak < asked and not any(stage["users"] == asked for _, stage, _ in missed):
        number = next(number for number, stage in enumerate(stages, start=1) if stage["users"] == asked)
        missed.append((number, stages[number - 1], users_peak))
    for number, stage, reached in sorted(missed, key=lambda one: one[0]):
        where = f" of stage {number}" if len(stages) > 1 else ""
        text = f"{reached:,} of {counted(stage['users'], 'user')}{where} were started, at spawn_rate {stage['spawn_rate']:g}"
        way_out = "Raise spawn_rate or test_time."
        doubt = reached < (1 - USERS_TOLERANCE) * stage["users"]
        yield Shortfall(
            Warning_("users-not-reached", f"Only {text}.", way_out),
            f"only {text}, so the measured load is not the load that was asked for; raise spawn_rate or test_time" if doubt else "",
        )


def _missed_by_plan(stages: Sequence[JsonMapping], duration_s: float | None) -> Iterator[tuple[int, JsonMapping, int]]:
    """Stages in which users can't come fast enough, each with its number and the users that it has by its end."""
    begin_s, users = 0.0, 0
    end_of_load_s = math.inf if duration_s is None else duration_s
    for number, stage in enumerate(stages, start=1):
        end_s = math.inf if stage["duration_s"] is None else begin_s + stage["duration_s"]
        moved = max(0.0, min(end_s, end_of_load_s) - begin_s) * max(stage["spawn_rate"], 0.01)
        most = stage["users"] if moved == math.inf else math.ceil(moved - 1e-9)
        # a step down to fewer users is not missed: those who are still there are at work on their last step
        users = min(stage["users"], users + most) if stage["users"] > users else max(stage["users"], users - most)
        if users < stage["users"]:
            yield number, stage, users
        begin_s = end_s


def _steps(plan: JsonMapping, counts: Sequence[StepCount]) -> Iterator[Shortfall]:
    steps: Sequence[StepJson] = plan.get("steps") or ()
    weighted = plan.get("mode") == "weighted"
    idle = [(step, skipped) for step, (ran, skipped) in zip(steps, counts, strict=False) if ran == 0]
    for step, skipped in idle[:MOST_STEPS]:
        title = _title(step)
        why, way_out, doubtful = _why_idle(step, skipped, weighted=weighted)
        doubt = f"step {title} never ran: {why}" if doubtful else ""
        yield Shortfall(Warning_("step-never-ran", f"Step {title} never ran: {why}.", way_out), doubt)
    if len(idle) > MOST_STEPS:
        text = f"{counted(len(idle) - MOST_STEPS, 'more step')} never ran."
        yield Shortfall(Warning_("step-never-ran", text, "The report shows which names are missing."))


def _why_idle(step: Mapping[str, object], skipped: int, *, weighted: bool) -> tuple[str, str, bool]:
    """The reason, the way out, and whether the run is inconclusive because of it (not if the script itself excluded the step)."""
    times = "once" if skipped == 1 else f"all {skipped:,} times"
    has_run_if, has_skip_if = step.get("run_if") is not None, step.get("skip_if") is not None
    if skipped and has_run_if and has_skip_if:
        return f"run_if was false, or skip_if true, {times}", "Check the values that run_if and skip_if compare.", False
    if skipped and has_skip_if:
        return f"skip_if was true {times}", "Check the values that skip_if compares.", False
    if skipped:
        return f"run_if was false {times}", "Check the values that run_if compares.", False
    if step.get("phase") is not None:
        way_out = "Use a longer test_time, or a longer drain_time for on_stop."
        return f"no user came to it in {step['phase']} before the load ended", way_out, True
    if weighted and step.get("weight", 1) == 0:
        return "its weight is 0", "Set its weight to 1 or more, or remove the step.", False
    if weighted:
        return "it was not picked, because there were too few passes", "Use a longer test_time, or a larger weight.", False
    return "it was not reached before the load ended", "Use a longer test_time, or less think_time in the steps before it.", True


def _title(step: Mapping[str, object]) -> str:
    title = str(step.get("name") or f"{step.get('method') or ''} {step.get('request_url') or ''}".strip() or "(without a name)")
    return repr(title if len(title) <= TITLE else f"{title[: TITLE - 1]}…")


def _conditioned(plan: JsonMapping, treated: int) -> Iterator[Shortfall]:
    """`treated` -1: there was no hit."""
    name_filter = (plan.get("network") or {}).get("name_filter")
    if name_filter and treated == 0:
        text = f"the network conditioner's filter {name_filter!r} selected no hit, so no hit got latency or loss"
        advice = (
            "Set name_filter to a part of a step's name (or URL, if it has no name). "
            "For loads without conditions, uninstall the conditioner."
        )
        yield Shortfall(Warning_("conditioner-unused", f"{text[:1].upper()}{text[1:]}.", advice), text)
