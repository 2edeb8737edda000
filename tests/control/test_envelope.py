"""Requests and replies of the framed mode, without sockets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.control.envelope import ErrorKind, Refused, Request, error_frame, parse, result_frame
from loadflow.errors import Mistake

WRONG = [
    ("no JSON", b"{", "no JSON", None),
    ("no UTF-8", b"\xff", "no UTF-8", None),
    ("too deep", b"[" * 200_000, "nested deeper", None),
    ("a bare script", b'[["LD_summary"]]', 'a request is an object such as {"op": "start"', None),
    ("no op", b"{}", "op is missing", ("op", "operations: start, follow, stop, list, result, quit")),
    ("a misspelt op", b'{"op": "strat"}', "'strat' is not an operation", ("op", "did you mean 'start'?")),
    ("an op that is a number", b'{"op": 3}', "op is missing", ("op", "operations: start, follow, stop, list, result, quit")),
    ("no script", b'{"op": "start"}', "script: is missing", ("script", "start needs it")),
    ("a script that is text", b'{"op": "start", "script": "[]"}', "must be a list or an object, not text", ("script", "")),
    ("a misspelt key", b'{"op": "stop", "run": "a", "reson": "x"}', "is nothing that stop takes", ("reson", "did you mean 'reason'?")),
    ("a run that is a number", b'{"op": "result", "run": 3}', "must be text, not a number", ("run", "")),
    ("something for list", b'{"op": "list", "all": true}', "is nothing that list takes", ("all", "it takes nothing")),
    ("an id that is a list", b'{"op": "list", "id": []}', "id is a number or a text", None),
    ("an id without end", b'{"op": "list", "id": "%s"}' % (b"x" * 201), "id is a number or a text", None),
]


@pytest.mark.parametrize(("what", "body", "message", "mistake"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_request_is_refused_with_the_way_out(what: str, body: bytes, message: str, mistake: tuple[str, str] | None) -> None:
    with pytest.raises(Refused) as refused:
        parse(body)
    assert refused.value.kind is ErrorKind.BAD_REQUEST
    assert message in refused.value.message
    if mistake:
        assert mistake in [(one.place, one.hint) for one in refused.value.mistakes]


def test_a_right_request_is_read() -> None:
    request = parse(b'{"op": "stop", "id": "a", "token": "t", "run": "r"}')
    assert (request.op, request.id, request.token, dict(request.fields)) == ("stop", "a", "t", {"run": "r"})


def test_replies_are_json_objects_of_a_fixed_shape() -> None:
    request = Request("list", 7)
    assert json.loads(result_frame(request, {"runs": []})[4:]) == {"ok": True, "op": "list", "id": 7, "result": {"runs": []}}
    refused = Refused(ErrorKind.SCRIPT, "wrong", [Mistake("actions[0]", "is wrong", "right it")])
    assert json.loads(error_frame(refused, request)[4:]) == {
        "ok": False,
        "op": "list",
        "id": 7,
        "error": {"kind": "script", "message": "wrong", "mistakes": [{"place": "actions[0]", "message": "is wrong", "hint": "right it"}]},
    }


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5).map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except Refused as refused:
        assert json.loads(error_frame(refused)[4:])["error"]["message"]
