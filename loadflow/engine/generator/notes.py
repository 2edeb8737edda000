"""What a process writes about its hits beside the log: names into the side table, the first failures of each kind whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.records.names import MOST_REVISIONS, NAME_CAP, TEXT_CAP, NameWriter
from loadflow.engine.records.outcome import Outcome

__all__ = ["MakeSample", "Notes"]

SAMPLES_PER_KIND = 3
SAMPLES_IN_ALL = 300
SAMPLE_TEXT = 4_000  # characters of one body or header field
# What is cut is masked first, as a secret must not be cut in two; but a target may send megabytes, so it is cut roughly before.
ROUGHLY = 4
NAMES_KNOWN = 4_096
MOST_AGREED = 10
REVISION_CAP = 200  # characters

MakeSample = Callable[[], dict[str, object]]


class Notes:
    """`redactor` sees every text before it is written."""

    def __init__(self, names: Path, samples: Path, redactor: Redactor) -> None:
        self._names = NameWriter(names)
        # a body may hold half a surrogate pair, by its charset or its JSON
        self._samples = samples.open("x", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._series: dict[tuple[str, str], int] = {}
        self._sampled: dict[tuple[int, int], int] = {}
        self._sample_count = 0
        self._revisions: set[str] = set()
        self._last_revision = ""
        self._agreed: set[str] = set()
        self._redactor = redactor

    def series(self, method: str, name: str) -> int:
        """Asked for each hit of a step whose name has placeholders."""
        known = self._series.get((method, name))
        if known is None:
            known = self._names.series(method, self._redactor.text(name[: ROUGHLY * NAME_CAP]))
            if len(self._series) < NAMES_KNOWN:
                self._series[method, name] = known
        return known

    def error(
        self, series: int, user: int, end_ns: int, outcome: Outcome, text: str, make_sample: MakeSample, secrets: Sequence[object] = ()
    ) -> int:
        """The id of a failure's text. `secrets`: this user's secret values, which are masked; `make_sample` is called for the first
        few of each kind only."""
        text = text[: ROUGHLY * TEXT_CAP]
        redactor = self._redactor.knowing(secrets) if secrets else self._redactor
        text = redactor.text(text)
        text = text if len(text) <= TEXT_CAP else text[: TEXT_CAP - 1] + "…"
        error = self._names.error(outcome, text)
        if self.wants_more(series, error):
            self._sampled[series, error] = self._sampled.get((series, error), 0) + 1
            self._sample_count += 1
            self._write_sample(series, error, outcome, {"at_s": round(end_ns / 1e9, 3), "user": user, **make_sample()}, redactor)
        return error

    def wants_more(self, series: int, error: int) -> bool:
        """Whether another failure of this kind would be kept whole."""
        return self._sample_count < SAMPLES_IN_ALL and self._sampled.get((series, error), 0) < SAMPLES_PER_KIND

    def revision(self, value: str) -> None:
        """What an answer says of the target's build; asked for each answer. Each value is written once, and only the first few."""
        if value == self._last_revision:
            return
        self._last_revision = value
        text = self._redactor.text(value[: ROUGHLY * REVISION_CAP].strip())
        text = text if len(text) <= REVISION_CAP else text[: REVISION_CAP - 1] + "…"
        if text and text not in self._revisions and len(self._revisions) <= MOST_REVISIONS:
            self._revisions.add(text)
            self._names.revision(text)

    def tls(self, agreed: str) -> None:
        """Version and cipher that TLS agreed on with a server; asked for each connection, and written once."""
        if agreed not in self._agreed and len(self._agreed) < MOST_AGREED:
            self._agreed.add(agreed)
            self._names.tls(agreed)

    def steps(self, counts: Sequence[tuple[int, int]], conditioned: int) -> None:
        """As the load ends: see `NameWriter.steps`."""
        self._names.steps(counts, conditioned)

    def close(self) -> None:
        self._names.close()
        self._samples.close()

    def _write_sample(self, series: int, error: int, outcome: Outcome, sample: JsonObject, redactor: Redactor) -> None:
        name, text = self._names.written(series, error)  # as the names are, or the reader would find no hit for it
        for message in (sample.get("request"), sample.get("response")):
            if message and isinstance(message.get("body"), str):
                message["body"] = redactor.body(message["body"], ROUGHLY * SAMPLE_TEXT)
        entry = {
            "method": name.method,
            "name": name.name,
            "outcome": int(outcome),
            "error": text,
            "sample": _cut(redactor.value(_roughly(sample)), sample),
        }
        self._samples.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")


def _roughly(data: object) -> object:
    if isinstance(data, dict):
        return {key: _roughly(value) for key, value in data.items()}
    return data[: ROUGHLY * SAMPLE_TEXT] if isinstance(data, str) else data


def _cut(data: Any, whole: Any) -> object:
    """`data`, its texts not too long; `whole` is what it was cut from; its length is reported."""
    if isinstance(data, dict):
        return {key: _cut(value, whole.get(key)) for key, value in data.items()}
    if isinstance(data, str) and len(data) > SAMPLE_TEXT:
        more = max(len(data), len(whole) if isinstance(whole, str) else 0) - SAMPLE_TEXT
        return f"{data[:SAMPLE_TEXT]}… ({counted(more, 'more character')})"
    return data
