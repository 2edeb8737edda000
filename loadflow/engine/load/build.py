"""From the arguments of LD_start_test and a session's variables to a plan: the last place where a mistake costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.named import load_named
from loadflow.engine.fleet.keys import Token
from loadflow.engine.fleet.package import refuse_unshippable
from loadflow.engine.generator.native.fit import EngineName
from loadflow.engine.load.clustering import cluster_of, master_of
from loadflow.engine.load.pacing import pace_of, users_of
from loadflow.engine.load.read_once import settled_once
from loadflow.engine.load.rules import hosted, refuse_plain, refuse_routes, with_headers
from loadflow.engine.load.threshold_rules import limits_failures, thresholds_for
from loadflow.engine.load_test.connecting import connections_of, no_local_address
from loadflow.engine.load_test.http_version import CORES_OWN
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.stop_when import rule_of
from loadflow.engine.load_test.user_types import user_type_of
from loadflow.engine.plan.cluster import Cluster, Workers
from loadflow.engine.plan.csv_source import CsvSource, Query
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.shape import Stage, soak, spike, total_s
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http.known_parts import refuse_known
from loadflow.engine.protocols.http.user import FAST_HTTP_USER, HTTP_USER
from loadflow.engine.protocols.model.step import Retry, Throttle
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.protocols.python.call import Call
from loadflow.engine.protocols.running.checks import compile_checks
from loadflow.engine.protocols.running.seam import HitFailure, PreparedStep
from loadflow.engine.records.names import SeriesName, phased
from loadflow.engine.records.stop_rule import StopRule
from loadflow.engine.records.threshold import Threshold
from loadflow.engine.resolve.data import columns_of
from loadflow.engine.resolve.database_rows import fetch
from loadflow.engine.resolve.secret_values import secrets_in
from loadflow.engine.resolve.static import missing_in, tokens_in
from loadflow.engine.resolve.template import Compiled, Compiler, compile_value
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.script.mistakes import faults_of, mistakes_of
from loadflow.engine.script.part import Part
from loadflow.engine.script.placeholders import SECRET
from loadflow.errors import CommandError, Mistake

__all__ = ["ROOT", "Asked", "build_plan", "worker_of"]

ROOT = "LD_start_test"
REVISION = "revision"  # the variable that names the target's build where no key does
PER_HIT = ("on_start", "tasks", "on_stop")  # resolved by the engine, hit by hit; everything else is resolved now

# Adds what a step needs to the material of the plan, unless it is there; raises HitFailure for what can't be found.
Gather = Callable[[Mapping[str, object], Plan, Compiler, dict[str, str]], None]

# a step of the others may be measured under further names, such as the time to its first message
ONE_NAME_A_STEP = (FAST_HTTP_USER, HTTP_USER)

Place = Callable[[int], str]  # where the script has a step, by its position in the plan

LIMITS: Mapping[str, type[Part]] = {"throttle": Throttle, "retry": Retry}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the arguments ask for: the plan, and what only the parent needs to know."""

    arguments: JsonMapping = field(compare=False)  # as they were written
    plan: Plan
    target: str  # whom it asks, as far as that is known now
    label: str
    revision: str  # the target's build or commit, as the script says it
    processes: int
    threads: int
    engine: EngineName
    max_failure_rate: float
    rate_tolerance: float
    thresholds: tuple[Threshold, ...] = ()
    cluster: Cluster | None = None  # None: this machine makes the load, without agents
    allow_gap: bool = False  # whether the load of an agent that was lost may be missing
    stop_when: StopRule | None = None  # how well its numbers must be known for it to end early
    names: tuple[SeriesName, ...] | None = None  # of all hits; None: not all are known
    test: Any = field(default=None, compare=False)  # the settled StartTest


def worker_of(
    arguments: Mapping[str, object], registered: Variables, env: Mapping[str, str], rules: TargetRules, secret: Callable[[str], str]
) -> tuple[str, int, Token, int]:
    """Host and port of the master to work for, their token, and how many processes do. Everything else that was written is the master's to
    say."""
    test, _ = _validated(hosted(arguments, rules), registered, env, rules, secret)
    return *master_of(test, ROOT), test.processes


def build_plan(
    arguments: Mapping[str, object],
    registered: Variables,
    env: Mapping[str, str],
    rules: TargetRules,
    secret: Callable[[str], str],
    *,
    ask: bool = True,
    workers: Workers | None = None,
    pace_seed: int | None = None,
    proxy_env: Mapping[str, str] | None = None,
) -> Asked:
    """Resolve, validate, and compile once to see that it can be compiled. Raises CommandError with all mistakes found.

    `rules` come from outside the script; `secret` gives the value of `${secret.NAME}`, or raises LookupError. `ask` False:
    what only a server knows is left out. `workers`: who makes the load, unless the script says it. `pace_seed`: of random gaps, where
    the script has no seed. `proxy_env`: the environment that may name proxies, where that is more than scripts may see of it.
    """
    written_arguments = arguments
    if arguments.get("populations") is not None:
        raise CommandError(
            [Mistake(f"{ROOT}.populations", "are for LD_start_test itself; this load is of one", "write the keys of one of them")]
        )
    arguments = hosted(arguments, rules)
    test, variables = _validated(arguments, registered, env, rules, secret)
    sources = {source.name: _with_query_settled(source, variables, env) for source in registered.sources}
    sources |= {one.name: one.source() for one in test.csv_sources}
    limited = "test_time" in arguments or (test.stop_when is not None and test.stop_when.at_most is not None)
    pace = pace_of(test, ROOT, test_time_given=limited, cap_per_s=rules.max_rate_per_s, seed=pace_seed)
    user_type: UserType = test.user_type
    mode, written = test.steps()
    types = [user_type_of(step.get("user")) or user_type for step in written]
    others = {one.name: one for one in types if one is not user_type}
    place = test.place_of_step
    once = settled_once(
        with_headers(written, types, rules),
        variables,
        lambda value, known, at: _settled_value(value, known, env, at),
        lambda position: f"{ROOT}.{place(position)}",
    )
    steps = _settled_limits(once, variables, env, place)
    columns: dict[str, Collection[str]] = {**_columns(one for one in sources.values() if one.database is None)}
    for name, source in sources.items():
        if source.database is not None:
            columns[name] = ANY
            if ask:
                hidden = [str(value) for key, value in variables.items() if key.startswith(SECRET)]
                sources[name], columns[name] = fetch(source, source.database, hidden)
    _refuse_missing(steps, variables, columns, env, place)
    plan = Plan(
        protocol=user_type.name,
        speaker=user_type.protocol,
        mode=mode,
        steps=steps,
        stages=_stages(test) if pace is None else (Stage(pace.duration_s, users_of(test, pace), float(users_of(test, pace))),),
        duration_s=_duration_s(test, "test_time" in arguments) if pace is None else pace.duration_s,
        pace=pace,
        variables=variables,
        sources=tuple(sources.values()),
        host=test.target,
        iterations=test.iterations,
        wait_s=_span(test.wait_time),
        drain_s=float(test.drain_time),
        seed=test.seed,
        max_body_bytes=test.max_body_bytes,
        http_version=test.user_detail_dict.http_version if test.user_detail_dict.http_version in CORES_OWN else None,
        redact=tuple(test.redact),
        env_names=tuple(
            sorted(
                {
                    token.parts[0]
                    for token in tokens_in([dict(registered.values), registered.queries, dict(arguments)])
                    if token.kind == "env"
                }
            )
        ),
        web_ui=(test.web_ui_dict.host, test.web_ui_dict.port) if test.web_ui_dict else None,
        allowed_hosts=rules.host_lists(),
        max_rate_per_s=rules.max_rate_per_s,
        connections=connections_of(test.user_detail_dict, (user_type.name, *others), env if proxy_env is None else proxy_env),
        revision_header=test.revision_header,
        speakers={name: one.protocol for name, one in others.items()},
        hosts={name: host for name, one in others.items() if (host := test.host_of(one)) is not None},
    )
    compiler = _compiler(plan, env)
    plan, unknown = _with_material(plan, types, compiler, place, ask=ask)
    prepared = _compile_once(plan, types, compiler, unknown, place)
    plan = _with_called(plan, test, prepared)
    places = [step.place for step in prepared]
    refuse_plain(places, plan)
    refuse_routes(places, plan)
    thresholds = thresholds_for(test, plan, prepared, all_prepared=not unknown)
    # a script that says itself how many may fail does not mean the default besides
    own_limit = "max_failure_rate" not in test.model_fields_set and any(map(limits_failures, thresholds))
    cluster = cluster_of(test, workers, ROOT, secret, ask=ask)
    if cluster is not None:
        if plan.web_ui is not None:
            hint = "leave web_ui_dict out; --live shows the load of all agents"
            raise CommandError([Mistake(f"{ROOT}.web_ui_dict", "the web UI shows one process only, and agents make this load", hint)])
        refuse_unshippable(plan, ROOT)
    elif (foreign := no_local_address(plan.connections.local_addresses)) is not None:
        hint = "leave it out, or give the machine this address"
        raise CommandError([Mistake(f"{ROOT}.user_detail_dict.local_address", f"{foreign} is no address of this machine", hint)])
    return Asked(
        arguments=written_arguments,
        plan=plan,
        target=", ".join(dict.fromkeys(map(_origin, places))),
        label=test.label or "",
        revision=test.revision or str(variables.get(REVISION) or ""),
        processes=test.processes,
        threads=test.threads,
        engine=test.user_detail_dict.engine,
        max_failure_rate=1.0 if own_limit else test.max_failure_rate,
        rate_tolerance=test.rate_tolerance,
        thresholds=thresholds,
        cluster=cluster,
        allow_gap=test.allow_gap,
        stop_when=None if test.stop_when is None else rule_of(test.stop_when),
        test=test,
        names=_names(plan, prepared) if all(one in ONE_NAME_A_STEP for one in types) and not unknown else None,
    )


def _validated(
    arguments: JsonMapping, registered: Variables, env: Mapping[str, str], rules: TargetRules, secret: Callable[[str], str]
) -> tuple[Any, JsonObject]:
    """The arguments as their model, and all variables."""
    secrets = secrets_in([dict(registered.values), registered.queries, dict(arguments), dict(rules.headers)], secret)
    known = {**secrets, **_settled(registered.values, secrets, env, "registered variables")}
    own = _settled({**(arguments.get("variables") or {}), **_own_given(arguments, registered)}, known, env, f"{ROOT}.variables")
    variables = {**known, **own}
    settled = {
        key: value if key in PER_HIT else own if key == "variables" else _settled_value(value, variables, env, f"{ROOT}.{key}")
        for key, value in arguments.items()
    }
    try:
        # final: no placeholder is left in place of a number, which the model's types can't say
        test: object = StartTest.model_validate(settled, context={"final": True})
    except ValidationError as error:
        faults = faults_of(error, keys=StartTest.model_fields, noun=ROOT)
        raise CommandError(mistakes_of(faults, settled, ROOT)) from None
    return test, variables


def _own_given(arguments: JsonMapping, registered: Variables) -> dict[str, object]:
    """The test's own variables that were given another value from outside the script."""
    return {name: value for name, value in registered.given.items() if name in (arguments.get("variables") or {})}


def _origin(place: str) -> str:
    """Scheme and host of a URL; what is none stays as it is."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if "://" in place and parts.netloc else place


def _settled(values: Mapping[str, object], known: Mapping[str, object], env: Mapping[str, str], place: str) -> dict[str, object]:
    """Variables with their own placeholders filled in, from those before them and the environment."""
    settled: dict[str, object] = {}
    for name, value in values.items():
        settled[name] = _settled_value(value, {**known, **settled}, env, f"{place}.{name}")
    return settled


def _settled_value(value: object, known: Mapping[str, object], env: Mapping[str, str], place: str) -> object:
    compiled = compile_value(value, known, env)
    if compiled.is_static:
        return compiled.value
    missing = missing_in(value, variables=known, sources={}, env=env)
    raise CommandError(
        [Mistake(place, text) for text in missing]
        or [
            Mistake(
                place, "holds a placeholder that changes from hit to hit", "only ${var.…} and ${env.…} are known before the load starts"
            )
        ]
    )


def _with_query_settled(source: CsvSource, known: Mapping[str, object], env: Mapping[str, str]) -> CsvSource:
    """A source that was registered, as those of the load itself are: without placeholders."""
    if source.database is None:
        return source
    place, asked = f"csv source {source.name!r}", source.database
    url, query = (str(_settled_value(value, known, env, f"{place}, {key}")) for key, value in (("url", asked.url), ("query", asked.query)))
    return replace(source, database=Query(url, query))


def _settled_limits(
    steps: tuple[dict[str, object], ...], variables: Mapping[str, object], env: Mapping[str, str], place_of_step: Place
) -> tuple[dict[str, object], ...]:
    """Throttles and retries are the same for all hits of a step, so their placeholders are filled in now, and what came is checked."""
    settled = []
    mistakes: list[Mistake] = []
    rates: dict[str, float] = {}
    for position, step in enumerate(steps):
        known = dict(step)
        for key, model in LIMITS.items():
            if key not in step:
                continue
            place = f"{ROOT}.{place_of_step(position)}.{key}"
            known[key] = _settled_value(step[key], variables, env, place)
            try:
                model.model_validate(known[key], context={"final": True})
            except ValidationError as error:
                mistakes.extend(mistakes_of(faults_of(error, keys=model.keys(), noun=model.noun), known[key], place))
        throttle: Any = known.get("throttle")
        shared = str(throttle.get("key") or step.get("name") or "") if throttle else ""
        if shared and rates.setdefault(shared, throttle["rps"]) != throttle["rps"]:
            text = f"rps is {throttle['rps']}, and another step with the key {shared!r} says {rates[shared]}"
            mistakes.append(Mistake(f"{ROOT}.{place_of_step(position)}.throttle", text, "write one rate, or give each a key of its own"))
        settled.append(known)
    if mistakes:
        raise CommandError(mistakes)
    return tuple(settled)


class _AnyColumn(Collection[str]):
    """The columns of a query that a check does not make."""

    def __contains__(self, column: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


ANY = _AnyColumn()


def _columns(sources: Iterable[CsvSource]) -> dict[str, tuple[str, ...]]:
    mistakes: list[Mistake] = []
    columns: dict[str, tuple[str, ...]] = {}
    for source in sources:
        try:
            columns[source.name] = columns_of(source)
        except CommandError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise CommandError(mistakes)
    return columns


def _refuse_missing(
    steps: tuple[JsonObject, ...],
    variables: Mapping[str, object],
    columns: Mapping[str, Collection[str]],
    env: Mapping[str, str],
    place: Place,
) -> None:
    """What no hit could ever have a value for. Conditions are left out: there a missing value means false."""
    extracted: dict[str, set[str]] = {"var": set(), "session": set()}
    for step in steps:
        for entry in step.get("extract") or ():
            extracted[entry.get("scope") or "var"].add(entry["var"])
    mistakes = []
    for position, step in enumerate(steps):
        checked = {key: value for key, value in step.items() if key not in ("run_if", "skip_if")}
        for text in missing_in(checked, variables={*variables, *extracted["var"]}, session=extracted["session"], sources=columns, env=env):
            mistakes.append(Mistake(f"{ROOT}.{place(position)}", text))
    if mistakes:
        raise CommandError(mistakes)


def _compiler(plan: Plan, env: Mapping[str, str]) -> Compiler:
    """Fills in what is the same for all hits."""
    written = {entry["var"] for step in plan.steps for entry in step.get("extract") or ()}
    constants = {name: value for name, value in plan.variables.items() if name not in written}

    def compiler(value: object) -> Compiled:
        return compile_value(value, constants, env)

    return compiler


def _with_material(plan: Plan, types: Sequence[UserType], compiler: Compiler, place: Place, *, ask: bool) -> tuple[Plan, frozenset[int]]:
    """The plan with what the user types look up for their steps, here and once, so that no engine has to; and the positions of the
    steps that lack it, because only a server knows it and is not to be asked."""
    material: dict[str, str] = {}
    mistakes = []
    unknown: set[int] = set()
    parts = {name: plan.part(name) for name in plan.protocols}
    for position, (step, user_type) in enumerate(zip(plan.steps, types, strict=True)):
        if not user_type.gather:
            continue
        if not ask and user_type.asks(step):
            unknown.add(position)
            continue
        gather: Gather = load_named(user_type.gather)
        try:
            gather(step, parts[user_type.name], compiler, material)
        except HitFailure as failure:
            mistakes.append(Mistake(f"{ROOT}.{place(position)}", str(failure)))
    if mistakes:
        raise CommandError(mistakes)
    return (replace(plan, material=material) if material else plan), frozenset(unknown)


def _compile_once(plan: Plan, types: Sequence[UserType], compiler: Compiler, unknown: Collection[int], place: Place) -> list[PreparedStep]:
    """What is wrong with every hit of a step (a file that is not there, a header that can't be sent) shows here."""
    prepared = []
    mistakes = []
    parts = {name: plan.part(name) for name in plan.protocols}
    for position, (step, user_type) in enumerate(zip(plan.steps, types, strict=True)):
        try:
            refuse_known(step, compiler)
            if position not in unknown:
                prepared.append(load_named(user_type.prepare)(step, parts[user_type.name], compiler))
        except HitFailure as failure:
            mistakes.append(Mistake(f"{ROOT}.{place(position)}", str(failure)))
        try:
            compile_checks(step.get("assertions") or (), compiler)
        except (TypeError, ValueError) as error:  # a variable of the wrong kind where a status belongs
            mistakes.append(Mistake(f"{ROOT}.{place(position)}.assertions", str(error), "give the variable another value"))
    if mistakes:
        raise CommandError(mistakes)
    return prepared


def _with_called(plan: Plan, test: StartTest, prepared: Sequence[PreparedStep]) -> Plan:
    """The plan with the protocols that its functions of Python speak beside HTTP."""
    called = dict.fromkeys(name for step in prepared if isinstance(step, Call) for name in step.speaks)
    if not called:
        return plan
    others = {name: one for name in called if (one := user_type_of(name)) is not None}
    hosts = {name: host for name, one in others.items() if (host := test.host_of(one)) is not None}
    return replace(plan, speakers={name: one.protocol for name, one in others.items()}, hosts=hosts)


def _names(plan: Plan, prepared: Sequence[PreparedStep]) -> tuple[SeriesName, ...] | None:
    pairs = zip(plan.steps, prepared, strict=True)
    names = [SeriesName(step.method, phased(config, step.name)) for config, step in pairs if step.name is not None]
    return tuple(names) if len(names) == len(prepared) else None


def _stages(test: Any) -> tuple[Stage, ...]:
    shape: Any = test.shape()
    if shape is None:
        return (Stage(test.most_s, test.user_count, float(test.spawn_rate)),)
    if test.load_shape == "spike":
        peak = shape.baseline_users if shape.spike_users is None else shape.spike_users
        return spike(
            baseline_users=shape.baseline_users,
            spike_users=peak,
            spawn_rate=shape.spawn_rate,
            pre_seconds=shape.pre_seconds,
            spike_seconds=shape.spike_seconds,
            post_seconds=shape.post_seconds,
        )
    if test.load_shape == "soak":
        return soak(
            users=shape.users,
            spawn_rate=max(1, shape.users // 10) if shape.spawn_rate is None else shape.spawn_rate,
            ramp_seconds=shape.ramp_seconds,
            hold_seconds=shape.hold_seconds,
            cooldown_seconds=shape.cooldown_seconds,
        )
    return tuple(Stage(stage.duration, stage.users, stage.spawn_rate) for stage in shape.stages)


def _duration_s(test: Any, test_time_given: bool) -> float | None:
    """The end of the shape or of test_time, whichever is first. The default test_time does not cut a shape."""
    if test.load_shape is None:
        return _seconds(test.most_s)
    length = total_s(_stages(test))
    limits = [limit for limit in (length, _seconds(test.test_time) if test_time_given else None) if limit is not None]
    return min(limits) if limits else None


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _span(wait: Any) -> tuple[float, float]:
    if wait is None:
        return (0.0, 0.0)
    if isinstance(wait, int | float):
        return (float(wait), float(wait))
    return (float(wait.min), float(wait.max))
