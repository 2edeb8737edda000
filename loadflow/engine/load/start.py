"""LD_start_test, the command: from arguments to a plan, which `load.one_load` then makes the load of."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.generator.native.fit import Choice, choose
from loadflow.engine.load.build import ROOT, Asked, build_plan, worker_of
from loadflow.engine.load.target_watch import Questions, questions_of
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.populations import tests_of
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.resolve.database_rows import rows_kept
from loadflow.engine.script.mistakes import mistakes_of
from loadflow.engine.session.session import Session, current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["start_test"]

NO_FLOW = "run the script with `loadflow run`, without --direct, or as a deployment; or leave the pool out"
NOT_WRITTEN: Any = Enum("NotWritten", "NOT_WRITTEN").NOT_WRITTEN  # type: ignore[attr-defined]  # a default that no value is equal to


def start_test(
    user_detail_dict: Mapping[str, object],
    user_count: int = NOT_WRITTEN,
    spawn_rate: float = NOT_WRITTEN,
    test_time: float | None = NOT_WRITTEN,
    web_ui_dict: Mapping[str, object] | None = None,
    runner_mode: str = "local",
    load_shape: str | None = None,
    shape_config: Mapping[str, object] | None = None,
    **settings: object,
) -> JsonObject:
    """Run one load test and return its summary (`Summary.to_json`, and `run_dir`, the run's folder).

    What is not written has the default that docs/script.md says, which may depend on the rest; what is written counts, whatever
    its value. `settings` are the other keys of LD_start_test (`tasks`, `variables`, `csv_sources`, `host`, `wait_time`,
    `processes`, …). Raises ScriptError before anything is sent; EngineError when the engine was lost; Interrupted when
    an observer asked for the end. Failed hits are no error: they are in the summary and its verdict.

    >>> start_test({"user": "fast_http_user"}, user_count=5, test_time=10,
    ...            tasks=[{"method": "get", "request_url": "http://127.0.0.1:8000/"}])  # doctest: +SKIP
    """
    arguments = {
        "user_detail_dict": user_detail_dict,
        "user_count": user_count,
        "spawn_rate": spawn_rate,
        "test_time": test_time,
        "web_ui_dict": web_ui_dict,
        "runner_mode": runner_mode,
        "load_shape": load_shape,
        "shape_config": shape_config,
        **settings,
    }
    arguments = {name: value for name, value in arguments.items() if value is not NOT_WRITTEN}
    session = current_session()
    if arguments.get("populations") is not None:
        with rows_kept():
            return _start_populations(session, arguments)
    if runner_mode == "worker":
        host, port, token, processes = worker_of(arguments, session.variables, session.environment, session.target, session.secret)
        session.guard.refuse_load(1, processes)
        if session.rehearsing:
            return {}
        from loadflow.engine.fleet.serving import work_once

        return work_once(host, port, token, processes, session)
    with rows_kept():
        return _start(session, arguments)


def _start(session: Session, arguments: Mapping[str, object]) -> dict[str, object]:
    asked = _asked(session, arguments, session.target)
    agents = asked.cluster.expected if asked.cluster is not None else 1
    questions = questions_of(asked.test, session)
    session.guard.refuse_load(max(asked.plan.users, 1), agents * asked.processes * asked.threads)
    engine, why_not_native = choose(asked.plan, asked.engine)
    if session.rehearsing:
        session.loads.append(asked.names)
        _note_engine(session, asked, (engine, why_not_native))
        return {}
    _refuse_taken_port(asked.plan.web_ui)
    _refuse_pool_without_flow(session, asked)
    # what makes a load and writes its report is imported when there is one: a check and a worker need none of it
    from loadflow.engine.load.one_load import make_load

    return make_load(session, asked, engine, why_not_native, questions)


def _refuse_pool_without_flow(session: Session, asked: Asked) -> None:
    if asked.cluster is not None and asked.cluster.pool and session.pool is None:
        raise CommandError([Mistake("LD_start_test.workers.pool", "a work pool is Prefect's, and this is no flow run", NO_FLOW)])


def _note_engine(session: Session, asked: Asked, choice: Choice) -> None:
    if len(asked.plan.protocols) > 1:
        session.engines.append((asked.plan.protocols, *choice))


def _asked(session: Session, arguments: Mapping[str, object], rules: TargetRules) -> Asked:
    """A check does not ask servers: they may be started just before the load."""
    return build_plan(
        arguments,
        session.variables,
        session.environment,
        rules,
        session.secret,
        ask=not session.rehearsing,
        workers=session.workers,
        pace_seed=session.pace_seed,
        proxy_env=os.environ,
    )


def _start_populations(session: Session, arguments: Mapping[str, object]) -> dict[str, object]:
    """A load for each of them, side by side; a cap from outside the script is shared out evenly."""
    if faults := list(StartTest.conflicts(dict(arguments))):
        raise CommandError(mistakes_of(faults, arguments, ROOT))
    tests = tests_of(arguments)
    cap = session.target.max_rate_per_s
    rules = session.target if cap is None else replace(session.target, max_rate_per_s=cap / len(tests))
    populations: dict[str, tuple[Asked, Choice, Questions | None]] = {}
    mistakes: list[Mistake] = []
    label = str(arguments.get("label") or session.label or session.name)
    for index, (name, test) in enumerate(tests):
        try:
            asked = _asked(session, {**test, "label": f"{label}: {name}"}, rules)
            populations[name] = (asked, choose(asked.plan, asked.engine), questions_of(asked.test, session))
        except CommandError as error:
            place = f"{ROOT}.populations[{index}]"
            mistakes += [replace(one, place=one.place.replace(ROOT, place, 1)) for one in error.mistakes]
    if mistakes:
        raise CommandError(mistakes)
    every = [asked for asked, *_ in populations.values()]
    processes = sum(one.processes * one.threads * (one.cluster.expected if one.cluster is not None else 1) for one in every)
    session.guard.refuse_load(max(1, sum(one.plan.users for one in every)), processes)
    if session.rehearsing:
        names = [one.names for one in every]
        for asked, choice, _ in populations.values():
            _note_engine(session, asked, choice)
        session.loads.append(None if None in names else tuple(dict.fromkeys(name for of in names for name in of or ())))
        return {}
    for asked in every:
        _refuse_pool_without_flow(session, asked)
    from loadflow.engine.load.side_by_side import make_loads

    return make_loads(session, populations)


def _refuse_taken_port(web_ui: tuple[str, int] | None) -> None:
    """Locust starts its web UI in the background, where a taken port is a line in a log and nothing more."""
    if web_ui is None:
        return
    try:
        with socket.create_server(web_ui):
            pass
    except OSError as error:
        place = "LD_start_test.web_ui_dict"
        raise CommandError(
            [Mistake(place, f"{web_ui[0]}:{web_ui[1]} can't be listened on: {error.strerror}", "choose another port")]
        ) from None
