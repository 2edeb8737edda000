"""The one way a template fails while load runs."""

from __future__ import annotations

__all__ = ["MissingValue"]


class MissingValue(Exception):
    """A placeholder has no value for this user now, so its step can't be sent.

    It never leaves the engine: the code that renders a step catches it and records a failed hit with this text, and
    nothing is sent. `token` is the placeholder as it stands in the script, `reason` what is wrong and the way out.

    >>> str(MissingValue("${var.id}", "no variable 'id'; set it"))
    "${var.id}: no variable 'id'; set it"
    """

    def __init__(self, token: str, reason: str) -> None:
        super().__init__(token, reason)
        self.token = token
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.token}: {self.reason}"
