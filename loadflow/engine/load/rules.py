"""What whoever runs a script adds to a plan, and holds it to: the target's address and headers, secrets, allowed hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadflow.engine.plan.target import HostLists, TargetRules, host_of, refusing
from loadflow.engine.resolve.static import tokens_in
from loadflow.engine.script.placeholders import SECRET
from loadflow.engine.script.user_type import UserType
from loadflow.errors import CommandError, Mistake

__all__ = ["hosted", "refuse_hosts", "secrets_in", "with_headers"]

PLACE = "LD_start_test"


def hosted(arguments: Mapping[str, Any], rules: TargetRules) -> Mapping[str, Any]:
    """With the target's base URL where the script names no host."""
    detail = arguments.get("user_detail_dict")
    if rules.base_url is None or arguments.get("host") or (isinstance(detail, Mapping) and detail.get("host")):
        return arguments
    return {**arguments, "host": rules.base_url}


def with_headers(steps: tuple[dict[str, Any], ...], user_type: UserType, rules: TargetRules) -> tuple[dict[str, Any], ...]:
    if not rules.headers or "headers" not in user_type.form.step.model_fields:
        return steps
    named = [{name.lower() for name in step.get("headers") or {}} for step in steps]
    return tuple(
        {
            **step,
            "headers": {
                **{name: value for name, value in rules.headers.items() if name.lower() not in own},
                **(step.get("headers") or {}),
            },
        }
        for step, own in zip(steps, named, strict=True)
    )


def secrets_in(written: Any, secret: Callable[[str], str], place: str = PLACE) -> dict[str, Any]:
    """The variables that `${secret.NAME}` stands for, by their whole names. `place`: where they are written, for messages."""
    names = {token.parts[0] for token in tokens_in(written) if token.kind == "var" and token.parts[0].startswith(SECRET)}
    found: dict[str, Any] = {}
    mistakes = []
    for name in sorted(names):
        try:
            found[name] = secret(name.removeprefix(SECRET))
        except LookupError as error:
            mistakes.append(Mistake(place, str(error.args[0])))
    if mistakes:
        raise CommandError(mistakes)
    return found


def refuse_hosts(places: Sequence[str], allowed: HostLists) -> None:
    """Hosts that are known now; the others are asked about by the engine, before it connects."""
    mistakes = []
    for position, place in enumerate(places):
        host = host_of(place)
        refused = None if host is None else refusing(host, allowed)
        if refused is not None:
            text = f"{host} may not be loaded here; allowed: {', '.join(refused) or 'loopback only'}"
            mistakes.append(Mistake(f"{PLACE}.tasks[{position}]", text, "the target's block or LOADFLOW_ALLOWED_HOSTS says so"))
    if mistakes:
        raise CommandError(mistakes)
