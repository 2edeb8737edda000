"""What files of LoadPilot are written with runs unchanged; and what was wrong there is right here."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.scenario.document import document_of
from loadflow.engine.scenario.loading import load_scenarios
from loadflow.engine.scenario.tracing import trace
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError

# each is a whole file; what is said of it: reasons of functions that Python runs
FORMS: list[tuple[str, str, dict[str, str]]] = [
    (
        "a log-in, a header of the user, a check",
        """
        from loadpilot import LoadClient, VUser, scenario, task

        @scenario(rps=100, duration="2m", ramp_up="30s", thresholds={"p99_ms": 500, "error_rate": 1.0})
        class CheckoutFlow(VUser):
            def on_start(self, client: LoadClient):
                resp = client.post("/auth/login", json={"username": "test", "password": "secret"})
                self.token = resp.json()["access_token"]

            @task(weight=5)
            def browse(self, client: LoadClient):
                client.get("/api/products", headers={"Authorization": f"Bearer {self.token}"})

            @task(weight=1)
            def purchase(self, client: LoadClient):
                client.post("/api/orders", json={"product_id": 1}, headers={"Authorization": f"Bearer {self.token}"})

            def check_purchase(self, status: int, body) -> None:
                assert status == 201
                assert body["id"]
        """,
        {},
    ),
    (
        "a class without a base, and the modes",
        """
        from loadpilot import scenario, task

        @scenario(rps=20, duration="1m30s", mode="constant")
        class Plain:
            @task(weight=3)
            def health(self, client):
                client.get("/health")

            @task()
            def home(self, client):
                client.get("/")

        @scenario(rps=100, duration="5m", mode="step", steps=5)
        class Stairs(Plain):
            pass

        @scenario(rps=100, duration="60", mode="spike")
        class Spike(Plain):
            pass
        """,
        {},
    ),
    (
        "a batch, and async",
        """
        from loadpilot import VUser, scenario, task

        @scenario(rps=10)
        class Batches(VUser):
            @task
            def dashboard(self, client):
                client.batch([{"method": "GET", "path": "/a"}, {"path": "/b", "headers": {"X": "1"}}])

            @task
            async def search(self, client):
                response = await client.get("/search", params={"q": "lamp"})
                response.raise_for_status()
        """,
        {},
    ),
    (
        "hooks of a base, which LoadPilot does not find",
        """
        from loadpilot.dsl import VUser, scenario, task

        class LoggedIn(VUser):
            def on_start(self, client):
                self.token = client.post("/login").json()["token"]

            def on_stop(self, client):
                client.delete("/session", headers={"Authorization": self.token})

        @scenario(rps=10)
        class Own(LoggedIn):
            @task
            def home(self, client):
                client.get("/", headers={"Authorization": self.token})
        """,
        {},
    ),
]


@pytest.mark.parametrize(("source", "in_python"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_a_file_runs_unchanged(tmp_path: Path, source: str, in_python: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOW_PYTHON", "1")
    file = tmp_path / "load.py"
    file.write_text(dedent(source))
    for made in load_scenarios(file):
        assert {name: why.reason for name, why in trace(made).refused.items()} == in_python
        document = document_of(made, file)
        (action,) = load_script(document, session=Session(), name=made.name).actions
        arguments: Any = action.arguments
        assert arguments["rate"]["mode"] == made.mode
        assert [one.get("group", one.get("name")) for one in arguments["tasks"]["tasks"]] == [task.name for task in made.tasks]


WRONG: list[tuple[str, str, str]] = [
    ("no scenario", "x = 1", "has no scenario"),
    ("no task", "@scenario()\nclass A(VUser):\n    pass", "A: has no task"),
    ("weights of 0", "@scenario()\nclass A(VUser):\n    @task(weight=0)\n    def a(self, client):\n        pass", "all weights are 0"),
    ("an unknown mode", "@scenario(mode='rampp')\nclass A(VUser):\n    pass", "mode 'rampp' is not known; did you mean 'ramp'?"),
    ("a rate of 0", "@scenario(rps=0)\nclass A(VUser):\n    pass", "rps must be a number above 0 and at most 1,000,000, not 0"),
    ("a mistake of the file", "import no_such_module", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
    (
        "a check of no task",
        "@scenario()\nclass A(VUser):\n    @task\n    def browse(self, client):\n        pass\n"
        "    def check_brwose(self, status, body):\n        pass",
        "A.check_brwose checks no task; did you mean 'browse'?",
    ),
]


@pytest.mark.parametrize(("source", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said(tmp_path: Path, source: str, said: str) -> None:
    file = tmp_path / "load.py"
    file.write_text(f"from loadpilot import VUser, scenario, task\n{source}\n")
    with pytest.raises(ScriptError) as raised:
        load_scenarios(file)
    assert said in str(raised.value)


def test_the_old_name_is_there_only_while_a_file_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "load.py"
    file.write_text("from loadpilot import scenario\n")
    with pytest.raises(ScriptError, match="has no scenario"):
        load_scenarios(file)
    with pytest.raises(ModuleNotFoundError):
        __import__("loadpilot")
