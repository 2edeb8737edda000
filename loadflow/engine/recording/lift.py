"""Secrets of a recording, and the environment variables that stand for them in the script."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.recording.naming import identifier, looks_generated
from loadflow.engine.recording.substitute import Shape, step_keys
from loadflow.engine.redact import SHORTEST, Redactor

__all__ = ["Lifted", "own_cookies", "secrets_of"]

# Words that stand under names such as token_type and say nothing.
HARMLESS = frozenset(("bearer", "basic", "true", "false", "null", "none", "undefined"))

LONG_WORD = 12  # letters; no word of a path or a text is expected to be a password of this length


class Lifted:
    """`names` is the environment variable of each secret value."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._redactor = Redactor()

    def add(self, value: str, name: str) -> None:
        if value and value.lower() not in HARMLESS and value not in self.names:
            self.names[value] = identifier(name, set(self.names.values()), upper=True)

    def is_secret(self, name: str) -> bool:
        return bool(name) and self._redactor.is_secret(name)

    def placeholder(self, value: str, shape: Shape, name: str) -> str | None:
        """What to send instead of `value`. A plain word such as "admin" is a secret only where it stands under the name of one."""
        variable = self.names.get(value)
        if variable is None or shape == "number":
            return None
        plain = len(value) < SHORTEST or (value.isalpha() and len(value) < LONG_WORD)
        if plain and not self.is_secret(name):
            return None
        return f"${{env.{variable}}}"


def own_cookies(exchanges: Sequence[Exchange]) -> list[dict[str, str]]:
    """The cookies that each step has to bring itself, because no earlier response of the recording set them."""
    jar: set[tuple[str, str]] = set()
    found = []
    for exchange in exchanges:
        host = exchange.request.url.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0].rsplit(":", 1)[0].lower()
        known = {name for domain, name in jar if host == domain or host.endswith(f".{domain}")}
        found.append({name: value for name, value in exchange.request.cookies if name not in known})
        for request in (exchange.request, *exchange.followed):
            jar.update(request.set_cookies)
    return found


def secrets_of(exchanges: Sequence[Exchange], cookies: Sequence[Mapping[str, str]], correlated: Collection[str]) -> Lifted:
    """The texts that requests send under the name of a secret, but for those that a response gives; and generated cookies."""
    lifted = Lifted()

    def note(value: str, shape: Shape, name: str) -> None:
        if shape in ("whole", "string") and lifted.is_secret(name) and value not in correlated:
            lifted.add(value, name)

    for exchange, own in zip(exchanges, cookies, strict=True):
        step_keys(exchange.request, own, note)
        for name, value in own.items():
            if looks_generated(value) and value not in correlated:
                lifted.add(value, f"cookie_{name}")
    return lifted
