"""LD_register_csv_sources: use several CSV files, or databases, for ${csv.NAME.COLUMN}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.load_test.model import CsvSource as CsvSourceArguments
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.script.mistakes import faults_of, mistakes_of
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["COMMAND", "register_csv_sources"]


def register_csv_sources(sources: list[JsonObject]) -> None:
    """Bind several CSV files or databases; each entry as `register_csv_source` takes it. All are bound, or none."""
    current_session().variables.register_sources(_checked(sources))


def _checked(sources: Sequence[Mapping[str, object]]) -> list[CsvSource]:
    """Validated sources; raises CommandError naming the entry."""
    found = []
    mistakes: list[Mistake] = []
    for position, source in enumerate(sources):
        try:
            one = CsvSourceArguments.model_validate(source)
        except ValidationError as error:
            faults = faults_of(error, keys=CsvSourceArguments.model_fields, noun=CsvSourceArguments.noun)
            mistakes.extend(mistakes_of(faults, source, f"sources[{position}]"))
        else:
            found.append(one.source())
    if mistakes:
        raise CommandError(mistakes)
    return found


COMMAND = Command(
    "LD_register_csv_sources",
    register_csv_sources,
    "Use several CSV files, or databases, for ${csv.NAME.COLUMN}.",
    QUICK,
    dry=True,
    sets=True,
    group="values",
    returns="null",
    example={"sources": [{"name": "users", "file_path": "users.csv"}]},
)
