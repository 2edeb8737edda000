"""Which subjects, streams and consumers of a NATS server a run uses, and the numbers that both ends hold to.

One stream of a server, SHARDS, is the queue in which every run puts its shards: a number and nothing else, so that nothing secret is
on the server's disk. What is reported of a run has subjects of its own, below `lf.<run>`; its rows have a stream of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadflow.engine.process.states import SILENT_S as ALL_SILENT_S
from loadflow.engine.process.states import STOP_DRAIN_S

__all__ = [
    "AGENTS",
    "BEAT_S",
    "COORDINATOR",
    "DRAIN_S",
    "LEASE_S",
    "PART_BYTES",
    "PROTOCOL",
    "QUEUE",
    "QUEUE_SUBJECTS",
    "SILENT_S",
    "WHO",
    "Subjects",
    "shard_of",
]

PROTOCOL = 4  # of what agents and coordinators say to each other; goes up when an older end would not understand a newer one
QUEUE = "LF_SHARDS"  # the stream of shards that no agent makes yet
QUEUE_SUBJECTS = "lf.*.shard.*"
AGENTS = "agents"  # the consumer of it: each shard goes to one agent
COORDINATOR = "coordinator"  # the consumer of a run's rows
WHO = "lf.who"  # "who is there?": every agent answers

BEAT_S = 0.5  # an agent asks for orders so often
DRAIN_S = STOP_DRAIN_S  # what a load has left that ends for want of an answer
SILENT_S = ALL_SILENT_S - DRAIN_S  # without an answer for so long, or without its agent, a load ends
LEASE_S = ALL_SILENT_S + 1.0  # a shard that is given anew is made by no other agent any more
PART_BYTES = 512 * 1024  # of a file or a plan in one message; servers take 1 MB unless configured otherwise

SHARD = re.compile(r"lf\.([A-Za-z0-9_-]+)\.shard\.(\d+)")


@dataclass(frozen=True, slots=True)
class Subjects:
    """Of one run, whose id is a word of a subject.

    >>> Subjects("20261129-2f1c").out(3, 1)
    'lf.20261129-2f1c.out.3.1'
    """

    run: str

    @property
    def stream(self) -> str:
        return f"LF_{self.run}"

    @property
    def outs(self) -> str:
        return f"lf.{self.run}.out.>"

    @property
    def shards(self) -> str:
        return f"lf.{self.run}.shard.*"

    @property
    def order(self) -> str:
        """Told by the coordinator when it changes; the answer to each beat has it, too."""
        return f"lf.{self.run}.order"

    @property
    def beat(self) -> str:
        return f"lf.{self.run}.beat"

    @property
    def plan(self) -> str:
        return f"lf.{self.run}.plan"

    @property
    def time(self) -> str:
        return f"lf.{self.run}.time"

    def shard(self, number: int) -> str:
        return f"lf.{self.run}.shard.{number}"

    def out(self, number: int, epoch: int) -> str:
        """What an agent has recorded of a shard."""
        return f"lf.{self.run}.out.{number}.{epoch}"


def shard_of(subject: str) -> tuple[str, int] | None:
    """Run and number of a shard; None for a subject that is none.

    >>> shard_of("lf.20261129-2f1c.shard.3")
    ('20261129-2f1c', 3)
    """
    found = SHARD.fullmatch(subject)
    return (found[1], int(found[2])) if found else None
