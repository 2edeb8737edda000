# ruff: noqa: E501  # a row stays on one line
"""Whole scripts that Hypothesis makes, run by every HTTP user against one recording server: the same requests, the same rows.

`LOADFLOW_SCRIPTS=200` makes more of them than the usual two; each holds some ten steps, made twice.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from loadflow.engine.records.outcome import Outcome
from tests.load.harness import USERS, Step, get, load, raw
from tests.targets.fixture import Target

SCRIPTS = int(os.environ.get("LOADFLOW_SCRIPTS", "2"))

OK = "HTTP/1.1 200 OK\r\n"
framed = st.sampled_from([
    "Content-Length: 2\r\n\r\nhi", "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "Content-Length: 2, 3\r\n\r\nhi", "Content-Length: x\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nhi\r\n0\r\nT: 1\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nmore", "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "Content-Length: 0\r\n\r\n",
    "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", "Content-Encoding: utf-8\r\nContent-Length: 2\r\n\r\nhi", "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nhi",
    'Content-Length: 32\r\n\r\n{"a":1000000000000000000000000000000}'[:-5] + "}", 'Content-Length: 23\r\n\r\n{"a":[1,{"b.c":"200"}]}',
    "no colon\r\nContent-Length: 2\r\n\r\nhi", "Connection: close\r\nContent-Length: 2\r\n\r\nhi",
])  # fmt: skip
start = st.sampled_from(
    [
        OK,
        OK,
        OK,
        "\r\n" + OK,
        "HTTP/1.1 103 Early\r\n\r\n" + OK,
        "HTTP/1.1 999 Odd\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 302 F\r\nLocation: /echo?r\r\n",
    ]
)
cookie = st.sampled_from([
    "", "Set-Cookie: a=1\r\n", 'Set-Cookie: a=2; Path="/"\r\n', "Set-Cookie: b=3; Path=x\r\n", "Set-Cookie: c=4; Max-Age=60s\r\n", "Set-Cookie: a=; Max-Age=0\r\n",
    "Set-Cookie: d\r\nSet-Cookie: e=5; Domain=127.0.0.1; Path=/echo\r\n", "Set-Cookie: f=6; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=90\r\n",
])  # fmt: skip
# the peer never closes behind an answer: whether the next request is faster than that is chance
answered = st.builds(lambda *parts: raw("".join(parts).encode("latin-1")), start, cookie, framed)
kept = st.builds(lambda *parts: raw("".join(parts).encode("latin-1")), st.just(OK), cookie, st.just("Content-Length: 2\r\n\r\nhi"))
path = st.one_of(
    answered,
    kept,
    st.sampled_from([
        "/ok", "/echo?q=50%of crème&x=%2f", "/echo/${randint(1,999)}", "/status/404", "/status/503", "/gzip", "/deflate", "/chunked", "/redirect/3",
        "/redirect-loop", "/redirect-code/307?to=/echo%3Fz", "/redirect-code/303?to=//[::1/", "/redirect-code/302?to=ftp://x/", "/close", "/close-mid-body",
        "/garbage", "/no-content", "/set-cookie", "/echo?v=${v}", "/echo/${nope}", "/${w}",
    ]),
)  # fmt: skip
held = st.sampled_from([
    {"type": "status_code", "value": [200, 999]}, {"type": "status_code", "value": "${v}"}, {"type": "contains", "value": "hi"},
    {"type": "not_contains", "value": "${v}"}, {"type": "json_path", "path": "$.a[1]['b.c']", "value": "200"}, {"type": "json_path", "path": "a", "value": 10**30},
    {"type": "header", "name": "x-a", "value": "b c"}, {"type": "regex", "pattern": "h."},
])  # fmt: skip
taken = st.sampled_from([
    {"var": "v", "from": "status_code"}, {"var": "v", "path": "a[1]['b.c']"}, {"var": "v", "path": "a"}, {"var": "w", "from": "body"}, {"var": "v", "from": "cookie", "name": "a"},
])  # fmt: skip
step = st.fixed_dictionaries(
    {"method": st.sampled_from(["get", "post", "head", "put", "delete"]), "request_url": path},
    optional={
        "headers": st.sampled_from([{"Connection": "close"}, {"X-A": "${v}"}, {"Authorization": "x"}, {"Cookie": "own=${v}"}]),
        "cookies": st.sampled_from([{"a": "own"}, {"z": "${randint(1,99)}"}]),
        "data": st.sampled_from(["text ${v}", {"a": ["${v}", 1], "b": None}]),
        "assertions": st.lists(held, min_size=1, max_size=2),
        "extract": st.lists(taken, min_size=1, max_size=2),
        "retry": st.sampled_from(
            [{"transient": 1, "flaky": 1, "base_delay": 0.001}, {"permanent": 1, "transient": 0, "flaky": 0, "base_delay": 0.001}]
        ),
        "run_if": st.sampled_from([{"not_equals": ["${v}", 200]}, {"in": ["1", "${w}"]}, "${v}"]),
        "allow_redirects": st.booleans(),
    },
)

# a check refuses a variable that nothing gives a value; this last step would, and never does
NOTHING = get("/ok", extract=[{"var": name, "from": "cookie", "name": "nobody sets it"} for name in ("nope", "w")])


@settings(
    max_examples=SCRIPTS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example],
)
@given(st.lists(step, min_size=8, max_size=14), st.integers(0, 1000))
def test_every_user_sends_and_records_the_same(target: Target, tmp_path_factory: Any, steps: list[Step], seed: int) -> None:
    named = [{**one, "name": f"{number:02}"} for number, one in enumerate([*steps, NOTHING])]
    made = {user: outcome(target, tmp_path_factory.mktemp("agree"), named, user, seed) for user in USERS}
    for user in USERS[1:]:
        for theirs, ours in zip(made[user], made[USERS[0]], strict=True):
            assert theirs == ours, user


# no answer of a step at once may hold a cookie that another of them would send: whether it comes in time is chance
calm = st.one_of(
    st.builds(lambda *parts: raw("".join(parts).encode("latin-1")), start, framed),
    st.sampled_from(
        ["/ok", "/echo/${randint(1,999)}", "/status/404", "/status/503", "/redirect/3", "/close-mid-body", "/${w}", "/echo?v=${v}"]
    ),
)
at_once = st.lists(st.builds(lambda one, url: {**one, "request_url": url}, step, calm), min_size=1, max_size=4)


@settings(
    max_examples=SCRIPTS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example],
)
@given(st.lists(at_once, min_size=3, max_size=5), st.integers(0, 1000))
def test_every_user_sends_and_records_the_same_at_once(target: Target, tmp_path_factory: Any, batches: list[list[Step]], seed: int) -> None:
    """In which order steps of a batch arrive and end is chance; what each sends, and what becomes of it, is not."""
    entries: list[Any] = []
    for number, batch in enumerate(batches):
        named = [{**one, "name": f"{number}{at}"} for at, one in enumerate(batch)]
        taking = next((one for one in named if "extract" in one), None)
        steps = [one if one is taking else {key: value for key, value in one.items() if key != "extract"} for one in named]
        entries += [{"batch": steps}, get(f"/echo?{number}=${{v}}&${{uuid()}}", name=f"after {number}")]
    made = {user: outcome(target, tmp_path_factory.mktemp("agree"), [*entries, NOTHING], user, seed) for user in USERS}

    def in_no_order(user: str) -> tuple[Any, Any]:
        received, rows = made[user]
        return sorted(map(repr, (one[1:] for one in received))), sorted(map(repr, rows))

    for user in USERS[1:]:
        for theirs, ours in zip(in_no_order(user), in_no_order(USERS[0]), strict=True):
            assert theirs == ours, user


def outcome(target: Target, folder: Path, steps: list[Step], user: str, seed: int) -> tuple[Any, Any]:
    """What the server received, connections numbered in their order, and what was recorded."""
    target.reset()
    done = load(folder, steps, user=user, host=target.url, iterations=2, seed=seed, variables={"v": 200})
    assert done.error is None
    connections: dict[int, int] = {}
    received = [
        (connections.setdefault(one.connection, len(connections)), one.method, one.target, sorted(one.headers), one.body)
        for one in target.records()
    ]
    # what bytes are no answer is said in the words of whoever reads them
    said = ["" if hit.outcome is Outcome.PROTOCOL else hit.error for hit in done.hits]
    sizes = [(int(row["sent_bytes"]), int(row["received_bytes"])) for row in done.rows]
    rows = zip(done.hits, said, sizes, strict=True)
    return received, [(hit.name, hit.outcome, hit.status, text, hit.flags, *size) for hit, text, size in rows]
