"""A plan as the native core takes it: everything compiled that can be known before the load."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.values import text_of
from loadflow.engine.generator.native.cut import cut_of
from loadflow.engine.generator.native.fit import CORE_CIPHERS
from loadflow.engine.generator.native.messages import SPEECHES, message_of, speeches_of
from loadflow.engine.generator.native.nodes import Node, Nodes, is_static, static_value
from loadflow.engine.generator.native.request import request_of
from loadflow.engine.generator.native.streams import stream_of
from loadflow.engine.generator.native.tls_table import TlsTable
from loadflow.engine.generator.network import is_conditioned
from loadflow.engine.generator.retry import RetryRule
from loadflow.engine.generator.throttle import Throttle, throttles_of
from loadflow.engine.markup.query import nothing_at, query_of, too_much
from loadflow.engine.plan.connections import TlsTerms
from loadflow.engine.plan.constants import constants_of
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.plan.pace import LATE_NS, Pace
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import AssertionJson, ExtractJson, StepJson
from loadflow.engine.plan.way import fails_pass
from loadflow.engine.process.states import STOP_DRAIN_S
from loadflow.engine.protocols.http.request import DEFAULT_TIMEOUT_S, HttpStep, asks_to_close, default_fields, place_of
from loadflow.engine.protocols.python.place import PYTHON_USER
from loadflow.engine.protocols.running.checks import group_of, not_as_wanted, nothing_matches, secret_entries
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.names import phased
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import status_number, status_text
from loadflow.engine.reliability.classify import TRANSIENT_STATUS
from loadflow.engine.resolve.data import Data, Table, load_rows
from loadflow.engine.resolve.static import tokens_in
from loadflow.engine.resolve.template import Compiled, compile_value

__all__ = ["NativePlan", "compile_plan"]


class NativePlan:
    """`json` and `tables` are what the core is made of; `steps` and `tls` make the rare requests that Python has to make; `data` has the
    rows that functions of Python ask for."""

    def __init__(self, text: bytes, tables: list[Any], steps: Sequence[Any], tls: TlsTable, data: Data) -> None:
        self.json = text
        self.tables = tables
        self.steps = steps
        self.tls = tls
        self.data = data


def compile_plan(
    plan: Plan, shard: int, shards: int, env: Mapping[str, str], read: Callable[[CsvSource], Table] | None = None
) -> NativePlan:
    """`plan` is the shard's own share. Raises CommandError where a CSV file can't be read any more.

    `read` gives the tables of CSV sources, with rows that the core takes as `tables`; without it the rows stand in `json`.
    """
    in_python = plan.protocol == PYTHON_USER
    read = None if in_python else read  # its rows are Python's
    data = Data.load(plan.sources, shard=shard, shards=shards, seed=plan.seed, read=read or load_rows)
    tables = [data.sources[source.name].rows for source in plan.sources] if read is not None else []
    constants = constants_of(plan)
    nodes = Nodes(constants, env, data, plan.variables)
    tls = TlsTable()

    def compiler(value: object) -> Compiled:
        return compile_value(value, constants, env)

    speeches = speeches_of(plan)
    parts = {name: plan.part(name) for name in plan.protocols}

    def prepare(config: StepJson) -> Any:
        user = config.get("user", plan.protocol)
        way: Any = _call if in_python else SPEECHES[user].prepare if user in SPEECHES else HttpStep
        return way(config, parts[user], compiler)

    prepared: list[Any] = [prepare(config) for config in plan.steps]
    conditioner = plan.network

    def request(config: StepJson, step: Any) -> JsonObject:
        if in_python:
            return {"call": _asking(config, step, plan, tls)}
        user = config.get("user", plan.protocol)
        if user in SPEECHES:
            return {"message": {"speech": speeches.index(user), "made": message_of(SPEECHES[user], step, nodes, tls)}}
        return request_of(config, step, parts[user].host, nodes, tls)

    def conditioned(config: StepJson, step: Any) -> str:
        if conditioner is None or not (in_python or is_conditioned(conditioner, config, step, compiler)):
            return "no"
        return "yes" if step.name is not None and not in_python else "ask"

    throttles = throttles_of(plan.steps)
    cap = Throttle(plan.max_rate_per_s) if plan.max_rate_per_s is not None else None
    used = list(dict.fromkeys(one for one in (*throttles, cap) if one is not None))
    secrets = _Secrets(plan, nodes)
    steps: list[JsonObject] = []
    for config, step, throttle in zip(plan.steps, prepared, throttles, strict=True):
        steps.append(
            {
                "method": step.method,
                "name": None if step.name is None else phased(config, step.name),
                "name_node": nodes.of(phased(config, config["name"])) if step.name is None and not in_python else None,
                "on_failure": fails_pass(config),
                "run_if": _condition(config.get("run_if"), nodes),
                "skip_if": _condition(config.get("skip_if"), nodes),
                "throttles": [used.index(one) for one in (throttle, cap) if one is not None],
                "conditioned": conditioned(config, step),
                "own_status": any(entry["type"] == "status_code" for entry in config.get("assertions") or ()),
                "checks": [_check(entry, nodes) for entry in config.get("assertions") or ()],
                "extracts": [_extract(entry, nodes) for entry in config.get("extract") or ()],
                "retry": _retry(config.get("retry")),
                "think": _think(config.get("think_time"), nodes),
                "batch": _batch(plan, len(steps), nodes),
                "request": request(config, step),
                "stream": None if config.get("stream") is None else stream_of(config["stream"]),
            }
        )
    # a user's secrets lie in variables that any step writes, so their places are known only now
    for made, config in zip(steps, plan.steps, strict=True):
        made["secrets"] = secrets.of(config)
    seeded = plan.seed is not None
    way = plan.way
    network = (
        None
        if conditioner is None
        else {
            "latency_ms": conditioner.latency_ms,
            "jitter_ms": conditioner.jitter_ms,
            "loss_rate": conditioner.loss_rate,
            "name_filter": conditioner.name_filter,
            "seed": f"network {plan.seed} {shard}" if seeded else None,
        }
    )
    whole = {
        "shard": shard,
        "shards": shards,
        "steps": steps,
        "on_start": len(way.start),
        "units": [(unit.first, unit.end) for unit in way.units],
        "on_stop": way.stop.start,
        "weights": [unit.weight for unit in way.units] if plan.mode == "weighted" else None,
        # the passes of a pace are shared out among the loops, so their picks are one order for all of these
        "pick_seed": f"picks {plan.seed}" if plan.pace else f"picks {plan.seed} {shard}",
        "pace": _pace(plan.pace),
        "stages": [{"duration_s": stage.duration_s, "users": stage.users, "spawn_rate": stage.spawn_rate} for stage in plan.stages],
        "duration_s": plan.duration_s,
        "iterations": plan.iterations,
        "ends_with_users": plan.ends_with_users,
        "wait_s": plan.wait_s,
        "drain_s": plan.drain_s,
        "stop_drain_s": min(plan.drain_s, STOP_DRAIN_S),
        "user_seed": f"user {plan.seed} {shard}" if seeded else None,
        "network": network,
        "traces": {"sample_rate": plan.traces.sample_rate, "per_s": plan.traces.per_s} if plan.traces is not None else None,
        "variables": nodes.initial(),
        "session_places": len(nodes.session),
        "sources": [] if in_python else _sources(plan, data, shard, in_json=read is None),
        "pools": nodes.pools,
        "max_body_bytes": plan.max_body_bytes,
        "speeches": [SPEECHES[name].of_plan(parts[name], tls) for name in speeches],
        "http2": plan.http_version == 2,
        "http3": plan.http_version == 3,
        "streams": plan.connections.streams,
        "kept": plan.connections.kept,
        "local_addresses": plan.connections.local_addresses,
        "tls_terms": _tls_terms(plan.connections.tls),
        "routed": not plan.connections.is_direct,
        "flush_s": plan.flush_s,
        "tls": tls.to_json(),
        "throttles": [{"rate_per_s": 1e9 / one.interval_ns, "burst": one.burst} for one in used],
        "fenced": bool(plan.allowed_hosts),
        "transient_status": sorted(TRANSIENT_STATUS),
        "revision_header": plan.revision_header,
    }
    return NativePlan(json.dumps(whole).encode(), tables, prepared, tls, data)


def _call(config: Mapping[str, object], plan: Plan, compiler: Callable[[object], Compiled]) -> object:
    from loadflow.engine.protocols.python.call import Call  # few loads have functions, and none should start later for them

    return Call(config, plan, compiler)


def _asking(config: StepJson, call: Any, plan: Plan, tls: TlsTable) -> JsonObject:
    """What a function's requests are called, and, where plain ones can be laid out by the core, what they begin with."""
    phase = config.get("phase")
    named = {"title": call.title, "numbered": call.title == "request", "phase": "" if phase is None else f"{phase}: "}
    base, defaults = None, default_fields(plan)
    if plan.host and not config.get("headers") and "@" not in plan.host:
        try:
            scheme, host, port, path = place_of(plan.host, None, Outcome.TEMPLATE)
        except HitFailure:
            path = "?"
        if "?" not in path:
            base = {
                "place": {"https": scheme == "https", "host": host, "port": port, "tls": tls.number(True, None), "sni": None},
                "path": path.rstrip("/"),
                "lines": [(name.lower(), f"{name}: {value}\r\n") for name, value in defaults.items()],
                "closes": asks_to_close(list(defaults.items())),
                "limits": {"connect_s": DEFAULT_TIMEOUT_S, "total_s": DEFAULT_TIMEOUT_S, "follow": True},
            }
    return {**named, "base": base}


def _tls_terms(terms: TlsTerms) -> dict[str, object]:
    return {"versions": terms.versions, "ciphers": [CORE_CIPHERS[name] for name in terms.ciphers], "resumes": terms.resumes}


def _pace(pace: Pace | None) -> dict[str, object] | None:
    """The core gets the due times of passes while it runs."""
    if pace is None:
        return None
    return {
        "max_in_flight": pace.max_in_flight,
        "max_lateness_s": pace.max_lateness_s,
        "duration_s": pace.duration_s,
        "late_ns": LATE_NS,
    }


def _sources(plan: Plan, data: Data, shard: int, *, in_json: bool) -> list[dict[str, object]]:
    """The rows as Python reads them, where they stand `in_json`, and the text that the core draws from."""
    seeds = {source.name: source.seed if source.seed is not None else plan.seed for source in plan.sources}
    return [
        {
            "name": source.name,
            "rows": data.sources[source.name].rows if in_json else [],
            "mode": source.mode,
            "per_user": source.per == "user",
            "seed": None if (seed := seeds[source.name]) is None else f"csv {seed} {source.name} {shard}",
        }
        for source in plan.sources
    ]


def _condition(expression: object, nodes: Nodes) -> dict[str, object] | None:
    """None for an absent one (null)."""
    if expression is None:
        return None
    if not isinstance(expression, Mapping):
        return {"truthy": nodes.of(expression)}
    ((operator, operand),) = expression.items()
    match str(operator).lower():
        case "equals":
            return {"equals": [nodes.of(one) for one in operand]}
        case "not_equals":
            return {"not": {"equals": [nodes.of(one) for one in operand]}}
        case "in":
            return {"in": [nodes.of(one) for one in operand]}
        case "truthy":
            return {"truthy": nodes.of(operand)}
        case "not":
            inner = _condition(operand, nodes)
            return {"and": []} if inner is None else {"not": inner}
        case word:  # and, or
            return {word: [part for one in operand if (part := _condition(one, nodes)) is not None]}


def _check(entry: AssertionJson, nodes: Nodes) -> dict[str, object]:
    match entry["type"]:
        case "status_code":
            return _status(nodes.of(entry["value"]))
        case "contains" | "not_contains":
            return {"contains": {"text": _text(nodes.of(entry["value"])), "wanted": entry["type"] == "contains"}}
        case "regex" | "not_regex":
            wanted = entry["type"] == "regex"
            return {"pattern": {"pattern": entry["pattern"], "wanted": wanted, "fails": not_as_wanted(entry)}}
        case "json_path":
            where = {"path": entry["path"], "cut": cut_of(entry["path"])}
            return {"truthy": where} if entry.get("truthy") else {"json": {**where, "value": nodes.of(entry.get("value"))}}
        case "header":
            return {"header": {"name": entry["name"], "value": _text(nodes.of(entry["value"]))}}
        case _:  # response_time
            return {"time": nodes.of(entry["max_ms"])}


def _status(node: Node) -> dict[str, object]:
    if not is_static(node):
        return {"statusis": node}
    value = static_value(node)
    allowed = sorted({status_number(one) for one in (value if isinstance(value, list) else [value])})
    return {"status": (allowed, " or ".join(map(status_text, allowed)))}


def _text(node: Node) -> Node:
    """A static value as the text it is compared as."""
    return {"static": text_of(static_value(node))} if is_static(node) else node


def _extract(entry: ExtractJson, nodes: Nodes) -> dict[str, object]:
    session = entry.get("scope") == "session"
    place = nodes.session_value(entry["var"]) if session else nodes.variable(entry["var"])
    return {"var": entry["var"], "place": place, "session": session, "find": _finder(entry), "only": entry.get("only")}


def _finder(entry: ExtractJson) -> dict[str, object] | str:
    match entry.get("from") or "json_path":
        case "json_path":
            return {"json": {"path": entry["path"], "cut": cut_of(entry["path"])}}
        case "header":
            if entry.get("pattern") is None:
                return {"header": entry["name"]}
            taken = {"pattern": entry["pattern"], "group": group_of(entry), "fails": nothing_matches(entry)}
            return {"field": {"name": entry["name"], **taken}}
        case "regex" | "not_regex":
            return {"pattern": {"pattern": entry["pattern"], "group": group_of(entry), "fails": nothing_matches(entry)}}
        case "cookie":
            return {"cookie": entry["name"]}
        case "body":
            return "body"
        case "css" | "xpath":
            query = query_of(entry)
            return {"markup": {"query": query.to_json(), "fails": nothing_at(query), "large": too_much(query.text)}}
        case _:
            return "status"


def _retry(config: Mapping[str, object] | None) -> dict[str, object] | None:
    if config is None:
        return None
    rule = RetryRule.of(config)
    budgets = {"transient": rule.transient, "flaky": rule.flaky, "permanent": rule.permanent}
    delays = {"base_s": rule.backoff.base_s, "max_s": rule.backoff.max_s, "factor": rule.backoff.factor, "jitter": rule.backoff.jitter}
    return {**{name: min(count, 2**32 - 1) for name, count in budgets.items()}, **delays}


def _think(config: object, nodes: Nodes) -> JsonObject | None:
    if config is None:
        return None
    if isinstance(config, Mapping):
        return {"low": nodes.of(config["min"]), "high": nodes.of(config["max"])}
    return {"low": nodes.of(config), "high": None}


def _batch(plan: Plan, first: int, nodes: Nodes) -> dict[str, object] | None:
    """What the first step of a batch says of all of its steps."""
    count = plan.steps[first].get("at_once")
    if not count:
        return None
    used = [token.parts for step in plan.steps[first : first + count] for token in tokens_in(dict(step)) if token.kind == "csv"]
    cells = [cell for parts in used if (cell := nodes.cell(*parts)) is not None]
    think: object = plan.steps[first].get("think_after") or 0
    think_s = (think["min"], think["max"]) if isinstance(think, Mapping) else (think, think)
    return {"count": count, "sources": list(dict.fromkeys(source for source, _ in cells)), "think_s": think_s}


class _Secrets:
    """Where a user's secrets lie when a hit of one step fails; what the plan itself holds is known to the redactor."""

    def __init__(self, plan: Plan, nodes: Nodes) -> None:
        self._nodes = nodes
        self._is_secret = Redactor(plan.redact).is_secret
        self._written = {entry["var"] for step in plan.steps for entry in step.get("extract") or () if self._is_secret(entry["var"])}

    def of(self, config: StepJson) -> JsonObject:
        tokens = [token for token in tokens_in(dict(config)) if token.kind == "csv" and self._is_secret(token.parts[1])]
        cells = {cell for token in tokens if (cell := self._nodes.cell(*token.parts)) is not None}
        found = secret_entries(config.get("assertions") or (), config.get("extract") or (), self._is_secret)
        return {
            "variables": sorted(place for name, place in self._nodes.variables.items() if name in self._written),
            "session": sorted(place for name, place in self._nodes.session.items() if name in self._written),
            "cells": sorted(cells),
            "finders": [_finder(entry) for entry in found],
        }
