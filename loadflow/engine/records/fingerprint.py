"""Whether two runs may be compared: what was asked of the target, by which engine, in how many processes, on a machine of which class.

Label, seed, variables, secrets and how a run was watched are left out: they say nothing about what the numbers should be. A machine's
class is its cores, its CPU quota and its host. Two hosts count as one where both were calibrated and a hit costs them alike: a container
has another host name each night.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.records.summary import RunFacts

__all__ = ["fingerprint", "same_host", "traits", "unlike"]

# what a plan holds besides its meaning; a key that a later release adds counts until it is named here
BESIDES = frozenset(
    {"variables", "seed", "redact", "env_names", "web_ui", "material", "flush_s", "allowed_hosts", "speaker"} | {"revision_header"}
)
MACHINE = ("cores", "cpu_quota", "processes")  # of the environment; processes: how many made the load
MOST_APART = 1.05  # times the CPU that a hit costs, of hosts that count as one


def traits(facts: RunFacts) -> dict[str, object]:
    """What must be equal, by name, without the host. What is not set counts as absent, so runs of older releases stay comparable."""
    meant = {key: _without_seed(value) if key == "pace" else value for key, value in facts.plan.items() if key not in BESIDES}
    plan = {f"plan.{key}": value for key, value in meant.items() if value not in (None, [], {}, ())}
    machine = {key: facts.environment[key] for key in MACHINE if key in facts.environment}
    return {"protocol": facts.protocol, "engine": facts.engine, **plan, **machine}


def fingerprint(facts: RunFacts) -> str:
    """Sixteen hexadecimal digits, the same for runs that may be compared if their hosts are alike."""
    return hashlib.sha256(_canonical(traits(facts)).encode()).hexdigest()[:16]


def same_host(baseline: RunFacts, current: RunFacts) -> bool:
    """By name, or by what 1,000 hits cost there when it was calibrated."""
    if _host(baseline) == _host(current):
        return True
    costs = [float((facts.calibration or {}).get("cpu_ms_per_1000_hits") or 0.0) for facts in (baseline, current)]
    return 0 < max(costs) <= MOST_APART * min(costs)


def _host(facts: RunFacts) -> object:
    return facts.environment.get("host")


def unlike(baseline: RunFacts, current: RunFacts) -> list[str]:
    """What differs, each as `name: before, now`; texts are cut where they are long. Empty for runs that may be compared."""
    ours, theirs = traits(baseline), traits(current)
    found = [
        f"{key}: {_short(ours, key)}, now {_short(theirs, key)}"
        for key in dict.fromkeys([*ours, *theirs])
        if _canonical(ours.get(key)) != _canonical(theirs.get(key))
    ]
    if not same_host(baseline, current):
        hosts = (_canonical(_host(facts)) if _host(facts) else "not set" for facts in (baseline, current))
        found.append(f"host: {', now '.join(hosts)} (`loadflow calibrate` on both does not show that a hit costs the same)")
    return found


def _without_seed(pace: object) -> object:
    """A pace of random gaps draws a seed of its own where none is written; by it two runs of one script would never be alike."""
    return {key: value for key, value in pace.items() if key != "seed"} if isinstance(pace, Mapping) else pace


def _short(values: JsonMapping, key: str, characters: int = 120) -> str:
    text = _canonical(values[key]) if key in values else "not set"
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _canonical(value: object) -> str:
    """Equal values give equal text: a number is the same as a whole one and with a point, keys are sorted."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
