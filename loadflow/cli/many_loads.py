"""What the commands have in common that make many loads of one script to learn one thing: `capacity` and `campaign`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from loadflow.cli.variables import variables_option

if TYPE_CHECKING:
    from loadflow.engine.session.session import Session

__all__ = ["many_loads_options", "session_of"]

F = TypeVar("F", bound=Callable[..., object])


def many_loads_options(function: F) -> F:
    runs_dir = click.option(
        "--runs-dir", type=click.Path(file_okay=False), help="Folder for the runs. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    return variables_option(runs_dir(as_json(function)))


@contextmanager
def session_of(name: str, runs_dir: str | None, variables: dict[str, object], promise: str) -> Iterator[Session]:
    """The session of the block. The first Ctrl-C ends the load that is going on, and raises Interrupted; `promise` says what is kept."""
    from loadflow.cli.stopping import StopSignals
    from loadflow.engine.session.session import Session, use_session
    from loadflow.errors import Interrupted

    with StopSignals(promise=promise) as stop, use_session(Session(name=name, runs_dir=runs_dir, variables=variables)) as session:
        session.observers.append(stop)
        try:
            yield session
        except KeyboardInterrupt:
            raise Interrupted(f"{stop.asked}: {promise}") from None
