"""One answer of a target that means harm: what it sends, what asks for it, and how that has to end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from loadflow.engine.records.outcome import Outcome

__all__ = ["MAX_BODY_BYTES", "HostileAnswer", "Step", "over_tls"]

MAX_BODY_BYTES = 4 * 2**20  # of the loads that play them; what is worst for a decoder is as long

Step = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class HostileAnswer:
    """`begin` gives the bytes that are sent once, `again` those that follow without end; `then`: what comes after `begin` alone.

    "trickle": `begin` comes a byte at a time, each 20 ms.

    `step` is what asks for it, without its URL; `before` and `after` are steps around it, which set up and clear away.
    """

    name: str
    outcome: Outcome
    begin: Callable[[], bytes] = bytes
    again: bytes = b""
    then: Literal["keep", "cut", "wait", "trickle"] = "keep"
    step: Step = field(default_factory=dict)
    before: Sequence[Step] = ()
    after: Sequence[Step] = ()

    @property
    def key(self) -> str:
        """Its name as a part of a URL."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


def over_tls(answers: Sequence[HostileAnswer], names: Collection[str]) -> list[HostileAnswer]:
    """Those of these names, to be given in a TLS session."""
    return [replace(one, name=f"over TLS: {one.name}") for one in answers if one.name in names]
