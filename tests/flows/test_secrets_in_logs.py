"""A secret that a script holds is in no log, no state, no artifact and no file of the run, in whatever form its commands are written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import Flow

from loadflow.cli.outcome import ActionOutcome
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import Action
from loadflow.engine.session.execute import ActionResult, load_script
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import RunError
from loadflow.flows import artifacts, run_events
from loadflow.flows.compile import compile_script, run_compiled
from loadflow.flows.uploads import Storage, upload
from loadflow.tasks import task_for
from tests.flows.commands import synthetic_run
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def load(url: str) -> dict[str, Any]:
    body = {"password": "${var.password}", "k": "${var.api_key}", "s": "${var.client_secret}", "t": "${var.auth_token}"}
    step = {"method": "post", "request_url": f"{url}/status/500", "json": body}
    user = {"user": "fast_http_user"}
    return {"user_detail_dict": user, "user_count": 1, "iterations": 1, "variables": {"auth_token": "sentinel-DDD-444"}, "tasks": [step]}


def test_no_form_of_registering_a_secret_shows_it(
    target: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda *args, **given: kept.append(repr((args, given))), raising=False)
    script = [
        ["LD_register_variable", {"name": "password", "value": "sentinel-AAA-111"}],
        ["LD_register_variable", ["api_key", "sentinel-BBB-222"]],
        ["LD_register_variables", {"variables": {"client_secret": "sentinel-CCC-333"}}],
        ["LD_register_variables", [{"session_token": "sentinel-EEE-555"}]],
        ["LD_start_test", load(target.url)],
    ]
    with caplog.at_level("INFO"):
        state: Any = compile_script(script, session=Session(runs_dir=tmp_path / "runs"))(return_state=True)
    told = " ".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records) + str(state.message) + " ".join(kept)
    assert '{"name": "password", "value": "***"}' in told
    assert "sentinel-" not in told
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if b"sentinel-" in path.read_bytes()] == []


@pytest.mark.parametrize(
    "arguments",
    [["ann", "sentinel-1"], {"user": "ann", "password": "sentinel-1"}, ["ann", {"value": "sentinel-1", "name": "pw_token"}]],
    ids=["by position", "by name", "beside a name"],
)
@pytest.mark.parametrize("nested", [False, True], ids=["at the top", "nested"])
def test_an_argument_has_the_name_of_its_place(arguments: Any, nested: bool, caplog: pytest.LogCaptureFixture) -> None:
    def login(user: str, password: Any) -> None:
        raise RuntimeError(f"{user}: sentinel-1 was refused")

    script: list[Any] = [["login", arguments]]
    session = Session(own_commands={"login": Command("login", login, "")})
    with caplog.at_level("INFO"):
        state: Any = compile_script([["LD_execute_action", [script]]] if nested else script, session=session)(return_state=True)
    told = " ".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records) + str(state.message)
    assert "ann: *** was refused" in told
    assert "sentinel-1" not in told


def knowing() -> Session:
    """A session whose script was given a secret, with a name that says nothing of it."""
    session = Session(label="nightly of sentinel-S", secrets=lambda name: f"sentinel-{name}")
    assert session.rehearsal().secret("S") == "sentinel-S"
    return session


def test_names_of_flows_and_of_their_runs_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect lists both for everybody: neither the session's secrets nor those that are written in the script are in them."""
    names: list[str] = []
    known = Flow.__call__

    def named(self: Any, *args: Any, **options: Any) -> Any:
        names.extend([self.name, str(self.flow_run_name)])
        return known(self, *args, **options)

    monkeypatch.setattr(Flow, "__call__", named)
    script = [["LD_register_variables", {"variables": {"password": "hunter22"}}], ["LD_execute_action", [[["len", ["four"]]]]]]
    session = Session(label="of hunter22", variables={"api_key": "sentinel-K"})
    compile_script(script, session=session, name="sentinel-K and hunter22")(return_state=True)
    results = run_compiled(
        load_script(script, name="nightly hunter22 sentinel-K"), Session(label="hunter22", variables={"api_key": "sentinel-K"})
    )
    assert results.ok
    assert len(names) == 8
    assert "***" in "".join(names)
    assert not [name for name in names if "hunter22" in name or "sentinel" in name]


def test_what_stood_for_a_secret_is_masked_in_the_flows_own_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = knowing()
    run = synthetic_run(tmp_path, label="of sentinel-S")
    (run.folder / "report.html").write_text("x", encoding="utf-8")

    def refuse(path: str, content: bytes) -> None:
        raise OSError("sentinel-S may not write")

    told: list[str] = []
    monkeypatch.setattr(run_events, "emit_event", lambda *_, **event: told.append(repr(event)))
    with use_session(session):
        with pytest.raises(RunError, match=r"\*\*\* may not write") as caught:
            upload(Storage("local-file-system/x", SimpleNamespace(write_path=refuse)), run)
        told.append(str(caught.value))
        run_events.run_started(run)
        run_events.not_run("error", "x", "sentinel-S is wrong")
        action = Action("len", {"label": "of sentinel-S"}, None, "actions[0]")
        told += [str(task_for(session.commands[name], Policy(), 0, action).task_run_name) for name in ("len", "LD_start_test")]
        result = ActionResult(action, error=RunError("sentinel-S failed"))
        told.append(repr(ActionOutcome.of(result, redactor_of(session))))
    told.append(str(compile_script([["len", ["four"]]], session=session).flow_run_name))
    assert ["sentinel" in text for text in told] == [False] * 7
    assert all("***" in text for text in told)
