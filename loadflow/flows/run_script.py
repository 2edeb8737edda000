"""The generic flow: runs whatever script it is given. Deploy it once, by `loadflow.flows.run_script:run_script`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed

from loadflow.engine.redact import Redactor
from loadflow.engine.session import Session, current_session
from loadflow.errors import Mistake, ScriptError
from loadflow.flows.blocks import load_store, load_target, prefect_secret
from loadflow.flows.compile import checked_script, run_in_flow
from loadflow.flows.lease import target_lease
from loadflow.flows.uploads import load_storage
from loadflow.tasks.masking import redactor_of

__all__ = ["run_script"]


def _run_name() -> str:
    parameters = flow_run.parameters
    path = parameters.get("script_path")
    return Redactor().text(str(parameters.get("label") or (Path(path).stem if path else "") or "script"))


@flow(name="loadflow", flow_run_name=_run_name, retries=0, persist_result=False)  # retries: see compile.py
def run_script(
    script: list[Any] | dict[str, Any] | None = None,
    script_path: str | None = None,
    variables: dict[str, Any] = {},  # noqa: B006  the form shows it; nothing changes it
    label: str = "",
    report_dir: str | None = None,
    runs_dir: str | None = None,
    target: str | None = None,
    store: str | None = None,
    report_storage: str | None = None,
    exclusive: bool = True,
    wait_for_target: float = 0,
    max_delay: float | None = None,
) -> Any:
    """Run a load test script: every action is a task run; the flow run's state is the verdict.

    Args:
        script: The script itself: a list of actions, or an object with the key load_density. Give this or script_path.
        script_path: A script file on the machine that runs the flow; a relative path counts from the worker's folder.
        variables: Values of ${var.NAME}. Prefect keeps and shows them; secrets belong into the environment of the worker, ${env.NAME}.
        label: The name of the flow run, of the run folder and of the artifacts; empty takes the script's name.
        report_dir: The folder for reports that the script names; empty is the worker's folder.
        runs_dir: The folder for the run folders; empty takes LOADFLOW_RUNS_DIR, or loadflow-runs below the worker's folder.
        target: The name of a Load Target block: base URL, headers, allowed hosts and the highest rate.
        store: The name of a Loadflow Store block: where LD_persist_records and LD_list_runs look when they name no database.
        report_storage: A storage block, written type/name, that the HTML report is put into; LOADFLOW_REPORTS_URL says where it opens.
        exclusive: Whether no other exclusive run, from whatever machine, may load the same host and port at the same time.
        wait_for_target: Seconds to wait while another run does; after that this one fails, and nothing was sent.
        max_delay: Seconds that the run may start late; a later one skips itself, so that nightly load does not run at noon.

    A script that can't be run as written fails the flow run, in a state named Error, before anything is sent.
    """
    late_s = _late_s()
    if max_delay is not None and late_s > max_delay:
        words = f"skipped: it starts {late_s:,.0f} s after its time, and max_delay is {max_delay:g} s; nothing was sent"
        skipped: State[Any] = Cancelled(name="Skipped", message=words)
        return skipped
    session = Session(
        label=label,
        secrets=prefect_secret,
        report_dir=report_dir or None,
        runs_dir=runs_dir or None,
        variables=variables,
        own_commands=current_session().own_commands,
        allowed_packages=current_session().allowed_packages,
    )
    if exclusive:
        session.lease = target_lease(wait_for_target)
    try:
        if target:
            session.target = load_target(target)
        storage = load_storage(report_storage) if report_storage else None
        if store:
            session.store_url = load_store(store)
        checked = checked_script(_the_one(script, script_path), session)
    except ScriptError as error:
        redactor = redactor_of(session, script)
        state: State[Any] = Failed(name="Error", message=redactor.text(f"the script can't be run as written: {error}"), data=error)
        return state
    session.name = checked.name
    return run_in_flow(checked, session, storage)


def _late_s() -> float:
    """Seconds since this run was due; 0 outside of Prefect's schedule."""
    due = _due()
    return 0.0 if due is None else max(0.0, (datetime.now(UTC) - due).total_seconds())


def _due() -> datetime | None:
    return cast(datetime | None, flow_run.scheduled_start_time)


def _the_one(script: list[Any] | dict[str, Any] | None, script_path: str | None) -> Any:
    if (script is None) == (not script_path):
        given = "neither" if script is None else "both"
        raise ScriptError([Mistake("", f"{given} of script and script_path is given", "give exactly one of them")])
    return script if script is not None else Path(str(script_path))
