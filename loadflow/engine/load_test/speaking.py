"""Which user type speaks each step of a test, and what those that are not the test's own take of its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.load_test.user_types import known_user_types, user_type_names, user_type_of
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.script.mistakes import Fault, Loc, faults_of
from loadflow.engine.script.part import Choice
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.visit import steps_of_test

__all__ = ["faults_of_hosts", "faults_of_steps", "host_of", "own_type", "spoken", "whose_key"]


def own_type(test: Mapping[str, object]) -> UserType | None:
    """The user type of a test as it was written; None where it is none that is known."""
    detail = test.get("user_detail_dict")
    return user_type_of(detail.get("user", "fast_http_user")) if isinstance(detail, Mapping) else None


def spoken(steps: Iterable[JsonObject], own: UserType) -> tuple[JsonObject, ...]:
    """The steps, with `user` where they are of another type than `own`, and each type by one name: http_user is fast_http_user."""
    named: list[UserType] = [own]
    found = []
    for step in steps:
        rest = {key: value for key, value in step.items() if key != "user"}
        user_type = user_type_of(step.get("user")) or own
        same = next((one for one in named if one.form == user_type.form), None)
        if same is None:
            named.append(same := user_type)
        found.append(rest if same is own else {"user": same.name, **rest})
    return tuple(found)


def host_of(user_type: UserType, own: UserType, host: str | None, hosts: Mapping[str, str]) -> str | None:
    """What steps of `user_type` ask that do not say whom, in a test of `own` users with this `host` and these `hosts`."""
    if user_type.form == own.form:
        return host
    for name, one in hosts.items():
        named = user_type_of(name)
        if named is not None and named.form == user_type.form:
            return one
    return None if host is None else user_type.host_beside(host)


def faults_of_steps(test: JsonMapping, hosted: bool) -> Iterator[Fault]:
    """What the user types find wrong with their steps. `hosted`: whether the test has a host, though it names none."""
    own = own_type(test)
    if own is None:
        return
    detail, hosts = test["user_detail_dict"], test.get("hosts")
    host = test.get("host") or detail.get("host")
    host = host if isinstance(host, str) else None
    hosts = {name: one for name, one in hosts.items() if isinstance(one, str)} if isinstance(hosts, Mapping) else {}
    for loc, step in steps_of_test(test):
        user_type = user_type_of(step.get("user", own.name))
        is_own = user_type is not None and user_type.form == own.form
        if user_type is None or (not is_own and (own.form.apart or user_type.form.apart)):  # which the model says
            continue
        has_host = (is_own and (hosted or host is not None)) or host_of(user_type, own, host, hosts) is not None
        found = list(user_type.faults(step, has_host))
        if not is_own and not has_host and user_type.whom and not any(step.get(key) for key in user_type.whom):
            text = f"is missing: host is for steps of {own.name}, and this one is of {user_type.name}"
            found.append(Fault((user_type.whom[0],), text, f'write it, or beside tasks "hosts": {{"{user_type.name}": "host:port"}}'))
        yield from (Fault((*loc, *fault.loc), fault.message, fault.hint) for fault in found)


def faults_of_hosts(hosts: Mapping[str, str], own: UserType | None, final: bool) -> Iterator[Fault]:
    """What is wrong with `hosts`; `final`: its placeholders have been filled in."""
    for name, host in hosts.items():
        try:
            Choice("user type", user_type_names()).read(name)
        except ValidationError as error:
            yield from (Fault((name, *fault.loc), fault.message, fault.hint) for fault in faults_of(error))
            continue
        user_type = user_type_of(name)
        assert user_type is not None
        if own is not None and user_type.form == own.form:
            yield Fault((name,), "is the test's own user", "write host")
        elif has_placeholder(host):
            if final:
                yield Fault((name,), "still holds a placeholder", "its value must be known before the run starts")
        elif trouble := user_type.host(host):
            yield Fault((name,), *trouble)


def whose_key(test: Mapping[str, object], fault: Fault) -> Fault:
    """The same fault; of a key that steps of other user types have, with the way to write one of those."""
    if not fault.loc or not isinstance(key := fault.loc[-1], str) or key == "user":
        return fault
    own = own_type(test)
    step: Any = _at(test, fault.loc[:-1])
    user_type = user_type_of(step.get("user", own.name)) if own is not None and isinstance(step, Mapping) else None
    if user_type is None or key not in step or key in _keys(user_type) or not _is_step(step):
        return fault
    others = [one.name for one in known_user_types() if key in _keys(one) and not one.form.apart]
    if not others or user_type.form.apart:
        return fault
    return Fault(fault.loc, fault.message, f'it is a key of {", ".join(others)}; a step of another user says so: "user": "{others[0]}"')


def _keys(user_type: UserType) -> set[str]:
    return set(user_type.form.step.keys())


def _is_step(written: Mapping[str, object]) -> bool:
    return not {"batch", "steps", "tasks", "mode"} & written.keys()


def _at(holder: Any, loc: Loc) -> object:
    for part in loc:
        try:
            holder = holder[part]
        except (LookupError, TypeError):
            return None
    return holder
