# ruff: noqa: E501  # a row and its golden text stay on one line
"""What only a run used to find: each row's mistake is found before the first load of its script is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.cli.boundary import USAGE
from loadflow.engine.session.checking import Checking
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError
from tests.targets.fixture import Target

PROTO = 'syntax = "proto3"; package shop; message Ask { string name = 1; } message Got { string text = 1; } service Shop { rpc Greet (Ask) returns (Got); }'
DIFFERS = "${uuid()}"  # from hit to hit
ZZ = {"expr": "p95 < 1 s", "name": "zz"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LOADFLOW_SECRET_SHOP", "LOADFLOW_WORKER_TOKEN", "LOADFLOW_SOCKET_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    Path("header.csv").write_text("a,b\n")
    Path("uneven.csv").write_text("a,b\n1,2\n1\n")
    Path("no.pem").write_text("no certificate")
    Path("shop.proto").write_text(PROTO)
    Path("zz.json").write_text(json.dumps([load(step={"request_url": "http://127.0.0.1:9/b"}, thresholds=[ZZ])]))
    Path("late.json").write_text(json.dumps([["LD_execute_files", [["zz.json"]]]]))
    Path("round.json").write_text(json.dumps([["LD_execute_files", [["round.json"]]]]))


def load(user: str = "fast_http_user", **keys: Any) -> list[Any]:
    """A load of one hit on URL; `step` and `detail` add to its step and its user."""
    step = {"method": "get", "request_url": "URL/b", **keys.pop("step", {})}
    detail = {"user": user, **keys.pop("detail", {})}
    return ["LD_start_test", {"user_detail_dict": detail, "user_count": 1, "iterations": 1, "test_time": 5, "tasks": [step], **keys}]


def call(**keys: Any) -> list[Any]:
    return load("grpc_user", tasks=[{"target": "127.0.0.1:9", "method": "shop.Shop/Greet", **keys}])


def throttled(rps: float) -> dict[str, Any]:
    return {"method": "get", "request_url": "URL/b", "name": "x", "throttle": {"rps": rps}}


# after a load that nothing is wrong with: the actions, and what is said of them
LATE: list[tuple[str, list[Any], list[str]]] = [
    ("a threshold of a name that no step has", [load(thresholds=[ZZ])], ["actions[1].thresholds[0].name: no step is named 'zz'; they are /b"]),
    ("a threshold after the end", [load(thresholds=[{"expr": "p95 < 1 s", "window": [9, 12]}])], ["actions[1].thresholds[0].window: begins after the load's end, at 5 s; choose an earlier one"]),
    ("a threshold of what is not counted", [load(thresholds=["dropped < 1"])], ["actions[1].thresholds[0].expr: nothing is dropped without a rate; set rate, or remove it"]),
    ("throttles that clash", [load(tasks=[throttled(1), throttled(2)])], ["actions[1].tasks[1].throttle: rps is 2.0, and another step with the key 'x' says 1.0; write one rate, or give each a key of its own"]),
    ("a CSV without rows", [["LD_register_csv_source", ["c", "header.csv"]]], ["actions[1]: csv source 'c': header.csv: has column names but no rows; add at least one row"]),
    ("an uneven CSV", [load(csv_sources=[{"name": "c", "file_path": "uneven.csv"}])], ["actions[1]: csv source 'c': uneven.csv:3: 1 cell, but the header has 2 columns; write an empty cell as nothing between two ','"]),
    ("a certificate that is not there", [load(step={"verify": "nope.pem", "request_url": f"URL/{DIFFERS}"})], ["actions[1].tasks[0]: the file nope.pem is not there; name PEM files that can be read"]),
    ("an upload that is not there", [load(step={"method": "post", "files": {"f": "nope.bin"}, "params": {"a": DIFFERS}})], ["actions[1].tasks[0]: the file nope.bin can't be read: No such file or directory"]),
    ("native with web_ui", [load(detail={"engine": "native"}, web_ui_dict={"host": "127.0.0.1", "port": 8089})], ['actions[1].user_detail_dict.engine: the native core does not take web_ui; leave "engine" out, or write "locust"']),
    ("a secret that is not there", [load(step={"headers": {"Authorization": "Bearer ${secret.shop}"}})], ["actions[1]: no secret 'shop'; set LOADFLOW_SECRET_SHOP"]),
    ("a header whose name is not a token", [load(step={"headers": {"X Y": DIFFERS}})], ['actions[1].tasks[0]: the header "X Y" holds a line break or another character that can\'t be sent']),
    ("a variable of the wrong kind", [["LD_register_variable", ["n", "many"]], load(user_count="${n}")], ["actions[2].user_count: must be a whole number, not text"]),
    ("a variable that no placeholder can name", [["LD_register_variable", ["a}b", 1]]], ["actions[1].arguments[0]: 'a}b' holds '}', which would end the placeholder; give another name"]),
    ("a master that others reach, without a token", [load(runner_mode="master", master_bind_host="0.0.0.0")], ["actions[1].master_bind_host: '0.0.0.0' is more than this machine, and there is no token; set LOADFLOW_WORKER_TOKEN to the same secret on the master and its workers, or use 127.0.0.1"]),
    ("Prometheus: buckets out of order", [["LD_start_prometheus_exporter", {"buckets_ms": [5, 1]}]], ["actions[1].buckets_ms: must be ascending, each once; write them from the smallest to the largest"]),
    ("Prometheus: a certificate that is not there", [["LD_start_prometheus_exporter", {"ca_file": "nope.pem"}]], ["actions[1].ca_file: 'nope.pem' can't be read: No such file or directory; give the path of a PEM file"]),
    ("InfluxDB: a URL over UDP", [["LD_start_influxdb_sink", {"url": "http://127.0.0.1/x"}]], ['actions[1].url: is of no use over UDP; use "transport": "http", or leave it out']),
    ("InfluxDB: a measurement that is a comment", [["LD_start_influxdb_sink", {"measurement": "#x"}]], ["actions[1].measurement: '#x' can't be written; use a word such as loaddensity_request; it can't start with # or hold a backslash"]),
    ("InfluxDB: started twice, differently", [["LD_start_influxdb_sink"], ["LD_start_influxdb_sink", {"port": 9}]], ["actions[2]: InfluxDB is exported to already, with another port; stop it first; or start it once, with what is meant"]),
    ("OpenTelemetry: a certificate without its key", [["LD_start_opentelemetry_exporter", {"cert_file": "no.pem"}]], ["actions[1].key_file: is missing; the two go together"]),
    ("OpenTelemetry: no URL", [["LD_start_opentelemetry_exporter", ["localhost:4317"]]], ["actions[1].arguments[0]: is not an http:// or https:// URL; such as http://127.0.0.1:4317"]),
    ("gRPC: no such method", [call(method="shop.Shop/Gret", proto="shop.proto")], ["actions[1].tasks[0]: shop.Shop has no method 'Gret'; it has: Greet"]),
    ("gRPC: no such field", [call(proto="shop.proto", payload={"nme": DIFFERS})], ["""actions[1].tasks[0]: payload is not a shop.Ask: Message type "shop.Ask" has no field named "nme" at "Ask". Available Fields(except extensions): "['name']\""""]),
    ("inside of LD_execute_action", [["LD_execute_action", [[load(thresholds=[ZZ])]]]], ["actions[1].arguments[0][0].thresholds[0].name: no step is named 'zz'; they are /b"]),
    ("inside of a file that a file calls", [["LD_execute_files", [["late.json"]]]], ["late.json: zz.json: actions[0].thresholds[0].name: no step is named 'zz'; they are /b"]),
    ("a file that calls itself", [["LD_execute_files", [["round.json"]]]], ["round.json: actions[0].arguments[0][0]: files of actions call each other without end: round.json → round.json; take one of these calls out"]),
    ("a file that is not there", [["LD_execute_files", [["nope.json"]]]], ["actions[1].arguments[0][0]: nope.json: there is no such file; check the path"]),
    ("a recording that is not there", [["LD_har_to_tasks", {"har": "nope.har"}]], ["actions[1]: nope.har: there is no such file; check the path"]),
    ("LD_assert_sla of a name that no step has", [["LD_assert_sla", {"rules": [ZZ]}]], ["actions[1].rules[0].name: no step is named 'zz'; they are /a"]),
    ("LD_assert_sla with nothing to judge", [["LD_clear_records"], ["LD_assert_sla", {"rules": ["p95 < 1 s"]}]], ["actions[2]: there is no run to judge; LD_start_test comes first"]),
    ("nothing to store", [["LD_clear_records"], ["LD_persist_records", ["runs.db"]]], ["actions[2]: there is no run to store; LD_start_test comes first, and LD_clear_records after this"]),
    ("a comparison by what is not a number", [["LD_diff_runs", {"baseline": "previous", "current": "latest", "relative": "x"}]], ["actions[1].relative: 'x' is no such number; give a share from 0, such as 0.1 or 10%"]),
    ("a server with half a certificate", [["LD_start_socket_server", {"certfile": "no.pem"}]], ["actions[1].keyfile: is missing, and certfile alone gives no TLS; give both, or leave out certfile"]),
    ("a server that is open to others", [["LD_start_socket_server", {"host": "0.0.0.0", "port": 0}]], ["actions[1].host: without a token the server listens on this machine only, and 0.0.0.0 is open to others; set LOADFLOW_SOCKET_TOKEN (or token, or token_file), or use localhost"]),
    ("what comes after a load that is wrong", [load(thresholds=[ZZ]), load(step={"headers": {"X Y": "1"}})], ["actions[1].thresholds[0].name: no step is named 'zz'; they are /b", 'actions[2].tasks[0]: the header "X Y" holds a line break or another character that can\'t be sent']),
]  # fmt: skip


def script_of(actions: list[Any], url: str) -> list[Any]:
    written = json.dumps([load(step={"request_url": "URL/a"}), *actions]).replace("URL", url)
    document: list[Any] = json.loads(written)
    return document


@pytest.mark.parametrize(("actions", "texts"), [row[1:] for row in LATE], ids=[row[0] for row in LATE])
def test_a_mistake_that_a_run_would_find_is_found_by_the_check(actions: list[Any], texts: list[str]) -> None:
    with pytest.raises(ScriptError) as raised:
        Checking(Session()).script(script_of(actions, "http://127.0.0.1:9"))
    assert [str(mistake) for mistake in raised.value.mistakes] == texts


@pytest.mark.parametrize("actions", [row[1] for row in LATE], ids=[row[0] for row in LATE])
def test_a_run_sends_nothing_of_a_script_with_a_late_mistake(actions: list[Any], target: Target, tmp_path: Path) -> None:
    target.reset()
    Path("script.json").write_text(json.dumps(script_of(actions, target.url)))
    Path("zz.json").write_text(Path("zz.json").read_text().replace("http://127.0.0.1:9", target.url))
    assert CliRunner().invoke(main, ["run", "--direct", "--quiet", "--runs-dir", "runs", "script.json"]).exit_code == USAGE
    assert target.records() == []
    assert not Path("runs").exists()


LATER = [
    ("a server's own word on its methods", [call(reflection=True, payload={"nme": "x"})]),
    ("what an own command may set", [["own"], load(step={"request_url": "URL/${token}", "verify": "${pem}"})]),
    ("what an own command may write", [["own"], load(step={"verify": "later.pem"}), ["LD_register_csv_source", ["c", "later.csv"]]]),
    ("a load that an own command may make", [["LD_clear_records"], ["own"], ["LD_assert_sla", {"rules": [ZZ]}], ["LD_persist_records", ["r.db"]]]),
    ("a name that differs from hit to hit", [load(step={"name": DIFFERS}), ["LD_assert_sla", {"rules": [ZZ]}]]),
]  # fmt: skip


@pytest.mark.parametrize("actions", [row[1] for row in LATER], ids=[row[0] for row in LATER])
def test_what_can_only_be_known_later_is_left_to_later(actions: list[Any]) -> None:
    from loadflow.engine.script.command import Command

    session = Session(own_commands={"own": Command("own", lambda: None, "Anything.")})
    assert Checking(session).script(script_of(actions, "http://127.0.0.1:9")).actions
    assert session.variables.values == {}
    assert session.exporters == {}


def test_files_that_run_in_one_session_see_each_others_variables(tmp_path: Path, target: Target) -> None:
    target.reset()
    Path("vars.json").write_text(json.dumps([["LD_register_variable", {"name": "base", "value": target.url}]]))
    Path("main.json").write_text(json.dumps([load(step={"request_url": "${var.base}/ok"})]))
    Path("script.json").write_text(json.dumps([["LD_execute_files", {"execute_files_list": ["vars.json", "main.json"]}]]))
    assert CliRunner().invoke(main, ["check", "script.json"]).exit_code == 0
    done = CliRunner().invoke(main, ["run", "--direct", "--runs-dir", "runs", "script.json"])
    assert done.exit_code == 0, done.output
    assert [record.path for record in target.records()] == ["/ok"]


def test_what_is_wrong_in_form_is_not_tried() -> None:
    """Also inside of a nested script: a command that is called with arguments it does not take would fail in its own words."""
    nested = ["LD_execute_action", [[["LD_register_variable", {"nam": "a", "value": 1}], load(thresholds=[ZZ]), load(tsks=[])]]]
    with pytest.raises(ScriptError) as raised:
        Checking(Session()).script(script_of([nested], "http://127.0.0.1:9"))
    places = [mistake.place for mistake in raised.value.mistakes]
    assert places == ["actions[1].arguments[0][0].nam", "actions[1].arguments[0][0].name", "actions[1].arguments[0][2].tsks"]
