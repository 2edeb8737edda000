"""`python_user`: steps that are functions of a scenario's class, which Python runs for each pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.http.user import FAST_HTTP_USER
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.protocols.model.user_type import Form, UserType
from loadflow.engine.protocols.python.place import place_trouble
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import Name, Text

__all__ = ["PYTHON_USER", "CallStep"]

# what a function says itself
IN_PYTHON = ("run_if", "skip_if", "think_time", "throttle", "retry", "assertions", "extract")


def _call(text: str) -> str:
    if trouble := place_trouble(text):
        raise wrong(trouble, "for example shop.py:Shop.browse")
    return text


class CallStep(StepBase):
    """`call`: a method of a scenario's class, as FILE.py:CLASS.METHOD. Each request that it makes is a hit."""

    noun: ClassVar[str] = "a step of python_user"
    call: Annotated[Name, AfterValidator(_call)]
    headers: dict[str, Text] | None = None


def _faults(step: StepJson, hosted: bool) -> Iterable[Fault]:
    for key in IN_PYTHON:
        if step.get(key) is not None:
            yield Fault((key,), "has no meaning for a function of Python", "say it in the function")
    if not hosted:
        yield Fault(("call",), "makes requests relative to a host, and there is none", "set host")


PYTHON_USER = UserType(
    "python_user",
    Form(
        CallStep,
        one_by_one="a function sends several requests at once with client.batch",
        apart="a function speaks other protocols itself: client.websocket, client.grpc, client.mqtt, client.socket, client.redis",
    ),
    "loadflow.engine.protocols.python.call:Call",
    "loadflow.engine.protocols.python.protocol:PYTHON",
    FAST_HTTP_USER.host,
    _faults,
    gather="loadflow.engine.protocols.python.call:gather",
    has_fields=True,
)
