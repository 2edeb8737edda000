"""Reading: every byte order mark, every way of being no HAR, and streams that give what reading at once gives."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.commands.ld_har_to_action_json import har_to_action_json
from loadflow.engine.commands.ld_har_to_tasks import har_to_tasks
from loadflow.engine.commands.ld_load_har import load_har
from loadflow.engine.recording.har_file import entries_of
from loadflow.errors import CommandError
from tests.recording.hars import converted, entry, har

ONE = har(entry("http://shop.example/ü", _comment="half \udc89", time=1.5), {"n": 10**25}, None, [1])
TEXT = json.dumps(har(entry("http://shop.example/ü")), ensure_ascii=False)
MARKS = [
    ("no mark", TEXT.encode()),
    ("UTF-8", codecs.BOM_UTF8 + TEXT.encode()),
    ("UTF-16, little end first", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")),
    ("UTF-16, big end first", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
]


@pytest.mark.parametrize(("mark", "data"), MARKS, ids=[mark for mark, _ in MARKS])
def test_a_byte_order_mark_is_no_part_of_the_text(mark: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(data)
    assert load_har(str(path)) == json.loads(TEXT)
    assert list(entries_of(path)) == json.loads(TEXT)["log"]["entries"]


def test_a_stream_gives_what_reading_at_once_gives_also_half_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_text(json.dumps(ONE), encoding="ascii")
    assert list(entries_of(path)) == load_har(str(path))["log"]["entries"] == ONE["log"]["entries"]


WRONG = [
    ("[]", r"is not an object but list; a HAR is a JSON object"),
    ("{}", r"log: is missing; a HAR is"),
    ('{"log": 1}', r"log: is not an object"),
    ('{"log": {}}', r"log.entries: is missing"),
    ('{"log": {"entries": {}}}', r"log.entries: is not a list"),
    ('{"log": {"entries": [{}, {]}}', r"line 1 column 27: is not JSON: expecting property name"),
    ('{"log": {"entries": [\n{}', r"line 2 column 3: is not JSON: "),
    ("", r"line 1 column 1: is not JSON: "),
    ("hello", r"line 1 column 1: is not JSON: "),
    ("[" * 100_000, r"nested deeper than|is not JSON"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:30] for text, _ in WRONG])
def test_what_is_no_har_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=message) as refused:
        load_har(str(path))
    assert refused.value.source == str(path)
    if text.startswith("{"):
        place = {'{"log": 1}': "log.entries: is missing"}.get(text, message)
        with pytest.raises(CommandError, match=place if text != "{}" else "log.entries: is missing"):
            har_to_tasks(str(path))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "b.har").write_bytes(b'{"log": "\xff"}')
    for read in (load_har, har_to_tasks):
        with pytest.raises(CommandError, match="there is no such file; check the path"):
            read(str(tmp_path / "a.har"))
        with pytest.raises(CommandError, match="can't be read"):
            read(str(tmp_path))
        with pytest.raises(CommandError, match="is not text in utf-8: byte 9 is wrong"):
            read(str(tmp_path / "b.har"))


def test_a_fault_far_into_a_large_file_is_named_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadflow.engine.recording.har_file.EXACT_PLACE_BYTES", 0)
    path = tmp_path / "a.har"
    path.write_text('{"log": {"entries": [\n{},\n{},\n}]}}', encoding="utf-8")
    with pytest.raises(CommandError, match=r"after line \d: is not JSON"):
        list(entries_of(path))


def test_the_document_has_the_known_form() -> None:
    document = har_to_action_json(har(entry("http://shop.example/a?b=1", headers={"Accept": "*/*"})))
    assert json.dumps(document) == json.dumps(
        {
            "load_density": [
                [
                    "LD_start_test",
                    {
                        "user_detail_dict": {"user": "fast_http_user"},
                        "tasks": {
                            "mode": "sequence",
                            "tasks": [
                                {
                                    "method": "get",
                                    "request_url": "http://shop.example/a?b=1",
                                    "name": "GET /a",
                                    "headers": {"Accept": "*/*"},
                                    "assertions": [{"type": "status_code", "value": 200}],
                                }
                            ],
                        },
                        "user_count": 10,
                        "spawn_rate": 5,
                        "test_time": 60,
                    },
                ]
            ]
        }
    )


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"har": har()}, "nothing in the recording can be played; the recording has no entries"),
    ({"har": har(entry("ws://x/"))}, "nothing in the recording can be played; is a websocket"),
    ({"har": har(entry("http://x/")), "exclude": ["x"]}, "include and exclude left out 1 entry"),
    ({"har": har(entry("http://x/")), "user": "fast_htp_user"}, r"user_detail_dict.user: 'fast_htp_user' is not a user type; did you mean"),
    ({"har": har(entry("http://x/")), "user_count": 0}, "user_count: must be at least 1"),
    ({"har": 5}, "int is not a HAR"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        har_to_action_json(**arguments)


def at(second: float, page: str = "", took_ms: float = 0) -> dict[str, Any]:
    more = {"pageref": page} if page else {}
    return {**entry("http://shop.example/", **more), "startedDateTime": f"2024-05-06T09:00:{second:06.3f}Z", "time": took_ms}


THINKS: list[tuple[str, list[dict[str, Any]], Any, list[Any]]] = [
    (
        "from a page's end to the next one's begin",
        [at(0, "a"), at(1, "a", 1000), at(6, "b")],
        "recorded",
        [None, {"min": 3, "max": 5}, None],
    ),
    ("never inside a page", [at(0, "a"), at(9, "a")], "recorded", [None, None]),
    ("without pages a second of silence is enough", [at(0), at(0.9), at(2.9)], "recorded", [None, {"min": 1.5, "max": 2.5}, None]),
    ("scaled", [at(0, "a"), at(4, "b")], {"scale": 0.5, "spread": 0.5}, [{"min": 1, "max": 3}, None]),
    ("capped", [at(0, "a"), at(50, "b")], {"cap": 4, "spread": 0}, [{"min": 4, "max": 4}, None]),
    ("a page that began before the last one ended", [at(0, "a", 5000), at(3, "b")], "recorded", [None, None]),
    ("not asked for", [at(0, "a"), at(4, "b")], None, [None, None]),
    ("a recording without times", [entry("http://x/", pageref="a"), entry("http://x/", pageref="b")], "recorded", [None, None]),
]


@pytest.mark.parametrize(("sentence", "entries", "rule", "waits"), THINKS, ids=[row[0] for row in THINKS])
def test_think_times(sentence: str, entries: list[dict[str, Any]], rule: Any, waits: list[Any]) -> None:
    assert [task.get("think_time") for task in converted(*entries, think_time=rule).tasks] == waits
