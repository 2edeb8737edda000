"""Calls of grpc_user against a gRPC server in another process; what the server wrote down is the truth. How they end: test_grpc_ends.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import grpc_status
from loadflow.engine.reports.csv_report import write_csv_report
from loadflow.engine.scenario.loading import ALLOW
from loadflow.errors import ScriptError
from tests.load.harness import get, load, on
from tests.protocols.grpc.calls import CHAT, GET, LIST, PROTO, PUT, both, each, run
from tests.protocols.grpc.grpc_peer import PROTOS, GrpcShop
from tests.services import need
from tests.targets.fixture import Target


def refused(folder: Path, *steps: Any, target: str = "127.0.0.1:1", **arguments: Any) -> str:
    with pytest.raises(ScriptError) as raised:
        load(folder, list(steps), user="grpc_user", host=target, **arguments)
    return str(raised.value)


# how the methods become known


@pytest.mark.parametrize("engine", [pytest.param("locust", marks=pytest.mark.long), "native"])
def test_a_proto_file_and_reflection_and_a_stub_send_the_same(
    shop: GrpcShop, tmp_path: Path, generated: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.syspath_prepend(str(generated))
    payload = {"id": "7", "name": "apple", "kind": "RARE", "unit_price": {"cents": 5}, "made_at": "2026-01-01T00:00:00Z", "blob": "AP8="}
    stub = {"stub_path": "shop_pb2_grpc.ShopStub", "method": "Get", "name": "stub"}
    ways = [
        {**GET, "name": "proto"},
        {"reflection": True, "service": "shop.Shop", "method": "Get", "name": "reflection"},
        {**stub, "request_path": "shop_pb2.Item"},
        {**stub, "name": "stub alone"},
        {"proto": "shop.proto", "import_paths": [str(PROTOS)], "method": "/shop.Shop/Get", "name": "import path"},
    ]
    done = run(engine, tmp_path, shop, *({**way, "payload": payload} for way in ways))
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * len(ways), done.hits
    assert shop.messages == [payload] * len(ways)


@each
@pytest.mark.parametrize(
    ("step", "kind", "received", "first"),
    [
        (GET, "unary", [{"name": "a"}], {"name": "a"}),
        (LIST, "server_stream", [], {"0.name": "a"}),
        (PUT, "client_stream", [{"name": "a"}, {"id": "2"}], {"count": 2}),
        (CHAT, "bidi", [{"name": "a"}, {"id": "2"}], {"1.id": "2"}),
        (CHAT, "bidirectional", [{"name": "a"}, {"id": "2"}], {"0.name": "a"}),
    ],
)
def test_each_kind_of_call(
    shop: GrpcShop, tmp_path: Path, step: dict[str, Any], kind: str, received: list[Any], first: dict[str, Any], engine: str
) -> None:
    """A stream from the client is a list in `payload`, one from the server a list for assertions; a kind may be left out."""
    payload: Any = {"count": 1, "name": "a"} if step is LIST else {"name": "a"} if step is GET else [{"name": "a"}, {"id": 2}]
    path, value = next(iter(first.items()))
    asked = {**step, "payload": payload, "assertions": [{"type": "json_path", "path": path, "value": value}]}
    done = run(engine, tmp_path, shop, {**asked, "rpc": kind}, asked)
    assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.OK, grpc_status(0))] * 2, done.hits
    assert shop.messages == received * 2
    assert [call["call"] for call in shop.calls] == [step["method"].rpartition("/")[2]] * 2


@each
def test_values_go_from_one_answer_into_the_next_call(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    extracts = [
        {"var": "second", "path": "1.id"},
        {"var": "status", "from": "status_code"},
    ]
    after = {"extract": [{"var": "after", "from": "header", "name": "X-After"}, {"var": "raw", "from": "header", "name": "x-raw-bin"}]}
    done = run(
        engine,
        tmp_path,
        shop,
        {**LIST, "payload": {"count": 2}, "extract": extracts},
        {**GET, "payload": {"id": "${second}", "name": "${status}"}, **after},
        {**PUT, "payload": [{"name": "${after}"}, {"name": "${raw}", "unit_price": {"cents": "${second}"}}]},
    )
    assert all(hit.outcome is Outcome.OK for hit in done.hits), done.hits
    assert shop.messages == [{"id": "1", "name": "OK"}, {"name": "two"}, {"name": "AP8=", "unit_price": {"cents": 1}}]


@each
def test_metadata_arrives_as_it_is_written(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = run(
        engine,
        tmp_path,
        shop,
        {**GET, "metadata": {"x-token": "a b", "x-number": 5, "x-raw-bin": "AP8=", "x-none": None}},
        {**GET, "metadata": [["x-twice", "1"], ["x-twice", "${n}"]]},
        variables={"n": 2},
    )
    assert all(hit.outcome is Outcome.OK for hit in done.hits)
    first, second = ([pair for pair in call["metadata"] if pair[0].startswith("x-")] for call in shop.calls)
    assert sorted(first) == [["x-number", "5"], ["x-raw-bin", "00ff"], ["x-token", "a b"]]
    assert second == [["x-twice", "1"], ["x-twice", "2"]]
    assert all(next(value for key, value in call["metadata"] if key == "user-agent").startswith("loadflow") for call in shop.calls)


# what is told before anything is sent


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"method": "shop.Shop/Get"}, "tasks[0].proto: is missing"),
        ({**GET, "reflection": True}, "can't be used together with 'proto'"),
        ({**PROTO, "method": "Get"}, "tasks[0].service: is missing"),
        ({**GET, "service": "other.Shop"}, "contradicts method"),
        ({**PROTO, "method": "shop.Shop/Gat"}, "shop.Shop has no method 'Gat'; it has: Chat, Get, List, Put"),
        ({**PROTO, "method": "shop.Shopp/Get"}, "there is no service 'shop.Shopp'; there are: shop.Shop"),
        ({**GET, "proto": "nowhere.proto"}, "the file nowhere.proto is not there"),
        ({**GET, "import_paths": ["nowhere"]}, "the folder nowhere is not there"),
        ({**GET, "proto": str(PROTOS / "../grpc_shop.py")}, "proto can't be compiled: "),
        ({**GET, "reflection": None, "proto": None, "stub_path": "nowhere.Stub", "method": "Get"}, "nowhere.Stub can't be imported"),
        ({"stub_path": "json.JSONDecoder", "method": "Get"}, "is not a stub of gRPC"),
        ({**GET, "rpc": "bidi"}, "rpc is 'bidi', and shop.Shop/Get is 'unary'"),
        ({**GET, "rpc": "stream"}, "'stream' is not a kind of call"),
        ({**GET, "max_messages": 3}, "max_messages has no meaning for shop.Shop/Get"),
        ({**GET, "payload": {"nme": "x"}}, 'has no field named "nme"'),
        ({**GET, "payload": {"unit_price": {"cent": "${var.n}"}}}, 'has no field named "cent"'),
        ({**GET, "payload": {"id": "many"}}, "payload is not a shop.Item"),
        ({**GET, "payload": [{"id": 1}]}, "a shop.Item is an object, not list"),
        ({**PUT, "payload": [{"id": 1}, {"kind": "BLUE"}]}, "payload is not a shop.Item"),
        ({**GET, "metadata": {"X-Token": "a"}}, "tasks[0].metadata.X-Token: must be lower case; write 'x-token'"),
        ({**GET, "metadata": [["grpc-timeout", "1S"]]}, "is gRPC's own"),
        ({**GET, "metadata": {"x-raw-bin": "no base64!"}}, "its value is not Base64"),
        ({**GET, "metadata": {"x-text": "ä"}}, "outside of printable ASCII"),
        ({**GET, "target": "http://127.0.0.1:1"}, "is not a target of gRPC"),
        ({**GET, "verify": "nowhere.pem"}, "the file nowhere.pem is not there"),
        ({**GET, "verify": "x", "tls": False}, "has no meaning without TLS"),
        ({**GET, "assertions": [{"type": "status_code", "value": 200}]}, "assertions[0].value"),
        ({**GET, "assertions": [{"type": "status_code", "value": "NOTFOUND"}]}, "did you mean 'NOT_FOUND'?"),
        ({**GET, "reflection": True, "proto": None}, "reflection: 127.0.0.1:1: UNAVAILABLE"),
    ],
)
def test_a_mistake_is_told_before_the_load(tmp_path: Path, step: dict[str, Any], text: str) -> None:
    assert text in refused(tmp_path, step, variables={"n": 1})


def test_reflection_tells_what_there_is_and_a_server_without_it_says_so(new_shop: Callable[..., GrpcShop], tmp_path: Path) -> None:
    step = {"reflection": True, "method": "shop.Other/Get"}
    assert "there is no service 'shop.Other'; there are: grpc.reflection.v1alpha.ServerReflection, shop.Shop" in refused(
        tmp_path, step, target=new_shop().target
    )
    assert "has no reflection service; use proto or stub_path" in refused(tmp_path, step, target=new_shop(reflection=False).target)


def test_a_host_that_may_not_be_loaded_is_not_asked_for_its_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "allowed.test")
    assert "192.0.2.1 may not be loaded here" in refused(tmp_path, {**GET, "proto": None, "reflection": True}, target="192.0.2.1:50051")


@each
def test_reports_call_statuses_by_name(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = run(
        engine,
        tmp_path,
        shop,
        {**GET},
        {**GET, "payload": {"name": "fail NOT_FOUND"}},
        {**LIST, "payload": {"count": 1}, "first_message": True},
    )
    write_csv_report([done.run], tmp_path / "hits.csv")
    lines = (tmp_path / "hits.csv").read_text().splitlines()
    column = lines[0].split(",").index("status_code")
    assert sorted(line.split(",")[column].strip('"') for line in lines[1:]) == ["", "NOT_FOUND", "OK", "OK"]
    assert "NOT_FOUND" in (done.run.folder / "report.html").read_text()


@each
def test_every_call_is_one_row(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    """The server's own count, by what each message says; the payload and the metadata differ from call to call."""
    step = {**GET, "payload": {"name": "${uuid()}", "id": "${randint(1,9)}"}, "metadata": {"x-id": "${uuid()}"}}
    done = run(engine, tmp_path, shop, {**step, "assertions": [{"type": "contains", "value": "-"}]}, user_count=8, iterations=40)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 320
    assert len(shop.calls) == len({message["name"] for message in shop.messages}) == 320
    assert len({value for call in shop.calls for key, value in call["metadata"] if key == "x-id"}) == 320
    sizes = sorted(len(message["name"]) + 4 for message in shop.messages)  # both fields behind a byte, and the text behind its length
    assert sorted(done.rows["sent_bytes"].tolist()) == sorted(done.rows["received_bytes"].tolist()) == sizes


@each
def test_values_of_an_unusual_kind_are_what_protobuf_makes_of_them(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    """A time, a number that is written otherwise, bytes of another alphabet; and what no message can hold, hit by hit."""
    first = {**GET, "name": "first", "payload": {"name": "2026-01-01T00:00:00Z"}, "extract": [{"var": "when", "path": "name"}]}
    odd = {"made_at": "${when}", "id": "${number}", "blob": "${bytes}", "unit_price": {"cents": "${number}"}}
    bad = {**GET, "name": "bad", "payload": {"id": "${when}"}}
    done = run(engine, tmp_path, shop, first, {**GET, "name": "odd", "payload": odd}, bad, variables={"number": "1e2", "bytes": "-_8="})
    assert shop.messages[1] == {"made_at": "2026-01-01T00:00:00Z", "id": "100", "blob": "+/8=", "unit_price": {"cents": 100}}
    assert (done.outcome("odd"), done.outcome("bad")) == (Outcome.OK, Outcome.TEMPLATE)
    assert done.error_text("bad").startswith("payload is not a shop.Item: ")


@each
def test_answers_may_be_compressed(new_shop: Callable[..., GrpcShop], tmp_path: Path, engine: str) -> None:
    text = "x" * 5_000
    step = {**GET, "payload": {"name": text}, "assertions": [{"type": "json_path", "path": "name", "value": text}]}
    listed = {**LIST, "payload": {"count": 3, "name": text}, "assertions": [{"type": "json_path", "path": "2.name", "value": text}]}
    done = run(engine, tmp_path, new_shop(packed=True), step, listed)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 2, done.hits
    assert min(done.rows["received_bytes"]) > 5_000  # as they are when they are unpacked


@each
def test_a_sample_of_a_failure_shows_the_call_and_the_answer(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    wrong = {"assertions": [{"type": "response_time", "max_ms": 0.0001}]}
    step = {**GET, "metadata": {"x-raw-bin": "AP8="}, "payload": {"name": "a"}}
    run_of = run(engine, tmp_path, shop, {**step, **wrong}, {**GET, "payload": {"name": "fail NOT_FOUND gone"}}).run
    first, second = [json.loads(line)["sample"] for line in run_of.samples_path(0).read_text().splitlines()]
    request, response = first["request"], first["response"]
    url = f"grpc://{shop.target}/shop.Shop/Get"
    assert (request["method"], request["url"], request["headers"]["x-raw-bin"]) == ("GRPC", url, "AP8=")
    assert json.loads(request["body"])["name"] == json.loads(response["body"])["name"] == "a"
    assert (response["status"], response["headers"]["x-before"], response["headers"]["x-raw-bin"]) == ("OK", "one", "AP8=")
    assert (second["response"]["status"], second["response"]["reason"], second["response"]["body"]) == ("NOT_FOUND", "gone", "")


FUNCTIONS = """
from loadflow import VUser, scenario, task


@scenario(rps=1)
class Shop(VUser):
    @task
    def calls(self, client):
        for number in (1, 2):
            named = {"proto": "PROTO", "metadata": {"x-id": str(number)}, "name": "get"}
            found = client.grpc.call("shop.Shop/Get", {"name": "a", "id": number}, **named)
            assert found.ok and found.status_code == 0 and found.json()["id"] == str(number), found.text
            assert found.headers["x-before"] == "one"
        lost = client.grpc.call("shop.Shop/Get", {"name": "fail NOT_FOUND gone"}, proto="PROTO", name="lost", channels=1)
        assert not lost.ok and lost.status_code == 5 and lost.text == "gone"
"""


@both
def test_functions_of_python_make_calls(shop: GrpcShop, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    file = tmp_path / "shop.py"
    file.write_text(FUNCTIONS.replace("PROTO", PROTO["proto"]))
    tasks = [{"call": f"{file}:Shop.calls"}]
    hosts = {"grpc_user": shop.target}
    done = load(tmp_path, tasks, user_detail_dict=on(engine, "python_user"), host="http://127.0.0.1:1", hosts=hosts, iterations=2)
    assert done.run.facts.engine == engine
    rows = [("get", Outcome.OK, ""), ("get", Outcome.OK, ""), ("lost", Outcome.STATUS, "NOT_FOUND: gone")] * 2
    assert [(hit.name, hit.outcome, hit.error) for hit in done.hits] == rows, done.hits
    assert [message.get("id") for message in shop.messages] == ["1", "2", None] * 2


@both
def test_calls_stand_between_the_requests_of_other_protocols(shop: GrpcShop, target: Target, tmp_path: Path, engine: str) -> None:
    target.reset()
    call = {**GET, "user": "grpc_user", "payload": {"name": "${var.method}"}, "name": "call", "extract": [{"var": "said", "path": "name"}]}
    steps = [get("/echo", name="web", extract=[{"var": "method", "path": "$.method"}]), call, get("/ok?${var.said}", name="after")]
    user = on(engine, "fast_http_user")
    done = load(tmp_path, steps, user_detail_dict=user, host=target.url, hosts={"grpc_user": shop.target}, iterations=2)
    assert [(hit.name, hit.outcome) for hit in done.hits] == [(name, Outcome.OK) for name in ("web", "call", "after")] * 2, done.hits
    assert shop.messages == [{"name": "GET"}] * 2
    assert [one.target for one in target.records()][1::2] == ["/ok?GET"] * 2


def test_the_core_makes_calls_where_it_is_built(shop: GrpcShop, tmp_path: Path) -> None:
    need(is_built(), "the native core is not built")
    steps = [GET, {**GET, "channels": 2}]
    made = [load(tmp_path, [step], user_detail_dict={"user": "grpc_user"}, host=shop.target) for step in steps]
    assert [done.run.facts.engine for done in made] == ["native", "native"]


@each
def test_secrets_of_metadata_and_messages_are_masked(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = run(
        engine,
        tmp_path,
        shop,
        {**GET, "metadata": {"authorization": "Bearer s3cr3t-token"}, "payload": {"name": "fail NOT_FOUND ${password}"}},
        {**GET, "metadata": [["x-api-key", "s3cr3t-other"]], "payload": {"name": "fail NOT_FOUND"}},
        variables={"password": "hunter2-hunter2"},
    )
    written = b"".join(path.read_bytes() for path in done.run.folder.rglob("*") if path.is_file())
    assert b"s3cr3t" not in written
    assert b"hunter2-hunter2" not in written
    assert json.loads(done.run.samples_path(0).read_text().splitlines()[0])["outcome"] == int(Outcome.STATUS)
