"""The statuses of a run as layers of a chart: each with its name and colour, the many rare ones as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadflow.engine.records.statuses import grpc_code, status_text

__all__ = ["status_layers"]

MOST_STATUSES = 7
COLOURS = ("s-ok", "s-fail", "s-p95", "s-p99", "s-users", "s-p50", "s-more")  # as many as statuses
REST = "s-rest"


def status_layers(statuses: Mapping[tuple[int, bool], Sequence[int]]) -> list[tuple[str, str, Sequence[int]]]:
    """(label, css class, counts per bin), what went well first; those beyond MOST_STATUSES are `other`.

    >>> status_layers({(503, True): [1, 0], (200, False): [5, 6], (200, True): [0, 2], (0, True): [0, 1]})  # doctest: +NORMALIZE_WHITESPACE
    [('200', 's-ok', [5, 6]), ('200, failed', 's-p50', [0, 2]), ('503', 's-fail', [1, 0]), ('no answer', 's-users', [0, 1])]
    """
    kept = sorted(statuses, key=lambda key: -sum(statuses[key]))[:MOST_STATUSES]
    free = list(COLOURS)
    layers: list[tuple[str, str, Sequence[int]]] = []
    for status, failed in sorted(kept, key=lambda key: (key[1], key[0] == 0, key[0])):
        wanted = _colour(status, failed)
        css = wanted if wanted in free else free[-1]
        free.remove(css)
        layers.append((_label(status, failed), css, statuses[status, failed]))
    rest = [counts for key, counts in statuses.items() if key not in kept]
    if rest:
        layers.append((f"{len(rest)} other", REST, [sum(column) for column in zip(*rest, strict=True)]))
    return layers


def _label(status: int, failed: bool) -> str:
    if status == 0:
        return "no answer" if failed else "without a status"
    if failed and _is_good(status):
        return f"{status_text(status)}, failed"  # by an assertion, or what was to be extracted
    return f"{status_text(status)}, accepted" if not failed and 400 <= status < 600 else status_text(status)


def _is_good(status: int) -> bool:
    code = grpc_code(status)
    return 100 <= status < 400 if code is None else code == 0


def _colour(status: int, failed: bool) -> str:
    if status == 0:
        return "s-users" if failed else "s-ok"
    if failed and _is_good(status):
        return "s-p50"
    return {3: "s-more", 4: "s-p95", 5: "s-fail"}.get(status // 100, "s-fail" if failed else "s-ok")
