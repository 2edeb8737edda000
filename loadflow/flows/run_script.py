"""The generic flow: runs whatever script it is given. Deploy it once, by `loadflow.flows.run_script:run_script`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed

from loadflow.engine.base.redact import Redactor
from loadflow.engine.script.secrets_written import learn_document
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import Session, current_session
from loadflow.errors import Mistake, ScriptError
from loadflow.flows.blocks import load_store, load_target, prefect_secret
from loadflow.flows.cancels import Cancels
from loadflow.flows.compile import checked_script, run_in_flow
from loadflow.flows.ending import as_loads
from loadflow.flows.form import ADVANCED, given_of
from loadflow.flows.lease import target_lease
from loadflow.flows.run_events import not_run
from loadflow.flows.script_flow import ScriptFlow, keeps
from loadflow.flows.uploads import Storage, load_storage
from loadflow.tasks.state import AnyState

__all__ = ["run_name", "run_script"]

NO_LOAD = ("Error", "Skipped")  # states of a run that ended before its first load
WAITING_FOR_SLOT = "AwaitingConcurrencySlot"  # Prefect's name of the state in which a run waits for its deployment's slot


def run_name() -> str:
    parameters = given_of(flow_run.parameters) if ADVANCED in flow_run.parameters else flow_run.parameters
    path = parameters.get("script_path")
    redactor = Redactor()
    redactor.learn_from(parameters.get("variables"))
    learn_document(redactor, parameters.get("script"), Session().commands)
    return redactor.text(str(parameters.get("label") or (Path(path).stem if path else "") or "script"))


@partial(ScriptFlow, name="loadflow", flow_run_name=run_name, retries=0, persist_result=False)  # retries: see compile.py
@keeps
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
    only_if: list[dict[str, Any]] = [],  # noqa: B006  the form shows it; nothing changes it
) -> Any:
    """Run a load test script: every action is a task run; the flow run's state is the verdict.

    Args:
        script: The script itself: a list of actions, or an object with the key load_density. Give this or script_path.
        script_path: A script file on the machine that runs the flow; a relative path counts from the worker's folder. With
            LOADFLOW_ALLOW_PYTHON set there, also a Python scenario: FILE.py, or FILE.py:CLASS.
        variables: Values of ${var.NAME}. Prefect keeps and shows them: of a secret write ${secret.NAME}, the name of a Secret block.
        label: The name of the flow run, of the run folder and of the artifacts; empty takes the script's name.
        report_dir: The folder for reports that the script names; empty is the worker's folder.
        runs_dir: The folder for the run folders; empty takes LOADFLOW_RUNS_DIR, or loadflow-runs below the worker's folder.
        target: The name of a Load Target block: base URL, headers, allowed hosts and the highest rate.
        store: The name of a Loadflow Store block: where LD_persist_records and LD_list_runs look when they name no database.
        report_storage: A storage block, written type/name, that the HTML report is put into; LOADFLOW_REPORTS_URL says where it opens.
        exclusive: Whether no other exclusive run, from whatever machine, may load the same host and port at the same time.
        wait_for_target: Seconds to wait while another run does; after that this one skips itself, and nothing was sent.
        only_if: Conditions for each load, besides those of the script and of the target's block: see docs/interlocks.md. Where one does not
            hold, the run skips itself.
        max_delay: Seconds that the run may start late; a later one skips itself. A retry counts from when it was asked for.

    Called from Python, it gives a LoadResult, or a list of them for a script of several loads; the Results of its actions for one of none.
    It raises NotPassed, which holds the results, when the verdict is not passed.

    A script that can't be run as written fails the flow run, in a state named Error, before anything is sent.
    """
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
        session.lease = target_lease(wait_for_target, get_run_logger(), _why_cancelled)
    late_s = _late_s()
    if max_delay is not None and late_s > max_delay:
        words = f"skipped: it starts {late_s:,.0f} s after its time, and max_delay is {max_delay:g} s; nothing was sent"
        state: AnyState = Cancelled(name="Skipped", message=words)
    else:
        try:
            storage = _use_blocks(session, target, store, report_storage)
            session.target = replace(session.target, only_if=(*session.target.only_if, *only_if))
            checked = checked_script(_the_one(script, script_path), session)
        except ScriptError as error:
            message = redactor_of(session, script).text(f"the script can't be run as written: {error}")
            state = Failed(name="Error", message=message, data=error)
        else:
            session.name = checked.name
            state = as_loads(run_in_flow(checked, session, storage))
    if not session.all_runs and state.name in NO_LOAD:
        not_run(state.name.lower(), run_name(), state.message or "")
    return state


def _use_blocks(session: Session, target: str | None, store: str | None, report_storage: str | None) -> Storage | None:
    """Fill the session from the blocks of these names; the storage, where one is named. Raises ScriptError for one that is not there."""
    if target:
        session.target = load_target(target)
    if store:
        session.store_url = load_store(store)
    return load_storage(report_storage) if report_storage else None


def _late_s() -> float:
    """Seconds since this run was due; 0 outside of Prefect's schedule."""
    due = _due()
    return 0.0 if due is None else max(0.0, (datetime.now(UTC) - due).total_seconds())


def _due() -> datetime | None:
    """When the run was last scheduled for: by its schedule, or by a retry on the next morning. A wait for a free slot moves nothing."""
    if flow_run.id is None:
        return None
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(flow_run.id))
    asked = [one for one in states if one.type is StateType.SCHEDULED and one.name != WAITING_FOR_SLOT]
    last = max(asked, key=lambda one: one.timestamp, default=None)
    return (last and last.state_details.scheduled_time) or cast(datetime | None, flow_run.scheduled_start_time)


def _why_cancelled() -> str:
    if flow_run.id is None:
        return ""
    with get_client(sync_client=True) as client:
        return Cancels([UUID(flow_run.id)]).look(client)


def _the_one(script: list[Any] | dict[str, Any] | None, script_path: str | None) -> Any:
    if (script is None) == (not script_path):
        given = "neither" if script is None else "both"
        raise ScriptError([Mistake("", f"{given} of script and script_path is given", "give exactly one of them")])
    return script if script is not None else Path(str(script_path))
