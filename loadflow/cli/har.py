"""`loadflow har`: an action script from a recording."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["har"]


@click.command(short_help="Make a script from a HAR recording.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the script. [default: stdout]")
@click.option("--include", multiple=True, metavar="REGEX", help="Only URLs that it is found in; may be given again.")
@click.option("--exclude", multiple=True, metavar="REGEX", help="No URLs that it is found in; may be given again.")
@click.option("--think-time", is_flag=True, help="Pause where the recording paused.")
@click.option("--keep-secrets", is_flag=True, help="Write passwords and tokens into the script instead of ${env.NAME}.")
@click.option("--user", default="fast_http_user", show_default=True, help="The client that sends: fast_http_user or http_user.")
@click.option("--user-count", type=int, default=10, show_default=True)
@click.option("--spawn-rate", type=float, default=5, show_default=True, help="Users started per second.")
@click.option("--test-time", type=float, default=60, show_default=True, help="Seconds.")
def har(
    file: str,
    output: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    think_time: bool,
    keep_secrets: bool,
    user: str,
    user_count: int,
    spawn_rate: float,
    test_time: float,
) -> None:
    """Convert the HAR recording FILE of a browser or proxy to an action script, reading it entry by entry.

    Prints what was left out, which values were correlated and which environment variables the script needs (to stderr when the
    script goes to stdout).
    """
    from loadflow.engine.recording.convert import convert_har

    made = convert_har(file, list(include), list(exclude), think_time=think_time, keep_secrets=keep_secrets)
    text = json.dumps(made.document(user, user_count, spawn_rate, test_time), indent=2, ensure_ascii=False)
    if output:
        path = Path(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(f"{text}\n", encoding="utf-8")
        part.replace(path)
    else:
        click.echo(text)
    for line in made.report.lines():
        click.echo(line, err=not output)
