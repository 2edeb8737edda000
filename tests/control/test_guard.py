"""What scripts of clients can't reach: the environment, files outside of the root, commands that are not open."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.control.client import ControlError
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.script.arguments import FILES
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.guard import REPORT_NAMES, Guard, is_path_argument
from loadflow.engine.session.session import Session
from loadflow.engine.session.table import TABLE
from loadflow.errors import ScriptError
from tests.control.serving import client_of, load, serving
from tests.targets.fixture import Target

STEP = {"method": "get", "request_url": "http://127.0.0.1:1/"}


def a_test(step: dict[str, Any] | None = None, **keys: Any) -> list[Any]:
    return ["LD_start_test", {"user_detail_dict": {"user": "http_user"}, "tasks": [{**STEP, **(step or {})}], **keys}]


def populations(step: dict[str, Any], **keys: Any) -> list[Any]:
    one = {"name": "a", "tasks": [{"batch": [{**STEP, **step}]}], **keys}
    return ["LD_start_test", {"user_detail_dict": {"user": "http_user"}, "populations": [one]}]


def a_call(step: dict[str, Any]) -> list[Any]:
    tasks = [{"method": "shop.Shop/Get", **step}]
    return ["LD_start_test", {"user_detail_dict": {"user": "grpc_user"}, "tasks": tasks}]


def a_duet(test: dict[str, Any], **keys: Any) -> list[Any]:
    sides = {"baseline_target": "http://127.0.0.1:1", "target": "http://127.0.0.1:2"}
    steps = [{"method": "get", "request_url": "/"}]
    return ["LD_duet", {**sides, "test": {"user_detail_dict": {"user": "http_user"}, "rate": 5, "tasks": steps, **test}, **keys}]


OUT = "/etc/passwd"
PATHS = [
    ("a source", ["LD_register_csv_source", {"name": "a", "file_path": OUT}], "file_path"),
    ("a source by position", ["LD_register_csv_source", ["a", OUT]], "arguments[1]"),
    ("a source of several", ["LD_register_csv_sources", {"sources": [{"name": "a", "file_path": OUT}]}], "sources[0].file_path"),
    ("a source of a population", populations({}, csv_sources=[{"name": "a", "file_path": OUT}]), "populations[0].csv_sources[0].file_path"),
    ("a file of a step of a population", populations({"cert": OUT}), "populations[0].tasks[0].batch[0].cert"),
    ("a source of a test", a_test(csv_sources=[{"name": "a", "file_path": OUT}]), "csv_sources[0].file_path"),
    (
        "a database of a test",
        a_test(csv_sources=[{"name": "a", "database": {"url": "sqlite:////x", "query": "q"}}]),
        "csv_sources[0].database",
    ),
    ("a database", ["LD_register_csv_source", {"name": "a", "database": {"url": "sqlite:////x", "query": "q"}}], "database"),
    ("a way out by ..", ["LD_register_csv_source", {"name": "a", "file_path": "../../etc/passwd"}], "file_path"),
    ("a way out and in again", ["LD_register_csv_source", {"name": "a", "file_path": "sub/../../x"}], "file_path"),
    ("a link that leads out", ["LD_register_csv_source", {"name": "a", "file_path": "link/passwd"}], "file_path"),
    ("a path that is not known yet", ["LD_register_csv_source", {"name": "a", "file_path": "${var.x}"}], "file_path"),
    ("a NUL", ["LD_register_csv_source", {"name": "a", "file_path": "a\0b"}], "file_path"),
    ("a file of actions", ["LD_execute_files", {FILES: ["in.json", OUT]}], f"{FILES}[1]"),
    ("a file of actions by position", ["LD_execute_files", [[OUT]]], "arguments[0][0]"),
    ("a run to compare with", ["LD_diff_runs", {"baseline": "/tmp/runs/a"}], "baseline"),
    ("a run to compare with by position", ["LD_diff_runs", ["previous", "../runs/a"]], "arguments[1]"),
    ("a report", ["LD_generate_html_report", {"html_name": "../report"}], "html_name"),
    ("a report with a whole path", ["LD_generate_summary_report", {"report_name": "/tmp/report"}], "report_name"),
    ("a report through a link", ["LD_generate_html_report", ["link/report"]], "arguments[0]"),
    ("an upload", a_test({"files": {"f": OUT}}), "tasks[0].files.f"),
    ("an upload as an object", a_test({"files": {"f": {"path": OUT}}}), "tasks[0].files.f"),
    ("an upload of a list", a_test({"files": [{"field": "f", "path": OUT}]}), "tasks[0].files[0]"),
    (
        "an upload that an answer names",
        a_test({"files": {"f": "${var.x}"}, "extract": [{"var": "x", "from": "status_code"}]}),
        "tasks[0].files.f",
    ),
    ("a certificate", a_test({"cert": OUT}), "tasks[0].cert"),
    ("a certificate and its key", a_test({"cert": ["in.pem", OUT]}), "tasks[0].cert[1]"),
    ("a certificate by its other name", a_test({"client_cert": OUT}), "tasks[0].client_cert"),
    ("whom to trust", a_test({"verify": OUT}), "tasks[0].verify"),
    ("the interface of a server", a_call({"proto": OUT}), "tasks[0].proto"),
    ("what it imports", a_call({"proto": "in.proto", "import_paths": ["sub", "/etc"]}), "tasks[0].import_paths[1]"),
    ("generated code", a_call({"stub_path": "shop_pb2_grpc.ShopStub", "method": "Get"}), "tasks[0].stub_path"),
    ("steps before the load", a_test(on_start=[{**STEP, "verify": OUT}]), "on_start[0].verify"),
    ("steps after it", a_test(on_stop=[{**STEP, "cert": OUT}]), "on_stop[0].cert"),
    (
        "steps of a group",
        ["LD_start_test", {"user_detail_dict": {}, "tasks": [{"group": "g", "steps": [{**STEP, "verify": OUT}]}]}],
        "tasks[0].steps[0].verify",
    ),
    (
        "a function of Python",
        ["LD_start_test", {"user_detail_dict": {"user": "python_user"}, "host": "http://127.0.0.1:1", "tasks": [{"call": "in.py:A.b"}]}],
        "tasks[0].call",
    ),
    (
        "steps of a scenario",
        ["LD_start_test", {"user_detail_dict": {}, "tasks": {"mode": "sequence", "tasks": [{**STEP, "verify": OUT}]}}],
        "tasks.tasks[0].verify",
    ),
    (
        "steps by method",
        ["LD_start_test", {"user_detail_dict": {}, "tasks": {"get": {"request_url": STEP["request_url"], "cert": OUT}}}],
        "tasks.get.cert",
    ),
    ("a run to judge", ["LD_judge", {"run": "/tmp/runs/a"}], "run"),
    ("a source of a duet's load", a_duet({"csv_sources": [{"name": "a", "file_path": OUT}]}), "test.csv_sources[0].file_path"),
    ("a run that a duet settles", a_duet({}, suspect="../a"), "suspect"),
    (
        "a step of a search for a capacity",
        ["LD_find_capacity", {"test": a_test({"verify": OUT})[1], "limits": ["p99 < 500 ms"]}],
        "test.tasks[0].verify",
    ),
    (
        "a step of a campaign",
        ["LD_campaign", {"test": a_test({"verify": OUT})[1], "rates": [10]}],
        "test.tasks[0].verify",
    ),
    (
        "the same by position",
        ["LD_find_capacity", [a_test({"cert": OUT})[1], ["p99 < 500 ms"]]],
        "arguments[0].tasks[0].cert",
    ),
    ("a nested script", ["LD_execute_action", {"action_list": [["LD_register_csv_source", ["a", OUT]]]}], "action_list[0].arguments[1]"),
    (
        "a nested document",
        ["LD_execute_action", [{"load_density": [["LD_generate_html_report", ["/x"]]]}]],
        "arguments[0].load_density[0].arguments[0]",
    ),
    ("an exporter for everybody", ["LD_start_prometheus_exporter", {"addr": "0.0.0.0"}], "addr"),
    ("whom a sink trusts", ["LD_start_influxdb_sink", {"ca_file": OUT}], "ca_file"),
    ("a web UI for everybody", a_test(web_ui_dict={"host": "0.0.0.0", "port": 8089}), "web_ui_dict.host"),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "link").symlink_to("/etc")
    (folder / "in.csv").write_text("name\nann\n")
    (folder / "in.json").write_text('[["print", ["hello"]]]')
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "in.pem"))
    (folder / "in.proto").write_text('syntax = "proto3"; package shop; message Ask {} service Shop { rpc Get (Ask) returns (Ask); }')
    monkeypatch.chdir(folder)
    return folder


def guarded(root: Path, **limits: Any) -> Session:
    return Session(runs_dir=root / "runs", report_dir=root, guard=Guard(root, **limits))


@pytest.mark.parametrize(("what", "action", "place"), PATHS, ids=[row[0] for row in PATHS])
def test_no_file_outside_of_the_root_is_touched(root: Path, what: str, action: list[Any], place: str) -> None:
    with pytest.raises(ScriptError) as refused:
        load_script([action], session=guarded(root))
    (mistake,) = refused.value.mistakes
    assert mistake.place == f"actions[0].{place}"
    assert "root:" not in str(refused.value)


INSIDE = [
    ["LD_register_csv_source", {"name": "a", "file_path": "in.csv"}],
    ["LD_register_csv_source", ["a", "sub/../in.csv"]],
    ["LD_execute_files", [["in.json"]]],
    ["LD_generate_html_report", ["sub/report"]],
    a_test({"verify": True}),
    a_test({"verify": "in.pem", "cert": "in.pem", "files": {"f": {"content": "/etc/passwd"}}, "json": None}),
    a_test({"json": {"file_path": OUT, "files": [OUT], "cert": OUT}}),
    a_test(web_ui_dict={"port": 8089}),
    a_call({"proto": ["in.proto"], "import_paths": ["sub"], "verify": "in.pem"}),
    ["LD_start_influxdb_sink", {"transport": "http", "url": "http://127.0.0.1:1/write", "ca_file": "in.pem"}],
]


@pytest.mark.parametrize("action", INSIDE, ids=str)
def test_files_inside_of_the_root_are_open(root: Path, action: list[Any]) -> None:
    (root / "sub").mkdir()
    load_script([action], session=guarded(root))


def test_a_whole_path_inside_of_the_root_is_open(root: Path) -> None:
    load_script([["LD_register_csv_source", ["a", str(root / "in.csv")]]], session=guarded(root))


def test_a_recording_is_read_inside_of_the_root_only(root: Path) -> None:
    with pytest.raises(ScriptError, match=r"actions\[0\]\.har: .* is outside of the folder"):
        load_script([["LD_har_to_tasks", {"har": "/etc/passwd"}]], session=guarded(root))
    load_script([["LD_har_to_tasks", {"har": {"log": {"entries": []}}}]], session=guarded(root))


def test_a_database_url_is_closed_under_a_root(root: Path) -> None:
    with pytest.raises(ScriptError, match="a database URL is not open to scripts here"):
        load_script([["LD_list_runs", {"url": "sqlite:////tmp/other.db"}]], session=guarded(root))


def test_without_a_guard_everything_is_open(root: Path) -> None:
    outside = root.parent / "out.csv"
    outside.write_text("name\nann\n")
    load_script([["LD_register_csv_source", ["a", str(outside)]], ["LD_generate_html_report", ["/tmp/x"]]], session=Session())


# Arguments of the table that hold no path. A new argument belongs here or is known to the guard: that is what this list is for.
NO_PATHS = {
    *(name for name in StartTest.model_fields if name not in ("tasks", "csv_sources", "populations", "web_ui_dict")),
    *(
        "action_list",
        "name",
        "value",
        "variables",
        "cycle",
        "mode",
        "seed",
        "encoding",
        "per",
        "package",
        "host",
        "port",
        "framed",
        "token",
        "settings",
    ),
    *("rules", "threshold", "window_seconds", "min_samples", "latency_ms", "jitter_ms", "loss_rate", "name_filter"),
    *("buckets_ms", "max_series", "last_scrape_s", "push_gateway", "remote_write", "push_job", "push_interval_s", "push_headers"),
    *(
        "endpoint",
        "trace_sample_rate",
        "traces_per_s",
        "traces_endpoint",
        "service_name",
        "export_interval_ms",
        "protocol",
        "headers",
        "resource",
        "compression",
    ),
    *("transport", "measurement", "timeout", "org", "bucket", "tags", "queue_points", "batch_points", "flush_s"),
    *("prefix", "tag_format", "queue_lines", "batch_lines"),  # of statsd
    *("include", "exclude", "think_time", "secrets", "user", "delimiter", "quote"),
    *("success", "failures", "per_request", "label", "metadata", "limit", "run_id", "outcome", "since", "until", "offset"),
    *("relative", "absolute_ms", "absolute_failure_rate", "confidence", "allow_unlike", "allow_first", "fail_on_worse"),
}
NO_PATHS |= {"metric", "metrics", "floor", "leg", "pairs", "target", "baseline_target"}
NO_PATHS |= {"at_once", "fail_on_failed", "max_age", "rates", "targets"}
NO_PATHS |= {"at_most", "budget", "limits", "peak", "peak_growth", "precision", "probe", "start"}
KNOWN = {"addr", "tasks", "csv_sources", "database", "populations", "sources", "test", "web_ui_dict", "url"}


@pytest.mark.parametrize("command", TABLE.values(), ids=TABLE)
def test_the_guard_knows_every_argument_of_every_command(command: Any) -> None:
    names = set(command.arguments.model_fields) if command.arguments else set(inspect.signature(command.function).parameters)
    unknown = {name for name in names if name not in NO_PATHS | KNOWN | REPORT_NAMES and not is_path_argument(name)}
    assert not unknown, "say in guard.py that they hold paths, or here that they don't"


def test_files_of_actions_are_under_the_same_guard(root: Path) -> None:
    (root / "bad.json").write_text('[["LD_register_csv_source", ["a", "/etc/passwd"]]]')
    with pytest.raises(ScriptError, match=r"bad\.json: actions\[0\]\.arguments\[1\]: .* is outside of the folder"):
        load_script([["LD_execute_files", [["bad.json"]]]], session=guarded(root))


ENV = [
    ("in a step", a_test({"headers": {"X": "a ${env.SECRET_THING} b"}}), "tasks[0].headers.X"),
    ("in a variable", ["LD_register_variable", {"name": "a", "value": {"deep": ["${ ENV.SECRET_THING }"]}}], "value.deep[0]"),
    ("in a builtin's argument", ["print", ["${env.SECRET_THING}"]], "arguments[0]"),
    ("in a nested script", ["LD_execute_action", [[["print", ["${env.SECRET_THING}"]]]]], "arguments[0][0].arguments[0]"),
]


@pytest.mark.parametrize(("what", "action", "place"), ENV, ids=[row[0] for row in ENV])
def test_the_environment_is_closed_but_for_what_is_allowed(
    root: Path, monkeypatch: pytest.MonkeyPatch, what: str, action: list[Any], place: str
) -> None:
    monkeypatch.setenv("SECRET_THING", "xyzzy")
    with pytest.raises(ScriptError) as refused:
        load_script([action], session=guarded(root, env=frozenset({"OPEN_THING"})))
    assert f"actions[0].{place}" in [mistake.place for mistake in refused.value.mistakes]
    assert "xyzzy" not in str(refused.value)
    load_script([action], session=guarded(root, env=frozenset({"SECRET_THING"})))


def test_a_client_reaches_what_the_host_allowed_and_nothing_else(root: Path, monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    target.reset()
    monkeypatch.setenv("OPEN_THING", "shown")
    monkeypatch.setenv("SECRET_THING", "xyzzy")
    with serving(root, root=root, allow_env=["OPEN_THING"]) as server, client_of(server) as client:
        script = [load(f"{target.url}/ok", step={"headers": {"X-Thing": "${env.OPEN_THING}"}}), ["LD_generate_html_report", ["mine"]]]
        result = client.follow(client.start(script))
        assert result["verdict"]["verdict"] == "passed", result
        assert {record.header("X-Thing") for record in target.records()} == {"shown"}
        assert (root / "mine.html").exists()
        for action in (
            load(f"{target.url}/ok", step={"headers": {"X-Thing": "${env.SECRET_THING}"}}),
            ["LD_start_socket_server", {"port": 0}],
            ["LD_add_package_to_executor", ["os"]],
            ["LD_execute_action", [[["LD_start_socket_server"]]]],
            ["LD_register_csv_source", ["a", "/etc/passwd"]],
        ):
            with pytest.raises(ControlError) as refused:
                client.start([action])
            assert refused.value.kind == "script"
            assert "xyzzy" not in str(refused.value)


def test_own_commands_of_the_host_are_closed_unless_allowed(root: Path) -> None:
    from tests.control.serving import gate_session

    session, _reached, gate = gate_session(root)
    gate.set()
    with serving(root, session=session) as server, client_of(server) as client, pytest.raises(ControlError, match="is not a command"):
        client.start([["wait_here"]])
    with serving(root, session=session, allow_commands=["wait_here"]) as server, client_of(server) as client:
        assert client.follow(client.start([["wait_here"]]))["ok"]
