"""The target's build: the key says it, else the variable, else the header of the target's answers, else nobody."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.records.names import NameWriter
from loadflow.engine.records.revisions import noted_revisions, revision_warnings, with_revisions
from loadflow.engine.records.run import Run
from loadflow.engine.reports.summary_json import summary_schema
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.builders import facts
from tests.load.harness import USERS, get, load, raw
from tests.targets.fixture import Target

TABLE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"variables": {"revision": "1.4.1"}}, {}, "1.4.1"),
    ({"variables": {"revision": "1.4.1"}}, {"revision": "1.4.2"}, "1.4.2"),
    ({"revision": "from the key", "variables": {"revision": "1.4.1"}}, {}, "from the key"),
    ({"revision": "build-${var.commit}", "variables": {"commit": "ab12"}}, {}, "build-ab12"),
]


@pytest.mark.parametrize(("keys", "given", "revision"), TABLE)
def test_the_build_is_what_the_script_or_whoever_runs_it_says(keys: dict[str, Any], given: dict[str, Any], revision: str) -> None:
    step = {"method": "get", "request_url": "http://127.0.0.1:1/"}
    arguments = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step], **keys}
    assert build_plan(arguments, Variables(given), {}, TargetRules(), lambda name: "").revision == revision


def _answer(*values: str) -> dict[str, Any]:
    fields = "".join(f"x-REVISION: {value}\r\n" for value in values)
    return get(raw(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nhi".encode("latin-1")))


LONG = "c" * 300
KINDS = [
    _answer("b"),
    _answer("b"),
    _answer("d", "e"),
    {**_answer("failed"), "assertions": [{"type": "contains", "value": "no"}]},
    _answer("caf\xe9"),
    _answer(LONG),
    _answer("v-hunter22"),
    get(raw(b"HTTP/1.1 302 Found\r\nX-Revision: on the way\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n")),
]
# what answers say, what the script says, the run's revision, all that were kept, and whether there were more
ANSWERS: list[tuple[str, list[dict[str, Any]], dict[str, Any], str, list[str], bool]] = [
    ("no answer says it", [_answer(), _answer("")], {}, "", [], False),
    ("one", [_answer("1.4.2"), _answer("1.4.2"), _answer()], {}, "1.4.2", ["1.4.2"], False),
    (
        "each once; a field twice is one value, a failed hit has one, a long one is cut, a secret masked, a redirect followed",
        KINDS,
        {"revision": "mine", "variables": {"password": "hunter22"}},
        "mine",
        ["b", "caf\xe9", LONG[:199] + "…", "d, e", "failed", "v-***"],
        False,
    ),
    (
        "more than are kept",
        [_answer(f"{number:02}") for number in range(13)],
        {},
        ", ".join([*(f"{number:02}" for number in range(10)), "…"]),
        [f"{number:02}" for number in range(10)],
        True,
    ),
]


@pytest.mark.parametrize("user", USERS)
def test_answers_say_the_build(target: Target, tmp_path: Path, user: str) -> None:
    for number, (what, steps, keys, revision, kept, more) in enumerate(ANSWERS):
        given = {"host": target.url, "revision_header": "X-Revision", "max_failure_rate": 1.0, **keys}
        done = load(tmp_path / str(number), steps, user=user, **given)
        for told in (done.summary["runs"][0], asdict(Run.open(done.run.folder).facts)):
            assert (told["revision"], sorted(told["revisions"]), told["more_revisions"]) == (revision, sorted(kept), more), what
        lines = done.run.names_path(0).read_text(encoding="utf-8").count('{"revision"')
        assert lines == (11 if more else len(kept)), what
        said = [warning["message"] for warning in done.summary["warnings"] if warning["code"] == "several-revisions"]
        assert len(said) == (len(kept) > 1), what
        Draft202012Validator(summary_schema()).validate(done.summary)
    assert said[0].startswith("The target answered with more than 10 revisions: 00, 01, ")


def test_what_each_process_heard_is_one_fact(tmp_path: Path) -> None:
    for shard, values in enumerate((["b", "a"], ["c", "a"])):
        writer = NameWriter(tmp_path / f"names-{shard}.ndjson")
        writer.series("GET", '{"revision": "no"}')
        for value in values:
            writer.revision(value)
        writer.close()
    cut_off = tmp_path / "names-2.ndjson"
    cut_off.write_text('{"revision": "d"}\n{"revision": "half')
    noted = noted_revisions([*(tmp_path / f"names-{shard}.ndjson" for shard in range(3)), tmp_path / "names-3.ndjson"])
    assert noted == ("a", "b", "c", "d")
    said = with_revisions(facts(revision=""), noted)
    assert said.revision == "a, b, c, d"
    (warning,) = revision_warnings(said)
    assert warning.message == "The target answered with 4 revisions: a, b, c, d. The numbers are of all of them together."


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"revision_header": "X Revision"}, '"X Revision" is not a name of a header field', "X-Revision"),
    ({"revision_header": "X-Revision: "}, "is not a name of a header field", "write the name alone"),
    ({"revision_header": "${var.name}", "variables": {"name": "a b"}}, '"a b" is not a name of a header field', "write the name alone"),
    ({"revision_header": "Authorization"}, "holds a secret", "name the header that says the build"),
    ({"revision_header": "X-Build", "redact": ["build"]}, "holds a secret", "name the header that says the build"),
    (
        {"revision_header": "X-Revision", "user_detail_dict": {"user": "mqtt_user"}},
        "has no meaning for user 'mqtt_user'",
        "it is for fast_http_user and http_user",
    ),
]


@pytest.mark.parametrize(("keys", "message", "hint"), REFUSED)
def test_a_header_that_can_say_no_build_is_refused(keys: dict[str, Any], message: str, hint: str) -> None:
    step = {"method": "get", "request_url": "http://127.0.0.1:1/"}
    arguments = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step], **keys}
    with pytest.raises(CommandError) as raised:
        build_plan(arguments, Variables({}), {}, TargetRules(), lambda name: "")
    (mistake,) = [one for one in raised.value.mistakes if one.place == "LD_start_test.revision_header"]
    assert message in mistake.message
    assert hint in str(mistake.hint)


def test_a_header_may_come_from_a_variable_and_makes_no_run_unlike_another() -> None:
    step = {"method": "get", "request_url": "http://127.0.0.1:1/"}
    arguments = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step], "variables": {"name": "X-Build"}}
    plans = [
        build_plan({**arguments, **more}, Variables({}), {}, TargetRules(), lambda name: "").plan
        for more in ({}, {"revision_header": "${var.name}"})
    ]
    assert [plan.revision_header for plan in plans] == [None, "X-Build"]
    assert unlike(*(facts(plan=plan.to_json()) for plan in plans)) == []
