"""What a user type is to a script: the form of its steps, what `host` must look like, and who compiles and sends them.

The code that sends is named, not imported: only the engine process may load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.script.mistakes import Fault

__all__ = ["Form", "UserType"]

# what is wrong with a host, and the way out
HostTrouble = tuple[str, str]


def _no_faults(step: StepJson, hosted: bool) -> Iterable[Fault]:
    return ()


def _any_host(host: str) -> HostTrouble | None:
    return None


def _never(step: StepJson) -> bool:
    return False


def _no_host(host: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Form:
    """How steps are written: `step` is the model of one in a list. `mapped` is that of one in a map, from which `methods` they have.

    `one_by_one`: the way out for who writes a batch, where a user can't send several steps at once; None where he can. `apart`: the way
    out for who writes such steps beside those of another user type; None where one user may do both.
    """

    step: type[StepBase]
    methods: tuple[str, ...] = ()
    mapped: type[StepBase] | None = None
    one_by_one: str | None = "write its steps one after the other; a batch is for fast_http_user and http_user"
    apart: str | None = None


@dataclass(frozen=True, slots=True)
class UserType:
    """One value of `user_detail_dict.user`.

    `prepare` names the class that compiles a step (`PreparedStep`, made with step, plan and compiler); it is also imported by the
    process that checks the script, so its module may not import gevent. `protocol` names a `UserProtocol`, for the engine process
    alone. Both are written "package.module:NAME". `host` says what is wrong with a `host` without placeholders, and `faults` what is
    wrong with a step as it is written, given whether the test has a host: both before anything is sent. `gather`, where a step needs
    more than the script says (the interface of a server), names what looks it up before the load; see `Gather` in load/build.py.
    `asks`: whether a step's look-up asks a server; a check leaves such steps to the start of the load.
    `has_fields`: its answers have header fields, of which one may say the target's build.
    `traced`: its requests can carry a `traceparent`; they are `Traceable` then, see generator/tracing.py.
    `whom`: the keys of a step that say whom it asks, where a step that has none of them asks the `host`. `host_beside`: what its steps take
    of the `host` of a test whose own user type is another; None: nothing.
    """

    name: str
    form: Form
    prepare: str
    protocol: str
    host: Callable[[str], HostTrouble | None] = _any_host
    faults: Callable[[StepJson, bool], Iterable[Fault]] = _no_faults
    gather: str = ""
    asks: Callable[[StepJson], bool] = _never
    traced: bool = False
    has_fields: bool = False
    whom: tuple[str, ...] = ()
    host_beside: Callable[[str], str | None] = _no_host
