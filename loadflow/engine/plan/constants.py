"""Which of a plan's variables stay what they are through the whole load."""

from __future__ import annotations

from loadflow.engine.plan.plan import Plan

__all__ = ["constants_of"]


def constants_of(plan: Plan) -> dict[str, object]:
    """The variables that no step writes, so that templates can be folded once."""
    written = {entry["var"] for step in plan.steps for entry in step.get("extract") or () if entry.get("scope") != "session"}
    return {name: value for name, value in plan.variables.items() if name not in written}
