"""What `LD_start_test` takes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from loadflow.engine.load_test.connecting import ConnectionWord, LocalAddress, ProxyUrl, Resolve, TlsOffer, connecting_faults
from loadflow.engine.load_test.http_version import MOST_STREAMS, field_faults, version_faults
from loadflow.engine.load_test.populations import population_faults
from loadflow.engine.load_test.rate import Rate, rate_faults
from loadflow.engine.load_test.revision_header import header_faults, header_name
from loadflow.engine.load_test.row_source import CsvSource
from loadflow.engine.load_test.scenario import Mode, plain_steps, tasks_model
from loadflow.engine.load_test.shape import SHAPES, Soak, Spike, Stages
from loadflow.engine.load_test.speaking import faults_of_hosts, faults_of_steps, host_of, spoken, whose_key
from loadflow.engine.load_test.stop_when import StopWhen, stop_faults
from loadflow.engine.load_test.threshold import Thresholds
from loadflow.engine.load_test.user_types import user_type_names, user_type_of
from loadflow.engine.load_test.watching import OnlyIf, PrometheusAt, watching_faults
from loadflow.engine.plan.cluster import DELIVERY_S, MASTER_PORT
from loadflow.engine.protocols.model.step import SettledSpan
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.script.mistakes import Fault, bundle, faults_of, kind_of, wrong
from loadflow.engine.script.part import A_NUMBER, AN_OBJECT, BY_KIND, Choice, Flag, Int, Name, Part, Positive, Seconds, Settled, Share, Text
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.populations import MOST_POPULATIONS

__all__ = ["CsvSource", "HostedStartTest", "StartTest", "UserDetail", "WebUi", "Workers"]

# who sends: `auto` takes the native core where it does all that the test asks for
ENGINES = ("auto", "native", "locust")

Count = Annotated[Int, Field(ge=1, le=10_000_000)]
PartCount = Annotated[Int, Field(ge=1, le=1024)]
Port = Annotated[Int, Field(ge=1, le=65535)]


class _UserName:
    """A user type that is known when it is asked: programs add their own."""

    @staticmethod
    def read(name: object) -> str:
        return Choice("user type", user_type_names()).read(name)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        return {"type": "string", "enum": list(user_type_names())}


def _target(host: str, info: ValidationInfo) -> str:
    """`host`, if the user type can take it, or may when its placeholders are filled in."""
    if has_placeholder(host):
        if info.context and info.context.get("final"):
            raise wrong("still holds a placeholder", "its value must be known before the run starts")
        return host
    detail = info.data.get("user_detail_dict")
    user_type = user_type_of(info.data.get("user") if detail is None else detail.user)
    trouble = user_type.host(host) if user_type is not None else None
    if trouble is not None:
        raise wrong(*trouble)
    return host


Target = Annotated[Name, AfterValidator(_target)]


def _tasks(tasks: object, info: ValidationInfo) -> object:
    """The steps, as the user type has them; not looked at where that is not known."""
    detail = info.data.get("user_detail_dict")
    if detail is None:
        return tasks
    user_type = user_type_of(detail.user)
    assert user_type is not None
    try:
        checked: Any = tasks_model(user_type.form).model_validate({"tasks": tasks}, context=info.context)
    except ValidationError as error:
        written = {"user_detail_dict": {"user": detail.user}, "tasks": tasks}
        found = (whose_key(written, fault) for fault in faults_of(error))
        raise bundle(Fault(fault.loc[1:], fault.message, fault.hint) for fault in found) from None
    return checked.tasks


def _hosts(hosts: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    detail = info.data.get("user_detail_dict")
    own = None if detail is None else user_type_of(detail.user)
    if faults := list(faults_of_hosts(hosts, own, bool(info.context and info.context.get("final")))):
        raise bundle(faults)
    return hosts


def _phase(steps: object, info: ValidationInfo) -> object:
    """The steps of `on_start` or `on_stop`: a list, which may be empty."""
    if not isinstance(steps, list):
        raise wrong(f"must be a list of steps, not {kind_of(steps)}")
    return _tasks(steps, info) if steps else []


def _filled_in(config: dict[str, object], info: ValidationInfo) -> dict[str, object]:
    """`config`, without placeholders when the run is about to start; its keys are checked by the model of its shape."""
    if info.context and info.context.get("final") and "${" in json.dumps(config, default=str):
        raise wrong("still holds a placeholder", "its values must be known before the run starts")
    return config


class UserDetail(Part):
    """Which client sends the requests."""

    noun: ClassVar[str] = "user_detail_dict"
    user: Annotated[str, _UserName()] = "fast_http_user"
    host: Target | None = None
    engine: Annotated[str, Choice("engine", ENGINES)] = "auto"
    http_version: Settled[Annotated[Int, Field(ge=1, le=3)]] = 1
    streams: Settled[Annotated[Int, Field(ge=1, le=MOST_STREAMS)]] | None = None
    proxy: ProxyUrl | None = None
    resolve: Resolve | None = None
    local_address: LocalAddress | None = None
    connection: ConnectionWord = "keep"
    tls: TlsOffer | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        return version_faults(raw)


class WebUi(Part):
    """Where the web UI listens while the test runs."""

    noun: ClassVar[str] = "web_ui_dict"
    host: Name = "127.0.0.1"
    port: Settled[Port] = 8089


class Workers(Part):
    """Who makes the load: `count` agents. `pool`: the Prefect work pool that starts them; `nats_url`: the server at which they wait;
    `listen`: where the load's own server is reached by those of other machines; `block`: the name of the secret by which those of a pool
    get in.
    """

    noun: ClassVar[str] = "workers"

    count: Settled[PartCount]
    pool: Name | None = None
    nats_url: Name | None = None
    listen: Name | None = None
    block: Name | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if raw.get("listen") is not None and raw.get("nats_url") is not None:
            yield Fault(("listen",), "is where a server of the load's own listens, and nats_url names another one", "remove one of the two")
        if raw.get("block") is not None and raw.get("pool") is None and raw.get("listen") is None:
            hint = "name the pool, or remove it"
            yield Fault(("block",), "is for agents that are started elsewhere, and no pool and no listen is given", hint)


class StartTest(Part):
    """The arguments of one load test.

    Scalars may be placeholders in a script; validated with context `{"final": True}` they must be values.
    """

    noun: ClassVar[str] = "LD_start_test"
    hosted: ClassVar[bool] = False  # whether there is a host, though the script names none

    user_detail_dict: UserDetail
    user_count: Settled[Count] = 50
    spawn_rate: Settled[Positive] = 10.0
    test_time: Settled[Positive] | None = 60.0
    web_ui_dict: WebUi | None = None
    runner_mode: Annotated[str, Choice("runner mode", ("local", "master", "worker"))] = "local"
    load_shape: Annotated[str, Choice("load shape", tuple(SHAPES))] | None = None
    shape_config: Annotated[dict[str, object], AfterValidator(_filled_in)] | None = None
    on_start: Annotated[Any, PlainValidator(_phase)] = Field(default=[])
    tasks: Annotated[Any, PlainValidator(_tasks)] = None  # where populations have their own
    on_stop: Annotated[Any, PlainValidator(_phase)] = Field(default=[])
    variables: dict[str, object] = Field(default={})
    csv_sources: list[CsvSource] = Field(default=[])
    host: Target | None = None
    hosts: Annotated[dict[str, Name], AfterValidator(_hosts)] = Field(default={})
    wait_time: Settled[Annotated[Annotated[Seconds, A_NUMBER] | Annotated[SettledSpan, AN_OBJECT], BY_KIND]] | None = None
    processes: Settled[PartCount] = 1
    threads: Settled[PartCount] = 1
    drain_time: Settled[Seconds] = 5.0
    seed: Settled[Int] | None = None
    max_failure_rate: Settled[Share] = 0.0
    thresholds: Thresholds = Field(default=[])
    prometheus: PrometheusAt | None = None
    only_if: list[OnlyIf] = Field(default=[])
    stop_when: StopWhen | None = None
    iterations: Settled[Count] | None = None
    rate: Rate | None = None
    max_in_flight: Settled[Count] | None = None
    max_lateness: Settled[Seconds] | None = None
    rate_tolerance: Settled[Share] = 0.01
    label: Text | None = None
    revision: Text | None = None
    revision_header: Annotated[Name, AfterValidator(header_name)] | None = None
    redact: list[Name] = Field(default=[])
    max_body_bytes: Settled[Annotated[Int, Field(ge=1, le=2**40)]] = 16 * 1024 * 1024
    master_bind_host: Name | None = None
    master_bind_port: Settled[Port] = MASTER_PORT
    master_host: Name = "127.0.0.1"
    master_port: Settled[Port] = MASTER_PORT
    expected_workers: Settled[Annotated[Int, Field(ge=0, le=10_000)]] = 0
    worker_startup_timeout: Settled[Positive] = 60.0
    worker_heartbeat_interval: Settled[Positive] = 5.0
    worker_lost_timeout: Settled[Positive] = 15.0
    delivery_timeout: Settled[Positive] = DELIVERY_S
    allow_gap: Settled[Flag] = False
    workers: Workers | None = None
    populations: Annotated[list[dict[str, object]], Field(min_length=1, max_length=MOST_POPULATIONS)] | None = None
    worker_startup_policy: Annotated[str, Choice("worker startup policy", ("fail", "degraded"))] = "fail"

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if raw.get("populations") is not None:
            yield from population_faults(raw, cls._faults_of)
            return
        if raw.get("tasks") is None:
            yield Fault(("tasks",), "is missing", "write the steps of a user, or populations with their own")
        yield from _shape_faults(raw)
        yield from rate_faults(raw)
        yield from faults_of_steps(raw, cls.hosted)
        yield from field_faults(raw)
        yield from connecting_faults(raw)
        yield from header_faults(raw)
        yield from stop_faults(raw)
        yield from watching_faults(raw)
        yield from _repeated_sources(raw)
        if raw.get("iterations") is not None and raw.get("load_shape") is not None:
            yield Fault(("iterations",), "can't be combined with load_shape: users of a shape come and go", "remove one of the two")
        for key in ("processes", "threads"):
            count = raw.get(key)
            if raw.get("web_ui_dict") is not None and isinstance(count, int) and count > 1:
                yield Fault(("web_ui_dict",), f"the web UI shows one process only, and {key} is {count}", "remove one of the two")
        yield from _cluster_faults(raw)

    @classmethod
    def _faults_of(cls, raw: dict[str, object]) -> list[Fault]:
        try:
            cls.model_validate(raw)
        except ValidationError as error:
            return faults_of(error, keys=cls.model_fields, noun=cls.noun)
        return []

    @property
    def most_s(self) -> float | None:
        """How long the load may be, where nothing else says it."""
        at_most: Any = self.stop_when.at_most if self.stop_when else None
        own: Any = self.test_time
        return float(at_most or own) if at_most or own else None

    @property
    def target(self) -> str | None:
        """Whom steps ask that do not say so themselves, e.g. what relative URLs are relative to."""
        return self.host or self.user_detail_dict.host

    @property
    def user_type(self) -> UserType:
        """The test's own, whose steps name none."""
        found = user_type_of(self.user_detail_dict.user)
        assert found is not None
        return found

    def host_of(self, user_type: UserType) -> str | None:
        """`target`, for steps of this type."""
        return host_of(user_type, self.user_type, self.target, self.hosts)

    def shape(self) -> Stages | Spike | Soak | None:
        """The load shape with its defaults filled in; None: `user_count` users for `test_time` seconds."""
        return None if self.load_shape is None else SHAPES[self.load_shape].model_validate(self.shape_config)

    def steps(self) -> tuple[Mode, tuple[dict[str, object], ...]]:
        """How a user goes through the steps, and the steps as plain JSON objects: those of `on_start`, of a pass, of `on_stop`.

        Each has `weight`, and the other keys that were written; HTTP's have `method` (upper case) and `request_url`. Those of another
        user type than the test's have `user`. `plan/way.py` says what `phase` and `follows` mean.
        """
        mode, steps = plain_steps(self.tasks)
        before, after = (
            tuple({**step, "phase": phase} for step in plain_steps(own)[1])
            for phase, own in (("on_start", self.on_start), ("on_stop", self.on_stop))
        )
        return mode, spoken((*before, *steps, *after), self.user_type)

    def place_of_step(self, position: int) -> str:
        """Where the script has the step that `steps` gives at this position."""
        for key in ("on_start", "tasks", "on_stop"):
            count = len(plain_steps(getattr(self, key))[1])
            if position < count or key == "on_stop":
                return f"{key}[{position}]"
            position -= count
        raise IndexError(position)


def _cluster_faults(raw: dict[str, object]) -> Iterable[Fault]:
    """What contradicts the runner mode or each other. A local run may hold the keys of the others: one script serves all three."""
    mode = raw.get("runner_mode", "local")
    if mode != "local" and raw.get("web_ui_dict") is not None:
        yield Fault(("web_ui_dict",), f"the web UI shows one process only, and runner_mode is {mode!r}", "remove one of the two")
    if mode != "local" and raw.get("workers") is not None:
        yield Fault(("workers",), f"says who makes the load, and so does runner_mode {mode!r}", "remove one of the two")
    beat, lost = raw.get("worker_heartbeat_interval", 5.0), raw.get("worker_lost_timeout", 15.0)
    if isinstance(beat, int | float) and isinstance(lost, int | float) and lost <= beat:
        text = f"is {lost:g} s, and a worker is heard of every {beat:g} s (worker_heartbeat_interval)"
        yield Fault(("worker_lost_timeout",), text, "make it longer, three times as long for example")


class HostedStartTest(StartTest):
    """The same, if the host of relative URLs is set from outside the script."""

    hosted: ClassVar[bool] = True


def _shape_faults(raw: dict[str, object]) -> Iterable[Fault]:
    shape, config = raw.get("load_shape"), raw.get("shape_config")
    if shape is None and config is not None:
        yield Fault(("shape_config",), "has no meaning without load_shape", f"set load_shape to {', '.join(SHAPES)}, or remove it")
    elif shape is not None and config is None:
        yield Fault(("shape_config",), "is missing", "load_shape says which shape, shape_config how big and how long")
    elif isinstance(shape, str) and shape in SHAPES and isinstance(config, dict):
        try:
            SHAPES[shape].model_validate(config)
        except ValidationError as error:
            yield from (Fault(("shape_config", *fault.loc), fault.message, fault.hint) for fault in faults_of(error))


def _repeated_sources(raw: dict[str, object]) -> Iterable[Fault]:
    sources = raw.get("csv_sources")
    seen: set[str] = set()
    for index, source in enumerate(sources if isinstance(sources, list) else ()):
        name = source.get("name") if isinstance(source, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield Fault(("csv_sources", index, "name"), "another source of this test has this name", "give each its own")
            seen.add(name)
