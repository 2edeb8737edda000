"""A run's hits as a data frame, in whichever library is there."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows, read_header
from loadflow.engine.records.names import LOST, SeriesName, text_lost
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.errors import RunError

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["FRAMES", "Frame", "frame_of"]

Frame = Literal["pandas", "polars", "arrow"]
Values = npt.NDArray[Any]
PACKAGES: dict[str, str] = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
FLAGS = {
    "retry": HitFlag.RETRY,
    "replaced": HitFlag.SUPERSEDED,
    "drained": HitFlag.DRAINED,
    "late": HitFlag.LATE,
    "setup": HitFlag.SETUP,
}


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts that repeat: `texts[code]` for each code."""

    codes: npt.NDArray[np.int32]
    texts: Sequence[str]


def frame_of(run: Run, kind: Frame | None) -> object:
    """See `Run.frame`."""
    if kind is not None and kind not in FRAMES:
        raise RunError(f"frame({kind!r}): there is no such frame; give one of {', '.join(FRAMES)}, or nothing")
    for one in FRAMES if kind is None else (kind,):
        try:
            library = importlib.import_module(PACKAGES[one])
        except ImportError:
            continue
        return FRAMES[one](library, _columns(run))
    wanted = " or ".join(f"`pip install {PACKAGES[one]}`" for one in (FRAMES if kind is None else (kind,)))
    raise RunError(f"a data frame needs a library that is not installed: {wanted}; hits() and names() give numpy arrays without any")


def _columns(run: Run) -> dict[str, Values | Labels]:
    parts = list(run.iter_hits())
    hits: Rows = np.concatenate([np.zeros(0, dtype=HIT_DTYPE), *(rows for _, rows in parts)])
    origins_ns = {shard: read_header(run.hits_path(shard)).origin_unix_ns for shard, _ in parts}
    each_ns, counts = ([origins_ns[shard] for shard, _ in parts], [len(rows) for _, rows in parts])
    origin_ns = np.repeat(np.array(each_ns, dtype=np.int64), np.array(counts, dtype=np.int64))
    names = run.names()
    outcomes = hits["outcome"].astype(np.int64)
    return {
        "started_at": (origin_ns + hits["start_ns"]).astype("datetime64[ns]"),
        "method": _labels(hits["series"], lambda number: _name(names.series.get(number)).method),
        "name": _labels(hits["series"], lambda number: _name(names.series.get(number)).name),
        "user": hits["user"].astype(np.int64),
        "due_s": hits["due_ns"] / 1e9,
        "start_s": hits["start_ns"] / 1e9,
        "end_s": hits["end_ns"] / 1e9,
        "response_ms": (hits["end_ns"] - hits["due_ns"]) / 1e6,
        "service_ms": (hits["end_ns"] - hits["start_ns"]) / 1e6,
        # NaN where it is not known
        "ttfb_ms": np.where(hits["first_byte_ns"] > 0, (hits["first_byte_ns"] - hits["start_ns"]) / 1e6, np.nan),
        **{f"{name}_ms": hits[f"{name}_ms"].astype(np.float64) for name in ("dns", "connect", "tls", "send")},
        "ok": outcomes == Outcome.OK,
        "outcome": _labels(outcomes, lambda number: Outcome(number).label),
        "status": hits["status"].astype(np.int64),
        # the outcome beside the number: a text that was lost is of a kind all the same
        "error": _labels(
            np.where(outcomes == Outcome.OK, 0, hits["error"].astype(np.int64) * 256 + outcomes),
            lambda code: (names.errors.get(code // 256) or text_lost(code % 256)).text if code else "",
        ),
        "sent_bytes": hits["sent_bytes"].astype(np.int64),
        "received_bytes": hits["received_bytes"].astype(np.int64),
        **{name: (hits["flags"] & flag) != 0 for name, flag in FLAGS.items()},
    }


def _name(known: SeriesName | None) -> SeriesName:
    return known or LOST


def _labels(numbers: Values, text_of: Callable[[int], str]) -> Labels:
    """One label per text, whatever numbers stand for it."""
    found = np.unique(numbers)
    texts: dict[str, int] = {}
    codes = np.array([texts.setdefault(text_of(number), len(texts)) for number in found.tolist()], dtype=np.int32)
    return Labels(codes[np.searchsorted(found, numbers)] if len(found) else codes, list(texts))


def _pandas(pandas: ModuleType, columns: dict[str, Values | Labels]) -> object:
    return pandas.DataFrame(
        {
            name: pandas.Categorical.from_codes(one.codes, one.texts) if isinstance(one, Labels) else _utc(pandas, one)
            for name, one in columns.items()
        }
    )


def _utc(pandas: ModuleType, values: Values) -> object:
    return pandas.to_datetime(values, utc=True) if values.dtype.kind == "M" else values


def _polars(polars: ModuleType, columns: dict[str, Values | Labels]) -> object:
    series = [
        polars.Series(name, one.texts, dtype=polars.String).gather(one.codes).cast(polars.Categorical)
        if isinstance(one, Labels)
        else polars.Series(name, one)
        for name, one in columns.items()
    ]
    return polars.DataFrame(series).with_columns(polars.col("started_at").dt.replace_time_zone("UTC"))


def _arrow(arrow: ModuleType, columns: dict[str, Values | Labels]) -> object:
    arrays = {
        name: arrow.DictionaryArray.from_arrays(arrow.array(one.codes), arrow.array(one.texts, arrow.string()))
        if isinstance(one, Labels)
        else arrow.array(one, arrow.timestamp("ns", "UTC") if one.dtype.kind == "M" else None)
        for name, one in columns.items()
    }
    return arrow.table(arrays)


FRAMES: dict[str, Callable[[ModuleType, dict[str, Values | Labels]], object]] = {"pandas": _pandas, "polars": _polars, "arrow": _arrow}
