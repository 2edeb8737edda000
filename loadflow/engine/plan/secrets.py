"""What of a plan must never be written: the same answer for the run folder, the hits' samples and the engine's log."""

from __future__ import annotations

from collections.abc import Mapping

from loadflow.engine.base.redact import Redactor
from loadflow.engine.plan.plan import Plan

__all__ = ["redactor_of"]


def redactor_of(plan: Plan, env: Mapping[str, str]) -> Redactor:
    """Knows what stands under a secret name in variables and steps, the environment variables with such names that were used, and the
    credentials of proxies."""
    redactor = Redactor(plan.redact)
    redactor.learn_from(plan.variables)
    redactor.learn_from(plan.steps)
    redactor.learn_from({name: env[name] for name in plan.env_names if name in env})
    redactor.learn(plan.connections.secrets())
    return redactor
