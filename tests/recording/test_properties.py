"""What must hold for any JSON that calls itself a HAR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.commands import TABLE
from loadflow.engine.recording.convert import convert_har
from loadflow.engine.script.check import check_variables
from loadflow.engine.script.document import parse_script
from loadflow.errors import ScriptError
from tests.recording.build import har

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["${", "${var.x}", "t-1", "q7Wd83kLmX", "http://h/q7Wd83kLmX", "/a/7", "\ud800", "Authorization", "location", "password"]
    ),
)
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=8
)


def sloppy(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with any of the fields, now and then with a wrong value, now and then no object."""
    return st.fixed_dictionaries({}, optional={name: one | ATOMS for name, one in fields.items()}) | ATOMS


TEXT = st.text(max_size=20) | ATOMS.filter(lambda one: isinstance(one, str))
HEADERS = st.lists(sloppy(name=TEXT | st.sampled_from(["Content-Type", "Cookie", "Set-Cookie"]), value=TEXT), max_size=4)
MIMES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "image/png"]
BODIES = TEXT | JSON.map(lambda value: json.dumps(value)) | st.sampled_from(["a=1&a=${b}", "--x\r\n\r\n--x--", "AAECgP8="])
PARAMS = st.lists(sloppy(name=TEXT, value=TEXT, fileName=TEXT, contentType=TEXT), max_size=3)
POST = sloppy(mimeType=st.sampled_from(MIMES), text=BODIES, params=PARAMS, encoding=st.just("base64"))
URLS = st.sampled_from(["http://h/a", "https://h:8/a/q7Wd83kLmX?t=t-1&p=${x}", "http://u:p@h/", "data:,x", "ws://h/", "http://[/"]) | TEXT
METHODS = st.sampled_from(["GET", "post", "PUT", "CONNECT"])
REQUEST = sloppy(method=METHODS, url=URLS, headers=HEADERS, cookies=HEADERS, postData=POST, bodySize=st.integers())
STATUS = st.sampled_from([0, 99, 101, 200, 200.0, 302, 304, 500, 999])
RESPONSE = sloppy(
    status=STATUS, headers=HEADERS, cookies=HEADERS, content=sloppy(text=BODIES, encoding=st.just("base64")), redirectURL=URLS
)
STARTS = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01.5+02:00", "0001-01-01T00:00:00"])
ENTRY = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries({"method": METHODS, "url": URLS, "headers": HEADERS, "postData": POST}) | REQUEST,
        "response": RESPONSE,
    },
    optional={"startedDateTime": STARTS | ATOMS, "time": st.floats(0, 1e4) | ATOMS},
)


class Anything(dict[str, str]):
    """An environment in which every variable is set."""

    def __contains__(self, name: object) -> bool:
        return True


@given(st.lists(ENTRY | JSON, max_size=5), st.booleans(), st.booleans())
def test_any_entries_become_a_valid_script_without_a_missing_variable(entries: list[Any], think_time: bool, keep_secrets: bool) -> None:
    made = convert_har(har(*entries), think_time=think_time, keep_secrets=keep_secrets)
    told = made.report
    assert told.entries == len(entries) == told.steps + told.redirects + told.filtered + len(told.left_out)
    if made.tasks:
        script = parse_script(made.document(), commands=TABLE)
        assert check_variables(script, variables=(), env=Anything()) == []
    "\n".join(told.lines()).encode()
    json.dumps(told.to_json())


@given(JSON | st.fixed_dictionaries({"log": JSON | st.fixed_dictionaries({"entries": JSON})}))
def test_any_json_is_converted_or_is_a_mistake(document: Any) -> None:
    try:
        convert_har(document if not isinstance(document, str) else {"log": document})
    except ScriptError as error:
        assert error.mistakes


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(har(value)).encode()), st.integers(0, 200))
def test_any_file_is_converted_or_is_a_mistake(tmp_path_factory: Any, content: bytes, cut: int) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "any.har"
    path.write_bytes(content[:cut])
    try:
        convert_har(str(path))
    except ScriptError as error:
        assert error.source == str(path)
