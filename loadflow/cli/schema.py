"""`loadflow schema`: what an editor or another program needs to check scripts."""

from __future__ import annotations

import click

from loadflow.cli.console import echo_json

__all__ = ["schema"]


@click.command(short_help="Print the JSON Schema of scripts.")
def schema() -> None:
    """Print the JSON Schema (2020-12) of an action script, made from the models that `loadflow check` uses."""
    from loadflow.engine.load_test.schema import script_schema
    from loadflow.engine.session.session import Session

    echo_json(script_schema(Session().commands))
