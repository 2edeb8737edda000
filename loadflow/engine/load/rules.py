"""Rules from outside the script that a plan must follow: the target's address and headers, secrets, allowed hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.connections import Route
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.proxies import port_of
from loadflow.engine.plan.target import TargetRules, host_of, is_this_machine_by_name, refusing
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.resolve.secret_values import PLACE
from loadflow.errors import CommandError, Mistake

__all__ = ["hosted", "refuse_plain", "refuse_routes", "with_headers"]

PROXY_PLACE = "LD_start_test.user_detail_dict.proxy"


def hosted(arguments: JsonMapping, rules: TargetRules) -> JsonMapping:
    """With the target's base URL where the script names no host, its Prometheus where it names none, and its conditions."""
    if rules.prometheus and not arguments.get("prometheus"):
        arguments = {**arguments, "prometheus": rules.prometheus}
    if rules.only_if:
        arguments = {**arguments, "only_if": [*rules.only_if, *(arguments.get("only_if") or [])]}
    detail = arguments.get("user_detail_dict")
    if rules.base_url is None or arguments.get("host") or (isinstance(detail, Mapping) and detail.get("host")):
        return arguments
    return {**arguments, "host": rules.base_url}


def with_headers(steps: tuple[JsonObject, ...], types: Sequence[UserType], rules: TargetRules) -> tuple[JsonObject, ...]:
    """The steps, which are of these types, with the target's header fields where they can have them."""
    if not rules.headers:
        return steps
    return tuple(
        {**step, "headers": _merged(rules.headers, step.get("headers") or {})} if "headers" in one.form.step.model_fields else step
        for step, one in zip(steps, types, strict=True)
    )


def _merged(all_have: Mapping[str, str], own: Mapping[str, object]) -> dict[str, object]:
    named = {name.lower() for name in own}
    return {**{name: value for name, value in all_have.items() if name.lower() not in named}, **own}


def refuse_routes(places: Sequence[str], plan: Plan) -> None:
    """Hosts and proxies that are known now; the others are asked about by the engine, before it connects."""
    mistakes: dict[Mistake, None] = {}
    for position, place in enumerate(places):
        host = host_of(place)
        if host is None:
            continue
        try:
            route = _route(place, host, plan)
        except ValueError as error:
            mistakes[Mistake(PROXY_PLACE, str(error), 'write "proxy": "" for none, or add the target to NO_PROXY')] = None
            continue
        for one in (host, route.host) if route.proxy is not None else (route.host,):
            refused = refusing(one, plan.allowed_hosts)
            if refused is not None and not is_this_machine_by_name(one):
                text = f"{one} may not be loaded here; allowed: {', '.join(refused) or 'loopback only'}"
                mistakes[Mistake(f"{PLACE}.tasks[{position}]", text, "the target's block or LOADFLOW_ALLOWED_HOSTS says so")] = None
    if mistakes:
        raise CommandError(list(mistakes))


def refuse_plain(places: Sequence[str], plan: Plan) -> None:
    """HTTP/3 is within TLS: URLs that are known now and have none."""
    if plan.http_version != 3:
        return
    mistakes = [
        Mistake(f"{PLACE}.tasks[{position}]", f"{place} has no TLS, and HTTP/3 has no other", "write https://, or leave http_version out")
        for position, place in enumerate(places)
        if urlsplit(place).scheme == "http"
    ]
    if mistakes:
        raise CommandError(mistakes)


def _route(place: str, host: str, plan: Plan) -> Route:
    scheme = urlsplit(place).scheme
    if plan.connections.is_direct or scheme not in ("http", "https"):
        return Route(host, 0)
    return plan.connections.route(scheme, host.lower(), port_of(place) or 0)
