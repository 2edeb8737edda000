"""`--var key=value`: what a variable on the command line is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import NoReturn, TypeVar

import click

from loadflow.engine.base.json_reading import read_json

__all__ = ["assignments", "parse_assignment", "variables_option"]

F = TypeVar("F", bound=Callable[..., object])


def parse_assignment(text: str) -> tuple[str, object]:
    """Name and value. The value is parsed as JSON if it is JSON, else it is the text itself. Raises ValueError without `=` or a name.

    A number counts as a number only if sending it gives the same text: `1.10` is a version, `12e45678` a commit, `007` an agent.

    >>> parse_assignment("users=50"), parse_assignment("base=http://127.0.0.1:8000"), parse_assignment('zip="01234"')
    (('users', 50), ('base', 'http://127.0.0.1:8000'), ('zip', '01234'))
    >>> parse_assignment("version=1.10")
    ('version', '1.10')
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is not of the form name=value")
    try:
        read = read_json(value, parse_constant=_no_constant, parse_float=_finite)
    except ValueError:
        return name.strip(), value
    if isinstance(read, int | float) and json.dumps(read) != value.strip():
        return name.strip(), value
    return name.strip(), read


def _no_constant(text: str) -> NoReturn:
    # NaN and Infinity are not JSON, though Python reads them
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(text)


def assignments(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, object]:
    """For options that take NAME=VALUE several times."""
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
        callback=assignments,
        help="Set ${var.NAME}, with priority over the script. VALUE is JSON or text. Can be given several times.",
    )(function)
