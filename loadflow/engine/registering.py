"""The commands that set variables and data sources of the current session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from loadflow.engine.resolve.data import CsvSource
from loadflow.engine.script.mistakes import faults_of, mistakes_of
from loadflow.engine.script.model import CsvSource as CsvSourceArguments
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["clear_resolver", "register_csv_source", "register_csv_sources", "register_variable", "register_variables"]


def register_variable(name: str, value: Any) -> None:
    """Set `${var.name}` for the tests that start later. Any JSON value; a whole-string placeholder keeps its type."""
    current_session().variables.register(name, value)


def register_variables(variables: dict[str, Any]) -> None:
    """Set several variables at once."""
    current_session().variables.register_many(variables)


def register_csv_source(name: str, file_path: str, cycle: bool | None = None, mode: str | None = None, seed: int | None = None) -> None:
    """Bind a CSV file with a header row to `${csv.name.column}`.

    `mode`: cycle (default; from the start again at the end), once (a step that needs a row after the last one fails) or
    random (seeded by `seed`). `cycle=False` is the older way to say once.
    """
    optional = {"cycle": cycle, "mode": mode, "seed": seed}
    register_csv_sources([{"name": name, "file_path": file_path, **{key: value for key, value in optional.items() if value is not None}}])


def register_csv_sources(sources: list[dict[str, Any]]) -> None:
    """Bind several CSV files; each entry as `register_csv_source` takes it. All are bound, or none."""
    current_session().variables.register_sources(csv_sources(sources))


def csv_sources(sources: Sequence[Mapping[str, Any]]) -> list[CsvSource]:
    """Validated sources; raises CommandError naming the entry."""
    found = []
    mistakes: list[Mistake] = []
    for position, source in enumerate(sources):
        try:
            one: Any = CsvSourceArguments.model_validate(source)
        except ValidationError as error:
            faults = faults_of(error, keys=CsvSourceArguments.model_fields, noun=CsvSourceArguments.noun)
            mistakes.extend(mistakes_of(faults, source, f"sources[{position}]"))
        else:
            found.append(CsvSource(one.name, one.file_path, one.order(), one.seed))
    if mistakes:
        raise CommandError(mistakes)
    return found


def clear_resolver() -> dict[str, str]:
    """Forget all variables and CSV sources of this session."""
    current_session().variables.clear()
    return {"status": "cleared"}
