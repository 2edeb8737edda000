"""Which commands of Redis a step can't send, and what to write in their place."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["command_trouble"]

NO_ANSWER = "its answers come when others write, and not one for each command"
# A connection is kept for a user's next steps, so nothing may change what it is.
NOT_SENT = {
    **dict.fromkeys(("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "monitor"), NO_ANSWER),
    **dict.fromkeys(("sync", "psync", "replconf"), "they are for replicas of a server"),
    **dict.fromkeys(("quit", "reset", "hello"), "each user keeps its connection, which loadflow opens and closes"),
    "auth": 'write "username" and "password" as keys of the step',
    "select": 'write "database" as a key of the step',
}


def command_trouble(words: Sequence[object]) -> tuple[str, str] | None:
    """What is wrong with a command, and the way out; None if nothing is.

    >>> command_trouble(["SELECT", 3])
    ('SELECT is not a command that a step can send', 'write "database" as a key of the step')
    """
    first = str(words[0]).lower()
    if first in NOT_SENT:
        return f"{str(words[0]).upper()} is not a command that a step can send", NOT_SENT[first]
    if first == "client" and len(words) > 1 and str(words[1]).lower() == "reply":
        return "CLIENT REPLY is not a command that a step can send", "each command waits for its answer"
    return None
