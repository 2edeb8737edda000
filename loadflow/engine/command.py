"""What a command is: a name, a function, and how a task may treat it.

The table of all commands is `loadflow.engine.commands`; this file holds only the two values, so that the script checker,
the task factory and the table can share them without importing each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["Command", "Policy"]

OnError = Literal["stop", "continue"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a command's task is run. Seconds at this edge, because people write them.

    `retry_safe` False means that running the function twice is not the same as running it once; such a command is retried
    only after a failure that says nothing was done (`EngineError` with 0 hits), however many retries a script asks for.
    `timeout_seconds` None: no deadline of its own.
    """

    retries: int = 0
    retry_delay_seconds: float = 0.0
    timeout_seconds: float | None = None
    on_error: OnError = "stop"
    retry_safe: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the command table.

    `arguments` is the pydantic model that checks the keyword arguments; None: the function's own signature is the rule.
    `nested` says that the arguments hold actions or files of actions that run as scripts of their own.
    `loads` marks the commands that send load: their task is called directly, never submitted.
    `secrets` are the arguments of which every value is masked in logs, whatever name it has in them.
    """

    name: str
    function: Callable[..., Any]
    summary: str
    policy: Policy = field(default_factory=Policy)
    arguments: type[BaseModel] | None = None
    nested: Literal["actions", "files"] | None = None
    loads: bool = False
    secrets: frozenset[str] = frozenset()
