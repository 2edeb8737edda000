# ruff: noqa: E501  # tables of hostile inputs
"""What `fuzz.py` sends: hostile scripts and frames, and valid scripts that really start, with the questions of people beside them.

TARGET stands for the address of a server that answers; `fuzz.py` puts it in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from loadflow.engine.control.frames import MAX_FRAME_BYTES, encode_frame
from loadflow.engine.script.arguments import signature_of
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.session.table import TABLE

__all__ = ["TARGET", "Ask", "Hostile", "Start", "doings"]

TARGET = "http://target.invalid"


def weighted(*parts: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of them, so often; a `one_of` takes a strategy that it is given twice for one."""
    return st.sampled_from([one for weight, one in parts for _ in range(weight)]).flatmap(lambda one: one)


numbers = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([0, 1, 2**31, 2**63, 2**64, 10**18, 10**30, 10**400, 1e300, -1e300, 1e-300, 0.1]),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "(a+)+$",
            "(.*)*x",
            "[",
            "${var.a}",
            "${csv.a.b}",
            "${env.HOME}",
            "${uuid()}",
            "${",
            "=1+1",
            "\x1b[31m",
            "\ud800",
            "a" * 5_000,
            "p95",
            "http",
        ]
    ),
)
paths = st.sampled_from(
    [
        "pipe",
        "zero",
        "sock",
        "folder",
        "rows.csv",
        "wide.csv",
        "deep.har",
        "digits.har",
        "small.har",
        "runs",
        "..",
        "/etc/passwd",
        "nothing",
        "out",
    ]
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts, paths)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=12
)
har_entry = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries(
            {"method": st.sampled_from(["GET", "POST"]), "url": st.sampled_from(["http://127.0.0.1:9/a?b=1", "x"])}
        )
    },
    optional={"startedDateTime": texts, "response": values, "time": numbers},
)
hars = st.one_of(paths, st.fixed_dictionaries({"log": st.fixed_dictionaries({"entries": st.lists(har_entry, max_size=4)})}))
BY_NAME = {"har": hars, "include": st.lists(texts, max_size=2), "exclude": st.lists(texts, max_size=2)}


def arguments_of(name: str) -> st.SearchStrategy[Any]:
    """By name or by position, with values that suit the name, or any."""
    names = signature_of({**BUILTINS, **TABLE}[name]).positional
    by_name = {key: BY_NAME.get(key, paths if key.endswith(("path", "file", "paths", "files")) else values) for key in names}
    return st.one_of(st.none(), st.lists(values, max_size=3), st.fixed_dictionaries({}, optional=by_name) if by_name else st.none())


steps = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["get", "post", "nope"]),
        "request_url": st.sampled_from(["http://127.0.0.1:9/", "http://localhost:9/${var.a}", "/"]),
    },
    optional={
        "headers": values,
        "json": values,
        "assertions": values,
        "extract": values,
        "retry": values,
        "think_time": values,
        "files": values,
    },
)
load_tests = st.fixed_dictionaries(
    {
        "user_detail_dict": st.sampled_from([{"user": "fast_http_user"}, {"user": "http_user"}, {"user": "socket_user"}]),
        "tasks": st.one_of(st.lists(steps, min_size=1, max_size=3), values),
        "user_count": st.one_of(st.just(1), numbers),
        "test_time": st.one_of(st.just(1), numbers),
    },
    optional={
        key: st.one_of(numbers, values)
        for key in (
            "iterations",
            "spawn_rate",
            "processes",
            "threads",
            "rate",
            "thresholds",
            "shape",
            "shape_config",
            "csv_sources",
            "variables",
            "seed",
        )
    },
)
SENDERS = ("LD_start_test", "LD_calibrate", "LD_find_capacity", "LD_campaign")  # they take long: rarely
commands = st.sampled_from(sorted(name for name in (*TABLE, *BUILTINS) if name not in SENDERS))
actions = commands.flatmap(lambda name: st.tuples(st.just(name), arguments_of(name)).map(list))
one_load = st.one_of(load_tests, values).map(lambda arguments: ["LD_start_test", arguments])
small_load = {
    "user_detail_dict": {"user": "fast_http_user"},
    "user_count": 1,
    "test_time": 0.5,
    "tasks": [{"method": "get", "request_url": "http://127.0.0.1:9/"}],
}
taken = st.sampled_from(  # what a check lets through, so that runs start
    [
        ["range", [100_000]], ["pow", [2, 3_000]], ["len", ["x" * 100_000]], ["sorted", [[3, 1, 2]]], ["format", ["x", ">1000"]], ["print", ["\x1b[2J"]],
        ["LD_register_variables", {"variables": {"a": "b", "token": "x" * 50_000}}], ["LD_har_to_tasks", {"har": "small.har", "include": ["(a+)+$"]}],
        ["LD_har_to_tasks", {"har": "pipe"}], ["LD_load_har", ["deep.har"]], ["LD_load_har", ["digits.har"]], ["LD_load_har", ["zero"]], ["LD_summary"],
        ["LD_register_csv_source", {"name": "a", "file_path": "wide.csv"}], ["LD_execute_files", [["small.har"]]], ["LD_persist_records", ["pipe"]],
        ["LD_execute_action", [[["range", [50_000]]] * 20]], ["LD_start_prometheus_exporter", {"port": 0}], ["LD_generate_html_report", ["out"]],
        ["LD_clear_records"], ["LD_start_test", small_load], ["LD_install_network_conditioner", {"latency_ms": 1}],
    ]
)  # fmt: skip
nested = st.lists(actions, max_size=3).map(lambda inner: ["LD_execute_action", [inner]])
scripts = weighted(
    (2, st.lists(taken, min_size=1, max_size=8)),
    (1, st.lists(weighted((4, actions), (1, nested), (1, one_load), (1, values)), max_size=6)),
    (1, values),
)
large_scripts = st.builds(  # up to twice what a frame holds
    lambda one, count: [one] * min(count, 2 * MAX_FRAME_BYTES // len(repr(one))),
    st.one_of(actions, values),
    st.sampled_from([2_000, 20_000, 150_000]),
)

requests = st.one_of(
    st.fixed_dictionaries(
        {"op": st.just("start"), "script": weighted((3, scripts), (1, large_scripts))},
        optional={"label": texts, "follow": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["list", "stop", "result", "follow", "nope"])}, optional={"run": texts, "id": values, "x": values}
    ),
    values,
)
raw = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            encode_frame(b"[" * MAX_FRAME_BYTES), encode_frame(b"9" * MAX_FRAME_BYTES), encode_frame(b'"' + b"\\u0000" * 170_000 + b'"'),
            encode_frame(b"[" + b"{}," * 349_000 + b"0]"), b"\x00\x00\x00\x00", b"\xff" * 8, b"\x00\x10\x00\x00half", b"\x16\x03\x01\x02\x00\x01\x00",
            encode_frame(b'{"op":"list","id":' + b"9" * 5_000 + b"}"), encode_frame(b'{"op":"list","token":null}'), b"GET / HTTP/1.1\r\n\r\n",
        ]
    ),
)  # fmt: skip
hostile = st.one_of(
    st.builds(lambda knows, message: Hostile(knows, message), st.booleans(), requests),
    st.builds(lambda knows, message: Hostile(knows, message), st.booleans(), raw),
)


# -- valid scripts, whose runs are short

words = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=12)
plain = st.one_of(st.none(), st.booleans(), st.integers(-1_000, 1_000), words)
plain_json = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)), max_leaves=6
)
good_steps = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["get", "post", "put", "delete"]),
        "request_url": st.sampled_from([f"{TARGET}/", f"{TARGET}/a?b=${{uuid()}}", f"{TARGET}/${{var.a}}", "http://127.0.0.1:9/"]),
    },
    optional={
        "name": words,
        "headers": st.dictionaries(st.sampled_from(["X-A", "Cookie", "Accept"]), st.sampled_from(["1", "a=b", "${var.a}"]), max_size=2),
        "json": plain_json.map(lambda value: {"value": value}),
        "think_time": st.floats(0, 0.05),
        "assertions": st.lists(
            st.sampled_from(
                [{"type": "status_code", "value": 200}, {"type": "contains", "value": "ok"}, {"type": "contains", "value": "never"}]
            ),
            max_size=2,
        ),
        "extract": st.just([{"var": "whole", "from": "regex", "pattern": "(o.)"}]),
        "retry": st.just({"transient": 1, "base_delay": 0.01}),
    },
)
paces = st.sampled_from([{}, {}, {"spawn_rate": 100}, {"iterations": 3}, {"spawn_rate": 50, "iterations": 20}, {"rate": 20}, {"rate": 200}])
good_loads = st.builds(
    lambda load, pace: {**load, **pace},
    st.fixed_dictionaries(
        {
            "user_detail_dict": st.sampled_from([*[{"user": "fast_http_user"}] * 6, {"user": "http_user"}]),
            "tasks": st.lists(good_steps, min_size=1, max_size=3),
            "user_count": st.integers(1, 4),
            "test_time": st.floats(0.05, 0.4),
            "variables": st.just({"a": "b"}),
        },
        optional={
            "thresholds": st.just(["p95 < 5 s"]),
            "seed": st.integers(0, 2**31),
        },
    ),
    paces,
)
good_calls = st.one_of(
    st.builds(lambda text: ["len", [text]], words),
    st.builds(lambda items: ["sorted", [items]], st.lists(st.integers(-99, 99), max_size=20)),
    st.builds(lambda count: ["range", [count]], st.sampled_from([0, 10, 1_000, 50_000])),
    st.builds(lambda text: ["print", [text]], words),
    st.builds(lambda value: ["LD_register_variables", {"variables": {"a": value, "token": "s" * 40}}], words),
    st.just(["LD_register_csv_source", {"name": "rows", "file_path": "rows.csv"}]),
    st.just(["LD_har_to_tasks", {"har": "small.har"}]),
    st.sampled_from([["LD_summary"], ["LD_clear_records"], ["LD_clear_resolver"]]),
    st.builds(lambda text: ["LD_execute_action", [[["len", [text]], ["max", [[1, 2]]]]]], words),
)
judged = st.sampled_from([[], [["LD_evaluate_sla", [["p95 < 5 s"]]]], [["LD_generate_html_report", ["out"]]]])  # right after a load
good_scripts = st.one_of(
    st.lists(good_calls, min_size=1, max_size=5),
    st.builds(
        lambda calls, load, judging, after: [*calls, ["LD_start_test", load], *judging, *after],
        st.lists(good_calls, max_size=2),
        good_loads,
        judged,
        st.lists(good_calls, max_size=2),
    ),
)


@dataclass(frozen=True)
class Start:
    """A valid script, and what its client does then: wait for the end, cancel, go away, or nothing."""

    script: Any
    then: str
    label: str


@dataclass(frozen=True)
class Ask:
    """A question about a run that was started: the `back`-th last."""

    op: str
    back: int
    knows_token: bool


@dataclass(frozen=True)
class Hostile:
    """A message as it is; with the right token, after a frame that gives it, or with a guess."""

    knows_token: bool
    message: Any


starts = st.builds(Start, good_scripts, st.sampled_from(["follow", "cancel", "leave", "nothing", "nothing"]), words)
asks = st.builds(
    Ask, st.sampled_from(["list", "list", "result", "stop", "follow"]), st.integers(0, 5), st.sampled_from([True, True, True, False])
)
doings = weighted((6, starts), (2, asks), (2, hostile))
