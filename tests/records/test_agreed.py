"""What both engines must agree on stands in one file; `native/tests/agreed.rs` holds the core to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadflow.engine import records
from loadflow.engine.base import values
from loadflow.engine.generator.locust import row_flushing
from loadflow.engine.protocols.http import answer_reader, cookies
from loadflow.engine.protocols.http import reply as http_reply
from loadflow.engine.protocols.running import endless, json_body, work
from loadflow.engine.records import hitlog
from loadflow.engine.records.outcome import HitFlag, Outcome

AGREED: dict[str, Any] = json.loads((Path(records.__file__).parent / "agreed.json").read_text(encoding="utf-8"))


def test_outcomes_and_flags() -> None:
    assert {outcome.label: int(outcome) for outcome in Outcome} == AGREED["outcomes"]
    assert [outcome.label for outcome in Outcome if not outcome.sent] == AGREED["outcomes_without_a_request"]
    assert {str(flag.name).lower(): int(flag) for flag in HitFlag} == AGREED["flags"]


def test_the_hit_log() -> None:
    log = AGREED["hit_log"]
    assert (hitlog.MAGIC.decode(), hitlog.VERSION, hitlog.HEADER.size) == (log["magic"], log["version"], log["header_bytes"])
    fields = hitlog.HIT_DTYPE.fields
    assert fields is not None
    assert [[name, fields[name][1], fields[name][0].itemsize] for name in hitlog.HIT_DTYPE.names or ()] == log["row"]
    assert hitlog.HIT_DTYPE.itemsize == log["row_bytes"]


def test_limits_and_lists() -> None:
    from loadflow.engine.protocols.http import redirects  # and gevent, which no file of tests imports (tests.warm.collecting)

    limits = {
        "redirects": redirects.MAX_REDIRECTS,
        "cookies": cookies.MOST_COOKIES,
        "host_cookies": cookies.MOST_HOST_COOKIES,
        "cookie_bytes": cookies.MOST_PAIR_BYTES,
        "cookie_attribute_bytes": cookies.MOST_ATTRIBUTE_BYTES,
        "head_bytes": answer_reader.MAX_HEAD_BYTES,
        "chunk_line_bytes": answer_reader.MOST_CHUNK_LINE_BYTES,
        "trailer_bytes": answer_reader.MOST_TRAILER_BYTES,
        "codings": http_reply.MOST_CODINGS,
        "shown": values.SHOWN,
        "digits": json_body.MOST_DIGITS,
        "work_ms": work.MOST_WORK_MS,
        "beside_bytes": endless.MOST_BESIDE_BYTES,
        "tls_bytes": endless.MOST_TLS_BYTES,
        "rows_ms": round(row_flushing.ROWS_S * 1_000),
    }
    assert limits == AGREED["limits"]
    assert sorted(http_reply.OTHER_CODINGS) == AGREED["other_codings"]
    assert sorted(redirects.REDIRECTS) == AGREED["redirect_statuses"]
    assert sorted(values.FALSE_WORDS) == AGREED["false_words"]
