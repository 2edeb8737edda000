# ruff: noqa: E501  # a row and its golden text stay on one line
from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from loadflow.engine.load_test.model import CsvSource, StartTest
from loadflow.engine.load_test.shape import Soak, Spike, Stages
from loadflow.engine.script.document import parse_script
from loadflow.errors import ScriptError
from tests.script.table import COMMANDS, load_test, with_step


def mistakes(action: list[Any]) -> list[str]:
    with pytest.raises(ScriptError) as caught:
        parse_script([action], commands=COMMANDS)
    return [str(mistake).removeprefix("actions[0].") for mistake in caught.value.mistakes]


STEP = {"method": "get", "request_url": "http://x/"}
RIGHT: list[tuple[str, list[Any]]] = [
    ("populations", ["LD_start_test", {"user_detail_dict": {}, "populations": [
        {"name": "a", "tasks": [STEP], "user_count": 3}, {"name": "b", "user_detail_dict": {"user": "http_user"}, "tasks": [STEP], "rate": 5, "thresholds": ["p95 < 500"]}]}]),
    ("batches", load_test(
        on_start=[{"batch": [STEP, STEP]}],
        tasks={"mode": "weighted", "tasks": [{"batch": [STEP], "weight": 3, "think_time": {"min": 0, "max": 1}}, {"group": "g", "steps": [STEP, {"batch": [STEP]}]}]})),
    ("one user of several protocols", load_test(
        host="http://x", hosts={"mqtt_user": "x:1883", "redis_user": "${var.redis}"}, on_start=[{**STEP, "user": "http_user"}],
        tasks={"mode": "weighted", "tasks": [
            {"group": "talk", "steps": [{"user": "websocket_user", "method": "connect", "request_url": "/talk"}, {"user": "websocket_user", "method": "recv"}]},
            {"user": "mqtt_user", "method": "publish", "topic": "a"}, {"user": "redis_user", "command": ["GET", "a"]},
            {"user": "socket_user", "target": "x:9", "payload": "a"}, {"user": "grpc_user", "target": "x:50051", "method": "B", "stub_path": "a.A"}, {**STEP, "user": None}]})),
    ("HTTP beside the own protocol", load_test(
        user_detail_dict={"user": "websocket_user", "host": "ws://x"}, tasks=[{"method": "recv"}, {"user": "fast_http_user", "method": "get", "request_url": "/a"}])),
    ("only what is required", load_test()),
    ("no user named", load_test(user_detail_dict={})),
    ("no end and no wait", load_test(test_time=None, wait_time=None, web_ui_dict=None)),
    ("a wait, a span to wait", load_test(wait_time={"min": 0, "max": 1.5})),
    ("placeholders for scalars", load_test(user_count="${var.n}", test_time="${env.T}", seed="${s}", wait_time="${w}", max_failure_rate="${f}")),
    ("stages", load_test(load_shape="stages", shape_config={"stages": [{"duration": 5, "users": 3}]})),
    ("spike and soak with defaults", load_test(load_shape="soak", shape_config={})),
    ("a rate", load_test(rate=500, test_time=60, user_count=200, max_in_flight=100, max_lateness=0, rate_tolerance=0.05, processes=4)),
    ("a rate in a placeholder", load_test(rate="${var.rate}", max_in_flight="${var.most}")),
    ("every mode of a rate", load_test(rate={"mode": "constant", "rps": 0.2, "duration": "1h30m", "spacing": "poisson"})),
    ("a ramp", load_test(rate={"mode": "ramp", "rps": "${var.rps}", "duration": "2m30s", "ramp_up": 0})),
    ("steps and a spike", load_test(rate={"mode": "step", "rps": 100, "steps": 5, "duration": "90"})),
    ("a spike as long as the test", load_test(rate={"mode": "spike", "rps": 100}, test_time=30)),
    ("a rate in stages", load_test(rate={"mode": "stages", "stages": [{"duration": "1.5s", "rps": 10, "from_rps": 0}, {"duration": 5, "rps": 0}]})),
    ("a trace", load_test(rate={"mode": "trace", "rps": [12, 40.5, 0], "every": 60, "scale": 2.5})),
    ("a map of methods", load_test(tasks={"get": {"url": "http://x/"}, "Post": {"url": "http://x/", "method": "PUT"}})),
    ("weighted steps", load_test(tasks={"mode": "WEIGHTED", "tasks": [{"method": "get", "url": "http://x/", "weight": 3}]})),
    ("a relative URL with a host", load_test(host="https://shop.example", tasks=[{"method": "get", "url": "/a"}])),
    ("a relative URL with the user's host", load_test(user_detail_dict={"host": "http://x:80"}, tasks=[{"method": "get", "url": "/a"}])),
    ("a URL that is a placeholder", load_test(tasks=[{"method": "get", "url": "${var.url}"}])),
    ("a host in a placeholder", load_test(host="http://${env.HOST}/", tasks=[{"method": "get", "url": "/a?next=http://y"}])),
    ("csv sources", load_test(csv_sources=[{"name": "u", "file_path": "u.csv", "cycle": False}])),
    ("null keys are absent", with_step(weight=None, headers=None, run_if=None, retry=None, json=None, data={"a": 1})),
    ("every request key", with_step(params=[["a", 1], ["a", None]], headers={"X": "${a}"}, cookies={"c": 1}, json=[1], timeout=[1, None],
                                    verify="ca.pem", cert=["a", "b"], allow_redirects=False, auth={"type": "Bearer", "token": "t"})),
    ("files with fields", with_step(data={"a": ["1", 2]}, files={"f": "a.txt", "g": {"content": "", "filename": "x"}})),
    ("several files of one field", with_step(files=[{"field": "f", "path": "a"}, {"field": "f", "content_base64": "aGk="}])),
    ("conditions", with_step(run_if={"and": [True, "${a}", {"not": {"in": ["a", ["a"]]}}, {"or": [{"equals": [1, 1.5]}]}]}, skip_if={"truthy": None})),
    ("assertions in any case", with_step(assertions=[{"type": "Status_Code", "value": [200, "${var.s}"]}, {"type": "JSON_path", "path": "a.0", "value": None},
                                                     {"type": "not_contains", "value": ""}, {"type": "response_time", "max_ms": 50}])),
    ("patterns", with_step(
        assertions=[{"type": "regex", "pattern": "a+"}, {"type": "NOT_REGEX", "pattern": "[$]{x}"}],
        extract=[{"var": "a", "from": "regex", "pattern": "(a)(b)", "group": 2}, {"var": "b", "from": "cookie", "name": "c"}, {"var": "c", "from": "body"}])),
    ("extracts", with_step(extract=[{"var": "a", "path": "b"}, {"var": "c", "from": "status_code"}, {"var": "d", "from": "header", "name": "X", "scope": "session"}, {"var": "e", "from": "header", "name": "Location", "pattern": "[?&]code=([^&]+)", "group": 1}])),
    ("placeholders for a step's numbers", with_step(timeout="${var.t}", think_time={"min": "${a}", "max": 1}, throttle={"rps": "${r}"}, retry={"transient": "${n}"})),
]  # fmt: skip


@pytest.mark.parametrize("action", [row[1] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_accepts(action: list[Any]) -> None:
    assert parse_script([action], commands=COMMANDS).actions[0].arguments == action[1]


KEYS = "allowed: transient, flaky, permanent, base_delay, max_delay, backoff_factor, jitter"
WRONG: list[tuple[str, list[Any], list[str]]] = [
    ("neither steps nor populations", ["LD_start_test", {"user_detail_dict": {}}], ["tasks: is missing; write the steps of a user, or populations with their own"]),
    ("a population without a name, with a key of the test and a wrong step", ["LD_start_test", {"user_detail_dict": {}, "populations": [{"tasks": [{"metod": "get"}], "label": "x"}]}], [
        "populations[0].tasks[0].metod: 'metod' is not a key of an HTTP step; did you mean 'method'?",
        "populations[0].tasks[0].method: is missing",
        "populations[0].tasks[0].request_url: is missing; every HTTP step needs the URL it asks for",
        "populations[0].label: 'label' is not a key of a population; write it beside populations",
        "populations[0].name: is missing; reports and thresholds name a population by it"]),
    ("keys of one protocol in a step of another", load_test(tasks=[{**STEP, "topic": "a", "command": ["PING"]}, {"user": "websocket_user", "request_url": "ws://x", "params": {}}]), [
        "tasks[0].topic: 'topic' is not a key of an HTTP step; it is a key of mqtt_user; a step of another user says so: \"user\": \"mqtt_user\"",
        "tasks[0].command: 'command' is not a key of an HTTP step; it is a key of redis_user; a step of another user says so: \"user\": \"redis_user\"",
        "tasks[1].params: 'params' is not a key of a step of websocket_user; it is a key of fast_http_user, http_user; a step of another user says so: \"user\": \"fast_http_user\""]),
    ("a step of no user type, and of what is no text", load_test(tasks=[{"user": "websoket_user"}, {**STEP, "user": ["http_user"]}]), [
        "tasks[0].user: 'websoket_user' is not a user type; did you mean 'websocket_user'?",
        "tasks[1].user: must be text, not a list; allowed: fast_http_user, http_user, websocket_user, grpc_user, mqtt_user, socket_user, redis_user, python_user"]),
    ("another user's step that says not whom it asks", load_test(host="http://x", tasks=[{"user": "mqtt_user", "topic": "a"}]), [
        "tasks[0].broker: is missing: host is for steps of fast_http_user, and this one is of mqtt_user; write it, or beside tasks \"hosts\": {\"mqtt_user\": \"host:port\"}"]),
    ("another user's step where steps of one stand", load_test(tasks=[{"batch": [STEP, {"user": "websocket_user"}]}]), [
        "tasks[0].batch[1].user: is another user than the test's, and a batch has steps of one; write it into a list of steps"]),
    ("another user's step in a map", load_test(tasks={"get": {"user": "websocket_user", "url": "ws://x/"}}), [
        "tasks.get.user: is another user than the test's, and an object from method to step has steps of one; write it into a list of steps"]),
    ("a function beside steps", load_test(host="http://x", tasks=[{"user": "python_user", "call": "a.py:A.b"}]), [
        "tasks[0].user: is another user than the test's, and this one's steps stand by themselves; a function speaks other protocols itself: client.websocket, client.grpc, client.mqtt, client.socket, client.redis"]),
    ("hosts of no user, of the own one, and that are none", load_test(hosts={"mqt_user": "x:1", "http_user": "http://x", "socket_user": "x"}), [
        "hosts.mqt_user: 'mqt_user' is not a user type; did you mean 'mqtt_user'?", "hosts.http_user: is the test's own user; write host",
        "hosts.socket_user: is not a host:port; for example \"127.0.0.1:9000\""]),
    ("no populations", ["LD_start_test", {"user_detail_dict": {}, "populations": []}], ["populations: must not be empty"]),
    ("a batch in a batch, and keys of a step of a batch", load_test(tasks=[{"batch": [{"batch": [STEP]}, {**STEP, "think_time": 1, "weight": 2}]}]), [
        "tasks[0].batch[0]: is no step; a batch has steps only; write its steps into this batch, or the batch into a group",
        "tasks[0].batch[1].think_time: has no meaning for a step of a batch; write it beside batch: it begins when all of its steps have ended",
        "tasks[0].batch[1].weight: has no meaning for a step of a batch; write it beside batch: all of its steps are picked together"]),
    ("a batch with keys of a step", load_test(tasks=[{"batch": [STEP], "retry": {}}]), ["tasks[0].retry: 'retry' is not a key of a batch of steps; allowed: batch, weight, think_time"]),
    ("a batch of nothing", load_test(tasks=[{"batch": []}]), ["tasks[0].batch: must not be empty"]),
    ("two steps of a batch that extract the same", load_test(tasks=[{"batch": [{**STEP, "extract": [{"var": "a", "path": "b"}]}] * 2}]), [
        "tasks[0].batch[1].extract[0].var: is extracted by batch[0] too, and which of the two answers comes later is chance; give it another name"]),
    ("a batch of users who send one by one", load_test(user_detail_dict={"user": "websocket_user", "host": "ws://h"}, tasks=[{"batch": [{"method": "recv"}]}]), [
        "tasks[0].batch: is not for this user, who sends one request after the other; write its steps one after the other; a batch is for fast_http_user and http_user"]),
    ("an unknown argument", load_test(user_cuont=1), ["user_cuont: 'user_cuont' is not an argument of LD_start_test; did you mean 'user_count'?"]),
    ("an unknown user", load_test(user_detail_dict={"user": "fast_http"}), ["user_detail_dict.user: 'fast_http' is not a user type; did you mean 'fast_http_user'?"]),
    ("numbers out of bounds", load_test(user_count=0, spawn_rate=0, test_time=-1, processes=0, drain_time=-1, max_failure_rate=1.5, max_body_bytes=0), [
        "user_count: must be at least 1, not 0", "spawn_rate: must be more than 0, not 0", "test_time: must be more than 0, not -1",
        "processes: must be at least 1, not 0", "drain_time: must be at least 0, not -1", "max_failure_rate: must be at most 1, not 1.5",
        "max_body_bytes: must be at least 1, not 0"]),
    ("texts and flags for numbers", load_test(user_count="5", spawn_rate=True, seed=1.5), [
        "user_count: must be a whole number, not text", "spawn_rate: must be a number, not true", "seed: must be a whole number, not 1.5"]),
    ("a worker that is lost before it is heard", load_test(runner_mode="master", worker_lost_timeout=5), ["worker_lost_timeout: is 5 s, and a worker is heard of every 5 s (worker_heartbeat_interval); make it longer, three times as long for example"]),
    ("the web UI with processes", load_test(web_ui_dict={}, processes=2), ["web_ui_dict: the web UI shows one process only, and processes is 2; remove one of the two"]),
    ("a shape without its config", load_test(load_shape="spike"), ["shape_config: is missing; load_shape says which shape, shape_config how big and how long"]),
    ("a config without its shape", load_test(shape_config={}), ["shape_config: has no meaning without load_shape; set load_shape to stages, spike, soak, or remove it"]),
    ("an unknown shape", load_test(load_shape="spikes", shape_config={}), ["load_shape: 'spikes' is not a load shape; did you mean 'spike'?"]),
    ("no stages", load_test(load_shape="stages", shape_config={"stages": []}), ["shape_config.stages: must not be empty"]),
    ("a wrong stage", load_test(load_shape="stages", shape_config={"stages": [{"duration": 0, "user": 1}]}), [
        "shape_config.stages[0].duration: must be more than 0, not 0",
        "shape_config.stages[0].user: 'user' is not a key of a stage; did you mean 'users'?"]),
    ("a shape without length", load_test(load_shape="soak", shape_config={"ramp_seconds": 0, "hold_seconds": 0, "cooldown_seconds": 0}), [
        "shape_config: this shape lasts 0 seconds; make one of ramp_seconds, hold_seconds, cooldown_seconds longer"]),
    ("a rate of nothing", load_test(rate=0), ["rate: must be more than 0, not 0"]),
    ("a rate of another type", load_test(rate=[5]), ["rate: must be a number or an object, not a list"]),
    ("a rate without a mode", load_test(rate={"rps": 5}), ["rate.mode: is missing; allowed: constant, ramp, step, spike, stages, trace"]),
    ("an unknown mode of a rate", load_test(rate={"mode": "steps", "rps": 5}), ["rate.mode: 'steps' is not a mode of a rate; did you mean 'step'?"]),
    ("wrong keys of a rate", load_test(rate={"mode": "ramp", "rps": 0, "duration": "5 min", "rampup": 1, "spacing": "random"}), [
        "rate.rps: must be more than 0, not 0", 'rate.duration: is not a length of time; write seconds as a number, or a text like "90s" or "2m30s"',
        "rate.rampup: 'rampup' is not a key of a ramp; did you mean 'ramp_up'?", "rate.spacing: 'random' is not a spacing; allowed: even, poisson"]),
    ("lengths out of bounds", load_test(rate={"mode": "ramp", "rps": 5, "duration": 0, "ramp_up": -1}), [
        "rate.duration: must be more than 0 seconds", "rate.ramp_up: must be at least 0 seconds"]),
    ("stages of a rate without a rate", load_test(rate={"mode": "stages", "stages": [{"duration": 5}]}), ["rate.stages[0].rps: is missing"]),
    ("an empty trace", load_test(rate={"mode": "trace", "rps": []}), ["rate.rps: must not be empty"]),
    ("a rate beside what it replaces", load_test(rate=5, iterations=3, wait_time=1, spawn_rate=10), [
        "iterations: can't be combined with rate: the rate and its length say how many passes there are; remove one of the two",
        "wait_time: can't be combined with rate: the rate says when the next pass begins; think_time of a step stays possible; remove one of the two",
        "spawn_rate: can't be combined with rate: all users are there before the first pass is due; remove one of the two"]),
    ("a rate with a shape", load_test(rate=5, load_shape="soak", shape_config={}), [
        "load_shape: can't be combined with rate: write the rate over time as stages of the rate; remove one of the two"]),
    ("a rate without an end", load_test(rate=5, test_time=None), ["test_time: must be a number with a rate; say how long the load lasts"]),
    ("more at once than users", load_test(rate=5, user_count=3, max_in_flight=4, processes=4), [
        "max_in_flight: is more than user_count, which is 3: a user makes one pass at a time; give one of the two",
        "processes: are more than the passes that may be in flight, which are 3; each process needs one at least"]),
    ("what goes with a rate only", load_test(max_in_flight=5, max_lateness=1, rate_tolerance=0.1), [
        "max_in_flight: has no meaning without rate; set rate to how many passes are due each second, or remove it",
        "max_lateness: has no meaning without rate; set rate to how many passes are due each second, or remove it",
        "rate_tolerance: has no meaning without rate; set rate to how many passes are due each second, or remove it"]),
    ("no tasks", load_test(tasks=[]), ["tasks: must not be empty"]),
    ("tasks of another type", load_test(tasks="get"), [
        "tasks: must be a list of steps, an object from method to step or an object with mode and tasks, not text"]),
    ("an unknown mode", load_test(tasks={"mode": "wieghted", "tasks": {"get": {"url": "http://x"}}}), ["tasks.mode: 'wieghted' is not a mode; did you mean 'weighted'?"]),
    ("weights that sum to nothing", load_test(tasks={"mode": "weighted", "tasks": [{"method": "get", "url": "http://x", "weight": 0}]}), [
        "tasks.tasks: all weights are 0, so no step is ever picked; give one step a weight of 1 or more"]),
    ("a wrong map of methods", load_test(tasks={"gte": {"url": "http://x"}, "get": {"url": "http://x", "bdy": 1}, "GET": {"url": "http://x"}}), [
        "tasks.gte: 'gte' is not an HTTP method (an object here maps methods to steps); did you mean 'get'?",
        "tasks.get.bdy: 'bdy' is not a key of an HTTP step; allowed: name, weight, run_if, skip_if, think_time, throttle, retry, assertions, extract, on_failure, user, method and 18 more",
        "tasks.GET: GET is there twice; write a list of steps"]),
    ("a host that is none", load_test(host="shop.example"), ['host: is not an http or https URL; write it whole, for example "https://shop.example"']),
    ("a relative URL without a host", load_test(tasks=[{"method": "get", "url": "/a"}]), [
        "tasks[0].url: is relative, and there is no host; write the URL whole, or set host to what it is relative to"]),
    ("a scheme that is not HTTP", load_test(tasks=[{"method": "get", "url": "ftp://x/a"}]), [
        "tasks[0].url: is not an http or https URL; write it like https://shop.example/path, or relative to host"]),
    ("a span the wrong way round", load_test(wait_time={"min": 2, "max": 1}), ["wait_time.max: must be at least min, which is 2, not 1"]),
    ("two sources of one name", load_test(csv_sources=[{"name": "u", "file_path": "a"}, {"name": "u", "file_path": "b", "mode": "rndom"}]), [
        "csv_sources[1].name: another source of this test has this name; give each its own",
        "csv_sources[1].mode: 'rndom' is not a mode of a csv source; did you mean 'random'?"]),
    ("a mode that contradicts cycle", load_test(csv_sources=[{"name": "u", "file_path": "a", "mode": "random", "cycle": True}]), [
        "csv_sources[0].cycle: contradicts mode 'random'; keep mode and remove cycle"]),
    ("no method, no URL", load_test(tasks=[{}]), ["tasks[0].method: is missing", "tasks[0].request_url: is missing; every HTTP step needs the URL it asks for"]),
    ("a method that nobody knows, in lower case", with_step(method="warm-up"), ["tasks[0].method: 'warm-up' is not an HTTP method; write a method of your own in upper case, as PURGE"]),
    ("a method that is near one", with_step(method="gte"), ["tasks[0].method: 'gte' is not an HTTP method; did you mean 'GET'?"]),
    ("a method that is no token", with_step(method="GET /"), ["tasks[0].method: 'GET /' is not an HTTP method; did you mean 'GET'?"]),
    ("the method of tunnels", with_step(method="connect"), ["tasks[0].method: CONNECT makes a tunnel through a proxy; name the proxy in user_detail_dict, and write the method for the target"]),
    ("the URL twice", with_step(url="http://x"), ["tasks[0].url: says the same as 'request_url'; keep one of them"]),
    ("two bodies", with_step(json={}, data={}), ["tasks[0].data: can't be sent together with 'json': a request has one body; keep one of them"]),
    ("bytes beside text", with_step(data="a", data_base64="AA=="), ["tasks[0].data: can't be sent together with 'data_base64': a request has one body; keep one of them"]),
    ("bytes that are no Base64", with_step(data_base64="a"), ["tasks[0].data_base64: is not Base64; encode the bytes of the body, for example with the command base64"]),
    ("a raw body with files", with_step(data="x", files={"f": "p"}), ["tasks[0].data: must be fields, not text, when files are sent too; write an object or a list of pairs"]),
    ("wrong types of request keys", with_step(params="a=1", headers=["a"], verify=1, timeout=0, allow_redirects="no", cert=["a"]), [
        "tasks[0].params: must be an object or a list, not text", "tasks[0].headers: must be an object, not a list", "tasks[0].verify: must be true, false or text, not 1",
        "tasks[0].timeout: must be more than 0, not 0", "tasks[0].allow_redirects: must be true or false, not text", "tasks[0].cert: must have at least 2 items, not 1"]),
    ("a file of nothing", with_step(files={"f": {}}), ["tasks[0].files.f: a file has exactly one of path, content, content_base64, not none"]),
    ("an unknown auth", with_step(auth={"type": "ntlm"}), ["tasks[0].auth.type: 'ntlm' is not an auth type; allowed: basic, bearer, digest, oauth2, aws"]),
    ("half an auth", with_step(auth={"type": "basic", "username": "u", "token": "t"}), [
        "tasks[0].auth.token: 'token' is not a key of basic auth; allowed: type, username, password", "tasks[0].auth.password: is missing"]),
    ("an assertion's wrong keys", with_step(assertions=[{"type": "contains", "path": "x"}, {"type": "status_code", "value": "ok"}, {"type": "status_code", "value": 20}, {}]), [
        "tasks[0].assertions[0].path: 'path' is not a key of a contains assertion; allowed: type, value", "tasks[0].assertions[0].value: is missing",
        "tasks[0].assertions[1].value: must be a number or a list, not text", "tasks[0].assertions[2].value: must be at least 100, not 20",
        "tasks[0].assertions[3].type: is missing; allowed: status_code, contains, not_contains, regex, not_regex, json_path, header, response_time"]),
    ("extracts that find nothing", with_step(extract=[{"path": "a"}, {"var": "b"}, {"var": "c", "from": "heder"}, {"var": "d", "from": "header", "path": "x"}]), [
        "tasks[0].extract[0].var: is missing", "tasks[0].extract[1].path: is missing; an extract from json_path needs 'path'",
        "tasks[0].extract[2].from: 'heder' is not a source of an extract; did you mean 'header'?",
        "tasks[0].extract[3].path: has no meaning for an extract from header; remove it, or write \"from\": \"json_path\"",
        "tasks[0].extract[3].name: is missing; an extract from header needs 'name'"]),
    ("a group of no pattern", with_step(extract=[{"var": "a", "from": "header", "name": "X", "group": 1}, {"var": "b", "from": "cookie", "name": "X", "pattern": "."}]), [
        "tasks[0].extract[0].group: is of no pattern; write pattern too, or remove group",
        'tasks[0].extract[1].pattern: has no meaning for an extract from cookie; remove it, or write "from": "header" or "from": "regex"']),
    ("bad patterns", with_step(assertions=[{"type": "regex", "pattern": "(?=a)b"}, {"type": "regex", "pattern": ""}, {"type": "not_regex", "pattern": "${var.a}"}]), [
        "tasks[0].assertions[0].pattern: is not a pattern that RE2 takes: invalid perl operator: (?=; look-ahead and look-behind are not taken; "
        "the syntax is that of https://github.com/google/re2/wiki/Syntax",
        "tasks[0].assertions[1].pattern: must not be empty",
        "tasks[0].assertions[2].pattern: can't hold a placeholder; a pattern is compiled once, before the load; for the characters write [$]{"]),
    ("bad extracts by pattern", with_step(extract=[
        {"var": "a", "from": "regex", "pattern": "(a)\\1"}, {"var": "b", "from": "regex", "pattern": "(a)", "group": 2}, {"var": "c", "from": "regex"},
        {"var": "d", "from": "cookie", "pattern": "a"}, {"var": "e", "from": "body", "group": 1}]), [
        "tasks[0].extract[0].pattern: is not a pattern that RE2 takes: invalid escape sequence: \\1; back-references are not taken; "
        "the syntax is that of https://github.com/google/re2/wiki/Syntax",
        "tasks[0].extract[1].group: is 2, but the pattern has 1 group; 0 is the whole match",
        "tasks[0].extract[2].pattern: is missing; an extract from regex needs 'pattern'",
        "tasks[0].extract[3].pattern: has no meaning for an extract from cookie; remove it, or write \"from\": \"header\" or \"from\": \"regex\"",
        "tasks[0].extract[3].name: is missing; an extract from cookie needs 'name'",
        "tasks[0].extract[4].group: has no meaning for an extract from body; remove it, or write \"from\": \"header\" or \"from\": \"regex\""]),
    ("an unknown operator", with_step(run_if={"equal": [1, 2]}), ["tasks[0].run_if.equal: 'equal' is not a key of a condition; did you mean 'equals'?"]),
    ("a wrong arity", with_step(run_if={"equals": [1]}, skip_if={"and": [{"in": 5}]}), [
        "tasks[0].run_if.equals: must have at least 2 items, not 1", "tasks[0].skip_if.and[0].in: must be a list, not 5"]),
    ("two operators", with_step(run_if={"truthy": 1, "not": False}), [
        "tasks[0].run_if: a condition has exactly one operator, not 2; operators: equals, not_equals, in, truthy, not, and, or; join several with 'and'"]),
    ("a condition of no kind", with_step(run_if=[], skip_if=1.5), [
        "tasks[0].run_if: must be true, false, a number, text or an object, not a list", "tasks[0].skip_if: must be a whole number, not 1.5"]),
    ("a throttle without a rate", with_step(throttle={"rps": 0, "burst": 0}), ["tasks[0].throttle.rps: must be more than 0, not 0", "tasks[0].throttle.burst: must be at least 1, not 0"]),
    ("an unknown retry class", with_step(retry={"transiant": 1, "x": 1}), [
        "tasks[0].retry.transiant: 'transiant' is not a key of retry; did you mean 'transient'?", f"tasks[0].retry.x: 'x' is not a key of retry; {KEYS}"]),
    ("a weight that is not a number yet", with_step(weight="${w}"), ["tasks[0].weight: must be a whole number, not text"]),
]  # fmt: skip


@pytest.mark.parametrize(("action", "texts"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_refuses(action: list[Any], texts: list[str]) -> None:
    assert mistakes(action) == texts


def test_no_message_shows_what_may_be_a_secret() -> None:
    action = with_step(
        auth={"type": "basic", "username": ["hunter2"], "password": {"x": "hunter2"}}, headers={"Authorization": {"a": "hunter2"}}
    )
    assert "hunter2" not in "".join(mistakes(action))


def start(**changes: Any) -> StartTest:
    return StartTest.model_validate(load_test(**changes)[1])


def test_steps_are_normalised_and_hold_only_what_was_written() -> None:
    step = {
        "method": "pOst",
        "url": "http://x/",
        "client_cert": "c",
        "json": {"a": None},
        "headers": None,
        "assertions": [{"type": "HEADER", "name": "a", "value": "b"}],
    }
    assert start(tasks={"mode": "Conditional", "tasks": [step]}).steps() == (
        "sequence",
        (
            {
                "method": "POST",
                "request_url": "http://x/",
                "cert": "c",
                "json": {"a": None},
                "assertions": [{"type": "header", "name": "a", "value": "b"}],
                "weight": 1,
            },
        ),
    )


def test_a_steps_own_method_wins_over_the_maps() -> None:
    mode, steps = start(
        tasks={"mode": "weighted", "tasks": {"get": {"url": "http://x/", "weight": 2}, "post": {"url": "http://y/", "method": "put"}}}
    ).steps()
    assert mode == "weighted"
    assert [(step["method"], step["weight"]) for step in steps] == [("GET", 2), ("PUT", 1)]


def test_shapes_come_with_their_defaults() -> None:
    stages = start(load_shape="stages", shape_config={"stages": [{"duration": 2}]}).shape()
    assert isinstance(stages, Stages) and (stages.stages[0].users, stages.stages[0].spawn_rate) == (0, 1)
    assert start(load_shape="spike", shape_config={"baseline_users": 5}).shape() == Spike(baseline_users=5)
    assert start(load_shape="soak", shape_config={"users": 5}).shape() == Soak(users=5)
    assert start().shape() is None


def test_once_can_be_written_the_older_way() -> None:
    assert CsvSource(name="a", file_path="b", cycle=False).source().mode == "once"
    assert CsvSource(name="a", file_path="b", cycle=True).source().mode == "cycle"
    assert CsvSource(name="a", file_path="b", mode="random").source().mode == "random"


@pytest.mark.parametrize("changes", [
    {"user_count": "${n}"}, {"host": "http://${h}/"}, {"wait_time": {"min": "${a}", "max": 1}}, {"web_ui_dict": {"port": "${p}"}},
    {"load_shape": "stages", "shape_config": {"stages": [{"duration": "${d}"}]}},
])  # fmt: skip
def test_a_placeholder_left_when_the_run_starts_is_an_error(changes: dict[str, Any]) -> None:
    arguments = load_test(**changes)[1]
    StartTest.model_validate(arguments)
    with pytest.raises(ValidationError, match="still holds"):
        StartTest.model_validate(arguments, context={"final": True})


def test_placeholders_of_steps_are_no_error_when_the_run_starts() -> None:
    StartTest.model_validate(with_step(timeout="${t}", name="${n}", think_time={"min": "${a}", "max": 2})[1], context={"final": True})
