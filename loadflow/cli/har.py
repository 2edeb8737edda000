"""`loadflow har`: a script from a browser's or a proxy's recording."""

from __future__ import annotations

import json
from pathlib import Path

import click

from loadflow.cli.console import echo, echo_lines
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.visible import visible_json

__all__ = ["har"]

SHOWN = 12  # lines of each section of the report, unless all are asked for


@click.command(short_help="Make a script from a HAR recording.")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the script. [default: stdout]")
@click.option("--include", multiple=True, metavar="REGEX", help="Keep only URLs that match this pattern. Can be given several times.")
@click.option("--exclude", multiple=True, metavar="REGEX", help="Leave out URLs that match this pattern. Can be given several times.")
@click.option(
    "--think-time", metavar="recorded|SCALE", help="Wait between pages as long as recorded, or SCALE times as long. [default: no wait]"
)
@click.option(
    "--secrets",
    type=click.Choice(["lift", "keep"]),
    default="lift",
    help="lift: replace secrets by placeholders; keep: leave them in the script. [default: lift]",
)
@click.option("--user", default="fast_http_user", show_default=True, help="The user type that sends the requests.")
@click.option("--users", default=10, show_default=True, help="Number of users.")
@click.option("--spawn-rate", default=5.0, show_default=True, help="Users started per second.")
@click.option("--test-time", default=60.0, show_default=True, help="Seconds that the load runs.")
@click.option("--report", "whole", is_flag=True, help=f"Print the whole report, not only the first {SHOWN} lines of each part.")
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
    """Make a script that repeats the requests recorded in FILE: an export of Chrome, Firefox, Safari, mitmproxy, Charles, or any HAR 1.2.

    The report on stderr lists what was left out and why, which values are extracted from responses, and which secrets you must set
    in the environment before the script runs.
    """
    from loadflow.engine.recording.convert import Options, convert
    from loadflow.engine.recording.document import action_document

    conversion = convert(file, Options.of(include, exclude, _think_time(think_time), secrets))
    for line in conversion.report.lines(None if whole else SHOWN):
        echo(line, err=True)
    text = json.dumps(action_document(conversion, user, users, spawn_rate, test_time), indent=2, ensure_ascii=False)
    if output is None:
        echo_lines(visible_json(text))
        return
    write_atomically(Path(output), f"{text}\n")
    echo(f"wrote {output}", err=True)


def _think_time(asked: str | None) -> str | dict[str, object] | None:
    if asked is None:
        return None
    try:
        return {"scale": float(asked)}
    except ValueError:
        return asked
