"""What a hit's status is called: HTTP's are numbers, gRPC's have names, and both stand in one column of the log.

The log keeps 16 bits. HTTP's statuses stand there as they are; gRPC's code N as 20,000 + N, out of the way of HTTP (to 999) and of
WebSocket's close codes (to 4,999). 0 is none, which could not be distinguished from gRPC's OK. Nothing but this file knows the offset.
"""

from __future__ import annotations

from loadflow.engine.base.values import number_of

__all__ = ["GRPC_STATUSES", "grpc_code", "grpc_status", "is_status", "status_number", "status_text", "status_value"]

# by code: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
GRPC_STATUSES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
    *("RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"),
    *("DATA_LOSS", "UNAUTHENTICATED"),
)
_GRPC = 20_000
_NUMBERS = {name: _GRPC + code for code, name in enumerate(GRPC_STATUSES)}


def grpc_status(code: int) -> int:
    """How the log keeps a gRPC status. What is not a status of gRPC is UNKNOWN, as its clients have it."""
    return _GRPC + (code if 0 <= code < len(GRPC_STATUSES) else 2)


def grpc_code(status: int) -> int | None:
    """The gRPC code, or None for a status of another protocol."""
    return status - _GRPC if _GRPC <= status < _GRPC + len(GRPC_STATUSES) else None


def status_number(value: object) -> int:
    """How the log keeps what a script calls `value`: 404, "404", "NOT_FOUND" or 5. Raises ValueError for no status.

    >>> [status_text(status_number(value)) for value in (404, "404", "not_found", 5)]
    ['404', '404', 'NOT_FOUND', 'NOT_FOUND']
    """
    named = _NUMBERS.get(str(value).strip().upper())
    if named is not None:
        return named
    number = int(value) if isinstance(value, float) and value.is_integer() else int(str(value))
    return grpc_status(number) if 0 <= number < len(GRPC_STATUSES) else number


def is_status(value: object, status: int) -> bool:
    """Whether the log's `status` is what a hit's own `value` says: its number, text of that, or a name of gRPC.

    >>> [is_status(value, 200) for value in (200, 200.0, " 200 ", "200.0", True, "OK")]
    [True, True, True, True, False, False]
    """
    code = grpc_code(status)
    if code is not None and isinstance(value, str) and value.strip().upper() == GRPC_STATUSES[code]:
        return True
    return number_of(value) == (status if code is None else code)


def status_text(status: int) -> str:
    return str(status_value(status))


def status_value(status: int) -> int | str:
    """A status as scripts and readers have it: a number of HTTP, a name of gRPC."""
    code = grpc_code(status)
    return status if code is None else GRPC_STATUSES[code]
