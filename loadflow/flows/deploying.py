"""One script as a deployment on a Prefect server: what it is made of, and how it gets there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.errors import CommandError, Mistake
from loadflow.flows.deployed_script import entrypoint_of, form_flow, may_be_field
from loadflow.flows.form import ADVANCED, form_schema
from loadflow.flows.run_script import run_script

__all__ = ["Deployment", "Origin", "deploy", "origin_of", "work_pool"]

STEPS = "prefect.deployments.steps"
PROJECT_FILE = "prefect.yaml"
# with the zombie automation, a run whose process was killed frees its slots
HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a worker gets the script: steps that Prefect runs first, and the parameter that says which script it is."""

    steps: list[JsonObject]
    parameters: dict[str, object]
    words: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `deploy` makes. `variables` are those of the script, `values` what the deployment gives of them."""

    name: str
    origin: Origin
    variables: JsonMapping
    values: JsonMapping = field(default_factory=dict)
    advanced: JsonMapping = field(default_factory=dict)
    description: str = ""
    tags: Sequence[str] = ()
    pool: str = ""
    queue: str | None = None
    job_variables: JsonMapping = field(default_factory=dict)
    schedule: object = None
    paused: bool = False
    concurrency_limit: int | None = 1
    collision_strategy: str = "CANCEL_NEW"
    version: str | None = None

    def in_pool(self, pool: str) -> Deployment:
        return replace(self, pool=pool)

    @property
    def fields(self) -> list[str]:
        return [name for name in self.variables if may_be_field(name)]

    @property
    def schema(self) -> dict[str, object]:
        hidden = {name: one for name, one in self.variables.items() if name not in self.fields}
        return form_schema({name: self.variables[name] for name in self.fields}, hidden, run_script)

    @property
    def parameters(self) -> JsonObject:
        hidden = {name: value for name, value in self.values.items() if name in self.variables and name not in self.fields}
        shown = {name: value for name, value in self.values.items() if name not in hidden}
        advanced = {"label": self.name, **self.advanced}
        if hidden:
            advanced["variables"] = {**hidden, **(self.advanced.get("variables") or {})}
        return {**self.origin.parameters, **shown, ADVANCED: advanced}


def deploy(client: SyncPrefectClient, made: Deployment) -> str:
    """Make the deployment, or replace the one of this name; the name that Prefect calls it by."""
    flow_id = client.create_flow(form_flow(made.fields))
    passed_on = {REPORTS_URL_VARIABLE: url} if (url := os.environ.get(REPORTS_URL_VARIABLE)) else {}
    env = {**HEARTBEAT, **passed_on, **(made.job_variables.get("env") or {})}
    client.create_deployment(
        flow_id=flow_id,
        name=made.name,
        version=made.version,
        description=made.description or None,
        tags=list(dict.fromkeys(["loadflow", *made.tags])),  # the automations look at runs with this tag
        entrypoint=entrypoint_of(made.fields),
        pull_steps=made.origin.steps or None,
        parameters=made.parameters,
        parameter_openapi_schema=made.schema,
        enforce_parameter_schema=True,
        work_pool_name=made.pool,
        work_queue_name=made.queue,
        job_variables={**made.job_variables, "env": env},
        schedules=[DeploymentScheduleCreate(schedule=made.schedule, active=True)] if made.schedule is not None else [],
        paused=made.paused,
        concurrency_limit=made.concurrency_limit,
        concurrency_options=(
            ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(made.collision_strategy)) if made.concurrency_limit else None
        ),
    )
    return f"{run_script.name}/{made.name}"


def work_pool(client: SyncPrefectClient, name: str | None) -> str:
    """The pool of this name; None takes Prefect's setting, or the only pool that there is. Raises CommandError where there is none."""
    name = name or get_current_settings().deployments.default_work_pool_name
    pools = [pool.name for pool in client.read_work_pools()]
    if name is None and len(pools) == 1:
        return pools[0]
    if name is None:
        known = f"the server has {', '.join(pools)}" if pools else "the server has none: prefect work-pool create --type process load"
        raise CommandError([Mistake("--work-pool", "which one?", known)])
    try:
        return client.read_work_pool(name).name
    except ObjectNotFound:
        hint = f"prefect work-pool create --type process {name}"
        raise CommandError([Mistake("--work-pool", f"the server has no work pool {name!r}", hint)]) from None


def origin_of(
    kind: str | None, file: Path, document: object, folder: Path, *, branch: str | None = None, credentials: str | None = None
) -> Origin:
    """How workers get `file`; None: by the `pull` steps of the folder's prefect.yaml, if it has them, else from this very folder."""
    pull = _pull_steps(folder)
    match kind or (PROJECT_FILE if pull else "here"):
        case "embedded":
            return Origin([], {"script": document}, "in the deployment itself, whatever machine the worker is on")
        case "git":
            return _git_clone(file, folder, branch, credentials)
        case "prefect.yaml":
            if not pull:
                raise CommandError([Mistake("--from", f"{folder / PROJECT_FILE} has no pull steps", "write them, or take another way")])
            return Origin(pull, {"script_path": _within(file, folder)}, f"by the pull steps of {PROJECT_FILE}")
    step = {f"{STEPS}.set_working_directory": {"directory": str(folder)}}
    return Origin([step], {"script_path": _within(file, folder)}, f"in {folder}, which workers must see at this path")


def _pull_steps(folder: Path) -> list[dict[str, object]]:
    try:
        document = yaml.safe_load((folder / PROJECT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CommandError([Mistake(str(folder / PROJECT_FILE), f"can't be read: {error}", "correct it, or take another --from")]) from None
    return list((document or {}).get("pull") or []) if isinstance(document, dict) else []


def _git_clone(file: Path, folder: Path, branch: str | None, credentials: str | None) -> Origin:
    top = Path(_git(folder, "rev-parse", "--show-toplevel"))
    repository = _git(folder, "config", "--get", "remote.origin.url")
    if urlsplit(repository).password:
        what = "the address of the remote origin holds a password, and everybody who sees the deployment would see it"
        raise CommandError([Mistake("--from git", what, "take it out (git remote set-url origin ...), and give --credentials TYPE/NAME")])
    branch = branch or _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if branch == "HEAD":
        raise CommandError([Mistake("--from git", "no branch is checked out", "give --branch NAME, or check one out")])
    if _git(folder, "status", "--porcelain", "--", str(file.absolute())):
        raise CommandError([Mistake(str(file), "differs from what is committed, and workers get that", "commit and push it first")])
    if not _git(folder, "branch", "--remotes", "--list", f"origin/{branch}"):
        raise CommandError([Mistake("--from git", f"the remote has no branch {branch!r}", f"git push origin {branch}, then deploy again")])
    if _git(folder, "diff", "--name-only", f"origin/{branch}", "--", str(file.absolute())):
        what = f"differs from what the remote's branch {branch!r} holds, and workers get that"
        raise CommandError(
            [Mistake(str(file), what, f"git push origin {branch}, then deploy again; or git fetch, if it was pushed elsewhere")]
        )
    asked: dict[str, object] = {"repository": repository, "branch": branch}
    if credentials:
        asked["credentials"] = "{{ prefect.blocks." + credentials.replace("/", ".", 1) + " }}"
    words = f"from {repository}, branch {branch}"
    return Origin([{f"{STEPS}.git_clone": asked}], {"script_path": _within(file, top)}, words)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CommandError([Mistake("--from git", "there is no git on this machine", "install it, or take another --from")]) from None
    if done.returncode:
        what = done.stderr.strip() or f"git {' '.join(arguments)} gives nothing"
        raise CommandError([Mistake("--from git", what, "run it in a clone of a repository with a remote named origin")])
    return done.stdout.strip()


def _within(file: Path, folder: Path) -> str:
    """The path from `folder` where the file is below it, else the whole path."""
    whole = file.resolve()
    return str(whole.relative_to(folder.resolve())) if whole.is_relative_to(folder.resolve()) else str(whole)
