"""LD_clear_resolver: forget all variables and CSV sources."""

from __future__ import annotations

from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "clear_resolver"]


def clear_resolver() -> dict[str, str]:
    """Forget all variables and CSV sources of this session."""
    current_session().variables.clear()
    return {"status": "cleared"}


COMMAND = Command(
    "LD_clear_resolver",
    clear_resolver,
    "Forget all variables and CSV sources.",
    QUICK,
    dry=True,
    sets=True,
    group="values",
    returns='`{"status": "cleared"}`',
)
