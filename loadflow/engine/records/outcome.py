"""How a hit ended: one small enum that every protocol maps its library's errors to, once, at its own boundary."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["HitFlag", "Outcome", "flag_words"]


class Outcome(IntEnum):
    """Stored as one byte in the hit log, so a number never changes its meaning; new ones go at the end."""

    OK = 0
    STATUS = 1  # the peer answered with a status of 400 or more, and no assertion accepts it
    ASSERTION = 2
    EXTRACT = 3  # a value the script wants to take from the answer is not in it
    DNS = 4
    CONNECT = 5  # refused, unreachable, or no port left on our side
    TLS = 6
    TIMEOUT = 7
    CLOSED = 8  # reset, or ended before the answer was whole
    PROTOCOL = 9  # bytes came that are no valid answer
    REDIRECT = 10  # too many, or to somewhere that can't be asked
    TOO_LARGE = 11  # past max_body_bytes
    TEMPLATE = 12  # a ${…} had no value; nothing was sent
    DROPPED = 13  # the network conditioner lost it on purpose; nothing was sent
    UNFINISHED = 14  # still in flight when the drain at the end was over
    ENGINE = 15  # loadflow's own mistake; please report it
    FORBIDDEN = 16  # a host that may not be loaded; nothing was sent

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def sent(self) -> bool:
        """False where the failure came before anything was sent."""
        return self not in (Outcome.TEMPLATE, Outcome.DROPPED, Outcome.FORBIDDEN)


class HitFlag(IntFlag):
    """Marks of a hit; one byte in the log."""

    RETRY = 1  # a second or later attempt of a step
    SUPERSEDED = 2  # another attempt is to follow; where one did (see attempts.py), this one does not decide the verdict
    DRAINED = 4  # ended after the load's own end, within the drain
    LATE = 8  # started later than it was due (arrival rates)
    LAST = 16  # its user stopped after it, because a source with mode "once" had no row left for it
    SETUP = 64  # of a user's on_start or on_stop: in neither rate nor percentiles of the load
    EVENT = 128  # no hit, but an event of its answer, which may have many
    FIRST = 32  # the first attempt of its pass, so these are the passes that were started; kept for the books, and not shown


def flag_words(flags: int) -> str:
    """
    >>> flag_words(HitFlag.RETRY | HitFlag.LATE | HitFlag.FIRST), flag_words(0)
    ('retry late', '')
    """
    return " ".join((flag.name or "").lower() for flag in HitFlag if flags & flag & ~HitFlag.FIRST)
