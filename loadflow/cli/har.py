"""`loadflow har`: a script from a browser's or a proxy's recording."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

__all__ = ["har"]

SHOWN = 12  # lines of each section of the report, unless all are asked for


@click.command(short_help="Make a script from a HAR recording.")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the script. [default: stdout]")
@click.option("--include", multiple=True, metavar="REGEX", help="Keep URLs in which this is found. May be given several times.")
@click.option("--exclude", multiple=True, metavar="REGEX", help="Leave out URLs in which this is found. May be given several times.")
@click.option("--think-time", metavar="recorded|SCALE", help="Wait between pages as recorded, or that times SCALE. [default: don't]")
@click.option(
    "--secrets", type=click.Choice(["lift", "keep"]), default="lift", help="Put placeholders for secrets, or keep them. [default: lift]"
)
@click.option("--user", default="fast_http_user", show_default=True, help="The user type that plays it.")
@click.option("--users", default=10, show_default=True, help="How many users.")
@click.option("--spawn-rate", default=5.0, show_default=True, help="Users started a second.")
@click.option("--test-time", default=60.0, show_default=True, help="Seconds.")
@click.option("--report", "whole", is_flag=True, help=f"Print the whole report, not only {SHOWN} lines of each part.")
def har(
    file: str,
    output: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    think_time: str | None,
    secrets: str,
    user: str,
    users: int,
    spawn_rate: float,
    test_time: float,
    whole: bool,
) -> None:
    """Make a script that plays what FILE recorded: an export of Chrome, Firefox, Safari, mitmproxy, Charles or any HAR 1.2.

    The report on stderr says what was left out and why, which values are taken from responses, and which secrets have to be set
    in the environment before the script runs.
    """
    from loadflow.engine.recording.convert import Options, convert
    from loadflow.engine.recording.document import action_document

    conversion = convert(file, Options.of(include, exclude, _think_time(think_time), secrets))
    for line in conversion.report.lines(None if whole else SHOWN):
        click.echo(line, err=True)
    text = json.dumps(action_document(conversion, user, users, spawn_rate, test_time), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    _write(Path(output), f"{text}\n")
    click.echo(f"wrote {output}", err=True)


def _think_time(asked: str | None) -> str | dict[str, Any] | None:
    if asked is None:
        return None
    try:
        return {"scale": float(asked)}
    except ValueError:
        return asked


def _write(path: Path, text: str) -> None:
    """By rename, so that no half script is ever there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
