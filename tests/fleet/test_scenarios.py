"""Functions of Python on agents: their file travels with the digest of what was checked, and runs only where the machine lets it."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.fleet.package import pack, refuse_python, refuse_unshippable, unpack
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.shape import Stage
from loadflow.engine.scenario.loading import ALLOW, digest_of, load_scenarios
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.tracing import trace
from loadflow.errors import CommandError
from tests.cli.running import loadflow
from tests.fleet.machines import LIMIT_S, InBackground, agents, master
from tests.targets.fixture import Target
from tests.waiting import wait_for

SHOP = """
    from pathlib import Path

    from loadflow import VUser, csv, scenario, task

    users = csv(USERS)
    HERE = Path(__file__)

    @scenario(rps=20, duration="1s", mode="constant", users=4)
    class Shop(VUser):
        def on_start(self, client):
            self.name = client.post("/echo", json={"user": users.name}).json()["method"]

        @task(weight=3)
        def browse(self, client):
            if client.get(f"/ok?from={HERE.parent.parent.name}/{HERE.name}&is={HERE.is_file()}").ok:
                client.get(f"/ok?user={users.name}")

        @task
        async def buy(self, client):
            assert (await client.post("/echo", data=self.name)).status_code == 200
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of scenarios in a folder of its own, which this machine may run."""
    monkeypatch.setenv(ALLOW, "1")
    home = tmp_path / "home"
    home.mkdir()
    (home / "users.csv").write_text("name\nann\nbob\ncleo\ndan\n")
    path = home / "shop.py"
    path.write_text(dedent(SHOP).replace("USERS", repr(str(home / "users.csv"))))
    return path


def arguments_of(file: Path, target: Target, engine: str = "auto") -> dict[str, Any]:
    (made,) = load_scenarios(file)
    arguments = dict(script_of(made, trace(made), file)["load_density"][0][1])
    del arguments["rate"]
    detail = {**arguments.pop("user_detail_dict"), "engine": engine}
    steps = arguments.pop("tasks")
    return {**arguments, "host": target.url, "user_detail_dict": detail, "steps": steps, "user_count": 4}


@pytest.mark.parametrize("engine", ["native", pytest.param("locust", marks=pytest.mark.long)])
def test_agents_run_the_functions_of_the_file_that_they_were_sent(
    engine: str, file: Path, target: Target, tmp_path: Path, port: int
) -> None:
    target.reset()
    away = tmp_path / "away"
    away.mkdir()
    with agents(away, port, 2, **{ALLOW: "1"}) as commands:
        done = master(tmp_path, port, 2, iterations=8, **arguments_of(file, target, engine))
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    assert done.summary["totals"]["failures"] == 0
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * 2
    asked = [one.target for one in target.records("/ok")]
    came_from = {one for one in asked if "from" in one}
    assert came_from == {"/ok?from=files/shop.py&is=True"}, came_from  # a copy of the agent's, not the file here
    assert len(asked) == 2 * 24  # 3 of 4 passes are browse
    assert {one for one in asked if "user" in one} == {f"/ok?user={name}" for name in ("ann", "bob", "cleo", "dan")}
    assert sorted(one.json["user"] for one in target.records("/echo") if one.body.startswith(b"{")) == ["ann", "bob", "cleo", "dan"]


def test_an_agent_that_runs_no_python_says_so_and_how_it_may(file: Path, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1, **{ALLOW: ""}):
        done = master(tmp_path, port, 1, iterations=1, **arguments_of(file, target))
    said = str(done.error)
    assert "this machine runs no Python of scripts, and the load calls functions of shop.py" in said
    assert f"start the agent with {ALLOW}=1, if it may" in said
    assert target.counts() == {}


def test_a_file_that_was_changed_after_the_check_is_refused(file: Path, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    load = InBackground(tmp_path, port, 1, iterations=1, **arguments_of(file, target))
    wait_for("the run's folder", lambda: next((tmp_path / "runs").glob("*/run.json"), None), LIMIT_S)
    file.write_text(file.read_text() + "\n# another one\n")
    with agents(tmp_path, port, 1, **{ALLOW: "1"}):
        said = str(load.done.error)
    assert "shop.py is not the file with which the load was checked" in said
    assert "it was changed meanwhile: start the load again" in said
    assert target.counts() == {}


def test_the_command_divides_a_scenario_among_agents(file: Path, target: Target, tmp_path: Path) -> None:
    target.reset()
    done = loadflow(tmp_path, "run", "home/shop.py", "--direct", "--workers", "2", "--target", target.url, "--json", **{ALLOW: ""})
    summary = done.json["summary"]
    assert [worker["state"] for worker in summary["workers"]] == ["finished"] * 2, done.stderr
    assert summary["totals"]["failures"] == 0
    # how many of the 20 passes were begun in time is the machine's to say
    assert len(target.records()) == sum(one["count"] for one in summary["per_name"].values()) > 4


def plan_of(file: Path) -> Plan:
    steps = ({"call": f"{file}:Shop.browse", "name": "browse"}, {"call": f"{file}:Shop.buy", "name": "buy"})
    material = {str(file): digest_of(file), "another": "thing"}
    stages = (Stage(1.0, 1, 1.0),)
    return Plan("python_user", "", "sequence", steps, stages, 1.0, host="http://127.0.0.1:1", material=material)


def test_paths_of_calls_and_digests_are_those_of_the_agent(file: Path, tmp_path: Path) -> None:
    plan = plan_of(file)
    data = pack({"job": {"plan": json.loads(json.dumps(plan.to_json()))}, "argv": ["engine"]}, plan, {})
    (there,) = unpack(data, tmp_path / "agent").plans
    (copy,) = (tmp_path / "agent").rglob("shop.py")
    assert copy.read_bytes() == file.read_bytes()
    assert [step["call"] for step in there.steps] == [f"{copy}:Shop.browse", f"{copy}:Shop.buy"]
    assert there.material == {str(copy): digest_of(file), "another": "thing"}
    refuse_python(there, {ALLOW: "1"})
    with pytest.raises(CommandError, match="this machine runs no Python"):
        refuse_python(there, {})
    with pytest.raises(CommandError, match="is not the file with which the load was checked"):
        unpack(data.replace(b"weight=3", b"weight=9"), tmp_path / "other")


IMPORTS = [
    ("import helpers", ["helpers.py"]),
    ("import helpers.more as h", ["helpers.py"]),
    ("from pack import thing", ["pack"]),
    ("def f():\n    import helpers", ["helpers.py"]),
    ("import json, nowhere_at_all", []),
    ("from __future__ import annotations", []),
]


@pytest.mark.parametrize(("source", "refused"), IMPORTS)
def test_what_a_file_imports_from_beside_it_is_refused_before_the_load(tmp_path: Path, source: str, refused: list[str]) -> None:
    (tmp_path / "helpers.py").write_text("")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    file = tmp_path / "shop.py"
    file.write_text(source)
    if not refused:
        refuse_unshippable(plan_of(file), "LD_start_test")
        return
    with pytest.raises(CommandError) as raised:
        refuse_unshippable(plan_of(file), "LD_start_test")
    (mistake,) = raised.value.mistakes
    assert f"the scenario's file imports {refused[0]}, which lies beside it" in mistake.message
