"""The facts of a load that is about to start: how it is divided, on which machine, with which versions."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from loadflow.engine.load.build import Asked
from loadflow.engine.load_test.connecting import sends_http
from loadflow.engine.machine.facts import this_machine, version_of
from loadflow.engine.machine.kept import ceiling_of_run
from loadflow.engine.plan.cluster import Cluster
from loadflow.engine.plan.connections import proxy_shown
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.proxies import unused_proxies
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.process.launch import Processes
from loadflow.engine.protocols.python.place import PYTHON_USER
from loadflow.engine.records.proxies import PROXY, PROXY_NOT_USED
from loadflow.engine.records.rate_changes import AGENTS
from loadflow.engine.records.summary import RunFacts
from loadflow.engine.session.session import Session

__all__ = ["facts_of", "parts_of"]


def parts_of(asked: Asked, engine: Literal["native", "locust"]) -> Processes:
    """How many processes make the load, each with how many event loops."""
    processes = asked.processes * (asked.cluster.expected if asked.cluster is not None else 1)
    # a loop of Locust needs a process of its own, and so does one that runs Python, which runs in one thread of a process at a time
    shares = engine == "native" and asked.plan.protocol != PYTHON_USER
    return Processes(engine, processes, asked.threads) if shares else Processes(engine, processes * asked.threads)


def facts_of(session: Session, plan: Plan, asked: Asked, parts: Processes, why_not_native: str) -> RunFacts:
    """Without what only a run has: its id, its folder, and when it started."""
    redactor = redactor_of(plan, session.environment)
    # of the machines of agents this one knows nothing
    ceiling = None if asked.cluster else ceiling_of_run(parts.engine, _spoken(plan), parts.shards, plan.asked_per_s)
    return RunFacts(
        id="",
        label=redactor.text(asked.label or session.label),
        script=session.name,
        folder="",
        protocol=_spoken(plan),
        engine=parts.engine,
        why_not_native=why_not_native,
        calibration=ceiling.to_json() if ceiling else None,
        target=redactor.text(asked.target),
        revision=redactor.text(asked.revision),
        flow_run_ids=tuple(session.flow_run_ids),
        flow_run_url=session.flow_run_url,
        users=plan.users,
        planned_s=plan.duration_s,
        started_unix_s=0.0,
        plan=redactor.value(replace(plan, material={}, sources=tuple(map(_lasting, plan.sources))).to_json()),
        environment={
            **_environment(),
            **_proxies(asked.target, plan),
            **_tls(plan),
            "processes": str(parts.shards),
            **_agents(asked.cluster),
        },
    )


def _lasting(source: CsvSource) -> CsvSource:
    """Without the file that is gone with the load, and is another one the next time."""
    return replace(source, file_path="") if source.fetched_from else source


def _spoken(plan: Plan) -> str:
    return ", ".join(plan.protocols)


def _agents(cluster: Cluster | None) -> dict[str, str]:
    return {AGENTS: str(cluster.expected)} if cluster is not None else {}


def _proxies(target: str, plan: Plan) -> dict[str, str]:
    """By which proxy the targets are reached that are known now, or which one is not used: not by every user."""
    targets = target.split(", ")
    by_proxy = sends_http(*plan.protocols) and plan.http_version != 3
    asked = [one for one in targets if by_proxy and urlsplit(one).scheme in ("http", "https")]
    used = dict.fromkeys(shown for one in asked if (shown := proxy_shown(one, plan.connections)))
    unused = unused_proxies([one for one in targets if one not in asked], os.environ)
    return {**({PROXY: ", ".join(used)} if used else {}), **({PROXY_NOT_USED: ", ".join(unused)} if unused else {})}


def _tls(plan: Plan) -> dict[str, str]:
    shown = str(plan.connections.tls)
    return {"tls": shown} if shown else {}


def _environment() -> dict[str, str]:
    versions = {name: version_of(name) for name in ("loadflow", "locust", "gevent", "prefect")}
    machine = this_machine()
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": machine.host,
        "cores": str(machine.cores),
        **({"cpu_quota": f"{machine.cpu_quota:g}"} if machine.cpu_quota is not None else {}),
        "command": Path(sys.argv[0]).name,
    }
