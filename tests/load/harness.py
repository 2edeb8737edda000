"""Runs steps as real load and gives back all that can be compared: what was recorded and what the target received."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load.start import start_test
from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import EngineError, RunError
from tests.services import need

Step = dict[str, Any]


def get(path: str, **more: Any) -> Step:
    return {"method": "get", "request_url": path, **more}


def post(path: str, **more: Any) -> Step:
    return {"method": "post", "request_url": path, **more}


def raw(*pieces: bytes, then: str = "keep") -> str:
    """The path at which the target answers with these bytes, a short wait between them."""
    return "/raw?" + "&".join(f"b64={urlsafe_b64encode(piece).decode()}" for piece in pieces) + f"&then={then}"


# both engines; `http_user` has the client of `fast_http_user` (tests/protocols/http/test_http_name.py loads with it)
USERS = ("fast_http_user", "native")
ENGINES = ("locust", "native")
DEFAULT = "fast_http_user"  # replaced by tests that run with several


def detail(user: str) -> dict[str, Any]:
    if user in ("http2", "http3"):
        return {"user": "fast_http_user", "http_version": int(user[-1])}
    if user in ("http2 streams", "http3 streams"):
        return {"user": "fast_http_user", "http_version": int(user[4]), "streams": 3}
    if user == "native":
        return on("native", "fast_http_user")
    return on("locust", user)


def on(engine: str, user: str) -> dict[str, Any]:
    """The `user_detail_dict` of one of `ENGINES`."""
    if engine == "native":
        need(is_built(), "the native core is not built")
    return {"user": user, "engine": engine}


@dataclass(frozen=True)
class Hit:
    """One row of the log, its ids resolved."""

    name: str
    outcome: Outcome
    status: int
    error: str
    flags: int
    user: int


class Seconds(Observer):
    """Keeps every snapshot."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


@dataclass(frozen=True)
class Outcomes:
    """`summary` is what start_test returned, or {} when it raised `error`."""

    run: Run
    summary: dict[str, Any]
    error: RunError | None
    snapshots: list[Snapshot]

    @property
    def hits(self) -> list[Hit]:
        found = []
        names = self.run.names()
        for _, rows in self.run.iter_hits():
            for row in rows:
                error = names.errors[int(row["error"])].text if row["error"] else ""
                name = names.series[int(row["series"])].name
                found.append(Hit(name, Outcome(int(row["outcome"])), int(row["status"]), error, int(row["flags"]), int(row["user"])))
        return found

    @property
    def rows(self) -> Rows:
        return self.run.hits()

    def counts(self) -> Counter[str]:
        return Counter(hit.name for hit in self.hits)

    def outcome(self, name: str) -> Outcome:
        """Of the last hit of this name."""
        return [hit for hit in self.hits if hit.name == name][-1].outcome

    def error_text(self, name: str) -> str:
        return [hit for hit in self.hits if hit.name == name][-1].error


def load(folder: Path, steps: Any, *, user: str | None = None, engine: str | None = None, **arguments: Any) -> Outcomes:
    """One user, one pass, unless `arguments` say otherwise: the run ends when all passes are made, however fast the machine is.

    `engine`: one of `ENGINES`, where `user` does not say it.
    """
    watch = Seconds()
    with use_session(Session(runs_dir=folder / "runs", observers=[watch])) as session:
        summary: dict[str, Any] = {}
        error = None
        plain = {} if "rate" in arguments else {"user_count": 1, "spawn_rate": 1000, "test_time": 60, "iterations": 1}
        given = {**plain, **arguments}
        written = given.pop("user_detail_dict", None) or (on(engine, user or DEFAULT) if engine else detail(user or DEFAULT))
        try:
            summary = start_test(written, tasks=steps, **given)
        except RunError as raised:
            error = raised
        done = Outcomes(session.runs[-1], summary, error, watch.snapshots)
        if not isinstance(error, EngineError):
            balance(done)
        return done


def balance(done: Outcomes) -> None:
    """What must hold of every run that was not lost: its numbers follow from its hits, and from each other."""
    summary = done.run.summary().to_json()
    totals, time_s = summary["totals"], summary["duration_s"]
    assert totals["requests"] == totals["successes"] + totals["failures"] + totals["replaced"]
    assert totals["requests"] == int(np.count_nonzero((done.rows["flags"] & HitFlag.SETUP) == 0))
    setup = tuple(name for name in summary["per_name"] if name.startswith(("on_start: ", "on_stop: ")))
    assert totals["requests"] + sum(summary["per_name"][name]["count"] for name in setup) == len(done.rows)
    assert totals["requests"] == pytest.approx(totals["rate_per_s"] * time_s)
    for one in summary["per_name"].values():
        assert one["count"] == pytest.approx(one["rate_per_s"] * time_s)
        assert one["failure_rate"] == pytest.approx(one["failures"] / (one["count"] - one["replaced"]) if one["count"] else 0)
    assert sum(one["failures"] for name, one in summary["per_name"].items() if name not in setup) == totals["failures"]
    for threshold in summary["thresholds"]:
        if threshold["scope"] == "" and threshold["expression"].split()[0] in ("failure_rate", "failures", "requests"):
            assert threshold["observed"] == totals[threshold["expression"].split()[0]]
        if threshold["scope"] == "" and threshold["expression"].startswith("rate"):
            assert threshold["observed"] == totals["rate_per_s"]
    folded, told = ({name: one.to_json() for name, one in totals.series.items()} for totals in (done.run.fold(), done.run.totals()))
    assert folded == told
    whole = done.run.totals()
    assert sum(error.final for (name, _), error in whole.errors.items() if not name.is_setup) == whole.overall().final_failures
    first = int(np.count_nonzero(done.rows["flags"] & HitFlag.FIRST))
    assert first <= whole.passes.started, "more passes in the rows than in the books"
    passes = summary["passes"]
    assert passes["due"] == passes["started"] + passes["dropped"] + passes["lost"]
    assert passes["started"] == passes["made"] + passes["cut_off"]
    if summary["rate"] is not None:
        assert summary["rate"]["achieved_per_s"] * time_s == pytest.approx(passes["started"])
        assert sum(snapshot.delta.passes.due for snapshot in done.snapshots) == passes["due"]
