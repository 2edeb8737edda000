"""The flows of deployments that `loadflow deploy` makes: the generic one, with a parameter for each of one script's variables.

Prefect calls a flow with the parameters of its signature. So the fields of a form are in the name of its flow: `form__base__users`
is the generic flow with the parameters `base`, `users` and those that every run has. It is made when it is imported.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from inspect import Parameter, Signature
from typing import Any

from prefect import Flow
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.states import Failed

from loadflow.flows.form import ADVANCED, FIXED, given_of
from loadflow.flows.run_events import not_run
from loadflow.flows.run_script import run_name, run_script

__all__ = ["entrypoint_of", "form_flow", "may_be_field"]

BETWEEN = "__"
PREFIX = "form"


def may_be_field(name: str) -> bool:
    """Whether a variable can be a parameter of its own.

    >>> [name for name in ("base", "user_id", "user.id", "class", "script", "a__b") if may_be_field(name)]
    ['base', 'user_id']
    """
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name) is not None
    return plain and not keyword.iskeyword(name) and name not in (*FIXED, ADVANCED)


def entrypoint_of(fields: Iterable[str]) -> str:
    """What a deployment with these fields runs; with dots only, because Prefect then copies no folder before it imports the flow."""
    return f"{__name__}.{BETWEEN.join([PREFIX, *fields])}"


def form_flow(fields: Iterable[str]) -> Flow[..., Any]:
    """The generic flow, with these parameters for variables."""

    def run(**form: Any) -> Any:
        try:
            parameters = run_script.validate_parameters(given_of(form))
        except (ParameterTypeError, SignatureMismatchError) as error:
            message = f"the run can't be started as it was asked for: {error}"
            not_run("error", run_name(), message)
            return Failed(name="Error", message=message)
        return run_script.fn(**parameters)

    names = (*FIXED, *fields, ADVANCED)
    vars(run)["__signature__"] = Signature([Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in names])
    return Flow(
        fn=run,
        name=run_script.name,
        description=run_script.description,
        flow_run_name=run_name,
        retries=0,  # see compile.py
        validate_parameters=False,
        persist_result=False,
    )


def __getattr__(name: str) -> Flow[..., Any]:
    prefix, *fields = name.split(BETWEEN)
    if prefix != PREFIX or not all(map(may_be_field, fields)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return form_flow(fields)
