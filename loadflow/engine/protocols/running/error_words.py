"""What is said of an error that a library raised."""

from __future__ import annotations

__all__ = ["error_words"]


def error_words(error: BaseException) -> str:
    """As the core says it: of the system's errors without their numbers.

    >>> error_words(ConnectionRefusedError(111, "Connection refused"))
    'ConnectionRefusedError: Connection refused'
    >>> error_words(ValueError("no number"))
    'ValueError: no number'
    """
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"{type(error).__name__}: {said}"
