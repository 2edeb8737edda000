"""`loadflow schema`: what an editor or another program needs to check scripts."""

from __future__ import annotations

import json

import click

__all__ = ["schema"]


@click.command(short_help="Print the JSON Schema of scripts.")
def schema() -> None:
    """Print the JSON Schema (2020-12) of an action script, made from the models that `loadflow check` uses."""
    from loadflow.engine.script.schema import script_schema
    from loadflow.engine.session import Session

    click.echo(json.dumps(script_schema(Session().commands), indent=2, ensure_ascii=False))
