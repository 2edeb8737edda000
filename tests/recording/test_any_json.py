"""Whatever JSON has the shape of a HAR: a script that validates and that the engine can compile, or an error of ours."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.commands.ld_har_to_action_json import har_to_action_json
from loadflow.engine.commands.ld_har_to_tasks import har_to_tasks
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.http.request import HttpStep
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.table import TABLE
from loadflow.errors import ScriptError
from tests.examples import examples
from tests.recording.hars import har

TEXTS = st.one_of(
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        [
            "",
            "GET",
            "POST",
            "password",
            "token",
            "Cookie",
            "a=b; c=${d}",
            "${var.x}",
            "${",
            "http://a/${x}?q=${",
            "http://a.b/x/123456789?k=%zz&=",
            "http://u:p@h:1/;a=b",
            "http://[::1]/",
            "http://[::1/",
            "http://é.ü/",
            "application/json",
            "multipart/form-data; boundary=b",
            '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--',
            "application/x-www-form-urlencoded",
            "a=1&a=2&${x}=1",
            '{"token": 123456789}',
            '{"a.b": "abc12345def6"}',
            "Location",
            "/x/123456789",
            "2024-05-06T09:00:00Z",
            "9999-12-31T23:59:59.999-23:59",
            "base64",
            "websocket",
            "\ud800",
            "\udc89\x00",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln",
        ]
    ),
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def mostly(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """This, and now and then anything else."""
    return st.integers(0, 29).flatmap(lambda drawn: ANY if drawn == 29 else value)


def fields(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with these keys, each mostly as it should be."""
    return mostly(st.fixed_dictionaries({key: mostly(value) for key, value in known.items()}))


IDS = st.sampled_from(["123456789", "abc12345def6", "t-1", "a1+B2/c3D4==", "s3cr3t-Value-99"])
NAMES = st.sampled_from(
    ["token", "id", "x", "Location", "Set-Cookie", "Cookie", "Authorization", "Content-Type", "password", "a.b", "${n}"]
)
URLS = st.one_of(
    st.builds("http://a.example/{}/{}?{}={}".format, NAMES, IDS, NAMES, IDS),
    st.builds("http://{}/{}?{}".format, st.sampled_from(["a.example", "b:80", "${h}"]), TEXTS, TEXTS),
    st.just("http://a.example/x/123456789"),
    TEXTS,
)
PAIRS = st.lists(fields(name=st.one_of(NAMES, TEXTS), value=st.one_of(IDS, TEXTS)), max_size=4)
LEAVES = st.one_of(st.dictionaries(NAMES, st.one_of(IDS, st.just(123456789), TEXTS), max_size=4), ANY).map(json.dumps)
POST = fields(
    mimeType=TEXTS,
    text=TEXTS,
    params=st.lists(fields(name=TEXTS, value=TEXTS, fileName=TEXTS, contentType=TEXTS), max_size=3),
    encoding=TEXTS,
)
REQUEST = fields(
    method=st.sampled_from(["GET", "POST", "put", "TRACE"]), url=URLS, headers=PAIRS, cookies=PAIRS, postData=POST, bodySize=st.integers()
)
RESPONSE = fields(
    status=st.sampled_from([0, 200, 204, 302, 303, 304, 404, 999]),
    headers=PAIRS,
    cookies=PAIRS,
    content=fields(mimeType=TEXTS, text=st.one_of(LEAVES, TEXTS), encoding=TEXTS),
    redirectURL=TEXTS,
)
ENTRY = fields(
    startedDateTime=TEXTS, time=st.floats(), pageref=TEXTS, request=REQUEST, response=RESPONSE, _resourceType=TEXTS, _error=TEXTS
)


def compiled(document: dict[str, Any]) -> None:
    """As the engine does before the load: what is wrong in a step without placeholders is raised here."""
    arguments = StartTest.model_validate(document["load_density"][0][1])
    mode, steps = arguments.steps()
    plan = Plan("fast_http_user", "", mode, steps, (), None, variables=arguments.variables)
    for step in steps:
        HttpStep(step, plan, lambda value: compile_value(value, arguments.variables, {}))


@settings(max_examples=examples(25))
@given(st.lists(ENTRY, max_size=5), st.sampled_from(["lift", "keep"]))
def test_entries_of_any_form_give_a_valid_script_or_an_error_of_ours(entries: list[Any], secrets: str) -> None:
    before = copy.deepcopy(entries)
    try:
        document = har_to_action_json(har(*entries), think_time="recorded", secrets=secrets)
    except ScriptError:
        assert har_to_tasks(har(*entries), secrets=secrets) == []
        return
    assert repr(entries) == repr(before)
    parse_script(document, commands=TABLE)
    compiled(document)
    json.dumps(document, ensure_ascii=False).encode()


@settings(max_examples=examples(40))
@given(ANY)
def test_any_json_gives_a_list_or_an_error_of_ours(document: Any) -> None:
    with contextlib.suppress(ScriptError):
        assert isinstance(har_to_tasks(document), list)


@settings(max_examples=examples(20))
@given(st.lists(ENTRY, max_size=3), st.integers(0, 400))
def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path_factory: pytest.TempPathFactory, entries: list[Any], cut: int) -> None:
    path = Path(tmp_path_factory.mktemp("cut")) / "a.har"
    text = json.dumps(har(*entries))
    path.write_text(text[: max(0, len(text) - cut)], encoding="utf-8")
    try:
        tasks = har_to_tasks(str(path))
    except ScriptError:
        assert cut or "NaN" in text or "Infinity" in text
        return
    assert not cut
    assert tasks == har_to_tasks(json.loads(text))
