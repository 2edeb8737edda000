"""`--var key=value`: what a variable on the command line is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["parse_assignment", "variables_option"]

F = TypeVar("F", bound=Callable[..., Any])


def parse_assignment(text: str) -> tuple[str, Any]:
    """Name and value; the value is JSON where it parses as JSON, else the text itself. Raises ValueError without `=` or a name.

    >>> parse_assignment("users=50"), parse_assignment("base=http://127.0.0.1:8000"), parse_assignment('zip="01234"')
    (('users', 50), ('base', 'http://127.0.0.1:8000'), ('zip', '01234'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is not of the form name=value")
    try:
        return name.strip(), json.loads(value, parse_constant=_no_constant)
    except ValueError:
        return name.strip(), value


def _no_constant(text: str) -> Any:
    # NaN and Infinity are not JSON, though Python reads them
    raise ValueError(text)


def _collect(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    try:
        return dict(parse_assignment(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def variables_option(function: F) -> F:
    return click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_collect,
        help="Set ${var.NAME}; JSON where it parses as JSON, else text. May be given several times.",
    )(function)
