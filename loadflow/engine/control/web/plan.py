"""LoadPilot's ScenarioPlan as an action script: who sends such plans to a coordinator can send them here unchanged.

Bodies are sent as they are written. Per-user headers and paths (`vuser_configs`) become steps of their own under the same name, so each
user's entry gets an equal share of its task's requests. What LoadPilot drops in silence is a mistake here.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.script.mistakes import Fault, bundle, faults_of, mistakes_of, suggest, wrong
from loadflow.engine.script.visit import ROOT_KEY
from loadflow.errors import ScriptError

__all__ = ["ScenarioPlan", "is_plan", "script_of"]

MOST_STEPS = 2_000
TIMEOUT_S = 30.0  # of one request, as LoadPilot's agents have it
# threshold key: expression; a value that is equal passes
THRESHOLDS = {
    "p50_ms": "p50 <= {:.12g} ms",
    "p95_ms": "p95 <= {:.12g} ms",
    "p99_ms": "p99 <= {:.12g} ms",
    "max_ms": "max <= {:.12g} ms",
    "error_rate": "failure_rate <= {:.12g}%",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


def _plain(text: Any) -> object:
    """Texts are sent as they are written, which a placeholder could not be."""
    if isinstance(text, str) and "${" in text:
        raise wrong("holds ${, which a plan has no meaning for", "send an action script, where placeholders are filled in")
    return text


def _named(text: Any) -> object:
    if isinstance(text, str) and not text.strip():
        raise wrong("must not be empty")
    return _plain(text)


Plain = Annotated[str, BeforeValidator(_plain)]
Named = Annotated[str, BeforeValidator(_named)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TaskPlan(_Part):
    name: Named
    url: Named
    weight: Annotated[Whole, Field(ge=1)] = 1
    method: str = "GET"
    headers: dict[Plain, Plain] = Field(default={})
    body_template: str | None = None

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        if method.upper() not in METHODS:
            raise wrong("is not a method of a plan", suggest(method.upper(), METHODS))
        return method.upper()


class VUserConfig(_Part):
    task_headers: dict[str, dict[Plain, Plain]] = Field(default={})
    task_urls: dict[str, Named] = Field(default={})


class ScenarioPlan(_Part):
    """The plan, with LoadPilot's names, units and defaults."""

    noun: ClassVar[str] = "the plan"

    name: Named
    rps: Annotated[Whole, Field(ge=1)]
    duration_secs: Annotated[Whole, Field(ge=1)]
    ramp_up_secs: Annotated[Whole, Field(ge=0)] = 10
    mode: Literal["ramp", "constant", "step", "spike"] = "ramp"
    steps: Annotated[Whole, Field(ge=1)] = 5
    target_url: Named
    tasks: Annotated[list[TaskPlan], Field(min_length=1)]
    thresholds: dict[str, Number] | None = None
    vuser_configs: list[VUserConfig] | None = None
    n_vusers: Whole | None = None
    data_pool: list[object] | None = None
    scenario_file: str | None = None
    scenario_class: str | None = None

    @field_validator("target_url")
    @classmethod
    def _web(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise wrong("is not an http or https URL with a host", 'such as "http://127.0.0.1:8000"')
        return url

    @field_validator("thresholds")
    @classmethod
    def _judged(cls, thresholds: dict[str, float] | None) -> dict[str, float] | None:
        unknown = [Fault((key,), "is not a threshold", suggest(key, THRESHOLDS)) for key in thresholds or () if key not in THRESHOLDS]
        if unknown:
            raise bundle(unknown)
        return thresholds

    @field_validator("data_pool")
    @classmethod
    def _unused(cls, pool: list[object] | None) -> None:
        if pool:
            raise wrong("is used by no request", "leave it out, or send an action script with LD_register_csv_source")

    @field_validator("scenario_file", "scenario_class")
    @classmethod
    def _no_code(cls, name: str | None) -> None:
        if name is not None:
            raise wrong("names Python code, which this server does not run", "leave it out: the tasks are sent as the plan lists them")

    @model_validator(mode="after")
    def _fits(self) -> ScenarioPlan:
        names = [task.name for task in self.tasks]
        faults = [
            Fault(("vuser_configs", index, key, name), "is not a task of the plan", suggest(name, names))
            for index, one in enumerate(self.vuser_configs or ())
            for key in ("task_headers", "task_urls")
            for name in getattr(one, key)
            if name not in names
        ]
        steps = len(names) * max(1, len(self.vuser_configs or ()))
        if steps > MOST_STEPS:
            faults.append(Fault(("vuser_configs",), f"and tasks make {counted(steps, 'request')}, at most {MOST_STEPS:,}", "send fewer"))
        if faults:
            raise bundle(faults)
        return self


def is_plan(document: object) -> bool:
    """Whether a JSON value is meant as a ScenarioPlan, not as an action script."""
    return isinstance(document, dict) and ROOT_KEY not in document and ("target_url" in document or "rps" in document)


def script_of(document: dict[str, object]) -> dict[str, object]:
    """The action script that does what the plan says. Raises ScriptError with every mistake, places as in the plan.

    >>> task = {"name": "home", "url": "x"}
    >>> plan = {"name": "a", "rps": 5, "duration_secs": 2, "mode": "constant", "target_url": "http://127.0.0.1/", "tasks": [task]}
    >>> script_of(plan)["load_density"][0][1]["tasks"]["tasks"][0]["request_url"]
    'http://127.0.0.1/x'
    """
    try:
        plan = ScenarioPlan.model_validate(document)
    except ValidationError as error:
        faults = faults_of(error, keys=ScenarioPlan.model_fields, noun=ScenarioPlan.noun)
        raise ScriptError(mistakes_of(faults, document, "")) from None
    users = plan.vuser_configs or [VUserConfig()]
    arguments: dict[str, object] = {
        "user_detail_dict": {"user": "fast_http_user"},
        "label": plan.name,
        "rate": _rate(plan),
        "tasks": {"mode": "weighted", "tasks": [_step(plan, task, user) for task in plan.tasks for user in users]},
    }
    if plan.thresholds:
        arguments["thresholds"] = [THRESHOLDS[key].format(limit) for key, limit in plan.thresholds.items()]
    return {ROOT_KEY: [["LD_start_test", arguments]]}


def _rate(plan: ScenarioPlan) -> dict[str, object]:
    rate: dict[str, object] = {"mode": plan.mode, "rps": plan.rps, "duration": plan.duration_secs}
    if plan.mode == "ramp":
        rate["ramp_up"] = plan.ramp_up_secs
    elif plan.mode == "step":
        rate["steps"] = plan.steps
    return rate


def _step(plan: ScenarioPlan, task: TaskPlan, user: VUserConfig) -> dict[str, object]:
    path = user.task_urls.get(task.name, task.url)
    own = user.task_headers.get(task.name, {})
    taken = {name.lower() for name in own}
    headers = {**{name: value for name, value in task.headers.items() if name.lower() not in taken}, **own}
    step: dict[str, object] = {
        "name": task.name,
        "method": task.method.lower(),
        "request_url": path if "://" in path.partition("?")[0] else f"{plan.target_url.rstrip('/')}/{path.lstrip('/')}",
        "weight": task.weight,
        "timeout": TIMEOUT_S,
    }
    if task.body_template is not None:
        step["data_base64"] = base64.b64encode(task.body_template.encode()).decode()
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json" if _is_json(task.body_template) else "text/plain; charset=utf-8"
    if headers:
        step["headers"] = headers
    return step


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True
