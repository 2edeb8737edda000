"""A run again: the session and the script that its evidence holds, and what is different today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.generator.native.fit import choose
from loadflow.engine.load.build import build_plan
from loadflow.engine.load.facts import facts_of, parts_of
from loadflow.engine.load.made_of import asked_of, digests_of
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.plan.conditioner import NetworkConditioner
from loadflow.engine.plan.csv_source import CsvSource, Query
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.evidence import EVIDENCE, read_evidence
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.budget import FailureBudget, InstalledBudget
from loadflow.engine.session.session import Session
from loadflow.errors import RunError

__all__ = ["Again", "again"]

MOST_PLACES = 5
LISTS = ("allowed_hosts", "only_if")  # of the target's rules
DIGITS = 12  # of a digest, for people
NO_VERSION = ("command", "processes", "host", "cores", "cpu_quota")  # of the environment; all but the first are said of the plan's traits


@dataclass(frozen=True, slots=True)
class Again:
    """`document`: the script, for `session`. `different`: each a sentence of what is not as it was; `notes`: what can't be held equal."""

    session: Session
    document: list[object]
    different: tuple[str, ...]
    notes: tuple[str, ...]


def again(run: Run, runs_dir: Path) -> Again:
    """Raises RunError for a run whose evidence is not there, or not all of it; ScriptError where the script can't be checked now."""
    kept = read_evidence(run.folder).get("made_of")
    if not isinstance(kept, Mapping) or not isinstance(kept.get("asked"), Mapping) or not isinstance(kept.get("digests"), Mapping):
        raise RunError(f"{run.folder} has no {EVIDENCE} that says what the run was made of; an older release made it: run its script again")
    asked = kept["asked"]
    if masked := asked.get("masked"):
        more = f" and {counted(len(masked) - MOST_PLACES, 'more place')}" if len(masked) > MOST_PLACES else ""
        raise RunError(
            f"{run.folder} holds no secrets, and the script of this run had some in clear: {', '.join(masked[:MOST_PLACES])}{more}; write "
            "${secret.NAME} there, and run the script itself"
        )
    try:
        session = _session(asked, runs_dir)
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(f"the {EVIDENCE} of {run.folder} is damaged ({error}); run the script itself") from error
    return Again(session, [["LD_start_test", asked["arguments"]]], tuple(_different(run, kept, session)), tuple(_notes(asked, run)))


def _session(asked: JsonMapping, runs_dir: Path) -> Session:
    """As it was when the load started."""
    target, values, given = asked["target"], asked["variables"], asked["given"]
    session = Session(
        name=asked["session"]["name"],
        label=asked["session"]["label"],
        runs_dir=runs_dir,
        variables={name: values[name] for name in given},
        target=TargetRules(**{**target, **{key: tuple(target[key]) for key in LISTS if target.get(key) is not None}}),
        workers=_workers(asked["workers"]),
    )
    session.variables.register_many(values)
    session.variables.register_sources(map(_source, asked["sources"]))
    session.network = NetworkConditioner(**asked["network"]) if asked["network"] else None
    session.budget = InstalledBudget(FailureBudget(*asked["budget"])) if asked["budget"] else None
    session.pace_seed = asked["pace_seed"]
    return session


def _source(kept: JsonMapping) -> CsvSource:
    database = kept.get("database")
    return CsvSource(**{**kept, "database": Query(**database) if database else None})


def _workers(kept: JsonMapping | None) -> Workers | None:
    return None if kept is None else Workers(**{**kept, "listen": tuple(kept["listen"]) if kept["listen"] else None})


def _different(run: Run, kept: JsonMapping, session: Session) -> Iterator[str]:
    arguments = kept["asked"]["arguments"]
    asked = build_plan(
        arguments,
        session.variables,
        session.environment,
        session.target,
        session.secret,
        workers=session.workers,
        pace_seed=session.pace_seed,
    )
    engine, why_not_native = choose(asked.plan, asked.engine)
    plan = replace(asked.plan, network=session.network)
    facts = facts_of(session, plan, asked, parts_of(asked, engine), why_not_native)
    then = run.facts.environment
    # how hits were traced and flushed is none of the script's; another host is another one, however alike a calibration calls it
    alike = replace(run.facts, plan={**run.facts.plan, "traces": None}, calibration=None)
    yield from unlike(alike, facts)
    for name in dict.fromkeys([*then, *facts.environment]):
        if name not in NO_VERSION and then.get(name) != facts.environment.get(name):
            yield f"{name}: {then.get(name, 'not set')}, now {facts.environment.get(name, 'not set')}"
    yield from _of_digests(kept["digests"], digests_of(asked.plan, asked_of(session, asked.plan, arguments)))


def _of_digests(then: JsonMapping, now: JsonMapping) -> Iterator[str]:
    for kind, noun in (("data", "file"), ("code", "code of")):
        before, after = then.get(kind) or {}, now[kind]
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                yield f"the {noun} {name}: {_short(before.get(name))}, now {_short(after.get(name))}"
    program, machine = then.get("loadflow") or {}, then.get("machine") or {}
    for key, text in (("files", "the files of loadflow itself"), ("wheel", "the wheel of loadflow")):
        if program.get(key) != now["loadflow"][key]:
            yield f"{text}: {_short(then['loadflow'].get(key))}, now {_short(now['loadflow'][key])}"
    if (then.get("image") or "") != now["image"]:
        yield f"the container image: {then.get('image') or 'not said'}, now {now['image'] or 'not said'}"
    for key, value in now["machine"].items():
        if key not in NO_VERSION and machine.get(key) != value:
            yield f"the machine's {key.replace('_', ' ')}: {then['machine'].get(key)}, now {value}"


def _short(digest: object) -> str:
    if isinstance(digest, Mapping):
        digest = digest.get("sha256") or digest.get("why")
    return str(digest)[:DIGITS] if digest else "not there"


def _notes(asked: JsonMapping, run: Run) -> Iterator[str]:
    text = str(asked)
    if "${secret." in text or "${env." in text:
        yield "the values of ${secret.…} and ${env.…} are not kept: those of today are sent"
    if asked["arguments"].get("seed") is None:
        yield "the script has no seed: random values and rows are drawn anew, due times are the same"
    if run.pace is not None and run.pace.changes:
        yield "its rate was changed while it ran, by hand or by an interlock: that is not done again"
