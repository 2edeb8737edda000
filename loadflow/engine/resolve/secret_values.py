"""The values of the secrets that a script names."""

from __future__ import annotations

from collections.abc import Callable

from loadflow.engine.resolve.static import tokens_in
from loadflow.engine.script.placeholders import SECRET
from loadflow.errors import CommandError, Mistake

__all__ = ["PLACE", "secrets_in"]

PLACE = "LD_start_test"


def secrets_in(written: object, secret: Callable[[str], str], place: str = PLACE) -> dict[str, object]:
    """The variables that `${secret.NAME}` stands for, by their whole names. `place`: where they are written, for messages."""
    names = {token.parts[0] for token in tokens_in(written) if token.kind == "var" and token.parts[0].startswith(SECRET)}
    found: dict[str, object] = {}
    mistakes = []
    for name in sorted(names):
        try:
            found[name] = secret(name.removeprefix(SECRET))
        except LookupError as error:
            mistakes.append(Mistake(place, str(error.args[0])))
    if mistakes:
        raise CommandError(mistakes)
    return found
