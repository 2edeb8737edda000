"""`loadflow test`: each task of a Python scenario once, as a functional test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from loadflow.cli.boundary import EXIT_CODE_HELP, USAGE, print_mistakes
from loadflow.cli.console import Styled, echo

__all__ = ["test"]


@click.command(short_help="Run each task of a Python scenario once.", epilog=EXIT_CODE_HELP)
@click.argument("file", type=click.Path())
@click.option("--scenario", "name", metavar="NAME", help="Only this one. [default: all of the file]")
@click.option("--target", "-t", metavar="URL", help="Where requests go. [default: $LOADFLOW_TARGET, or ./.env]")
@click.pass_context
def test(ctx: click.Context, file: str, name: str | None, target: str | None) -> None:
    """Run on_start, one task and on_stop for each task of the scenarios in the Python FILE, once and by one user, and say what failed.

    Before a load: does it do what it should? The records are not kept, and the exit code is that of the worst task.
    """
    from loadflow.cli.scenario_file import target_of
    from loadflow.engine.base.verdict import worst
    from loadflow.engine.scenario.loading import ALLOW, chosen, load_scenarios
    from loadflow.engine.scenario.script import once_of, script_of
    from loadflow.engine.scenario.tracing import trace
    from loadflow.engine.session.execute import load_script, run_actions
    from loadflow.engine.session.session import Session, use_session
    from loadflow.errors import ScriptError

    os.environ[ALLOW] = "1"
    address = target_of(target)
    verdicts = []
    try:
        found = load_scenarios(file)
        for made in [chosen(found, name, file)] if name is not None else found:
            document = script_of(made, trace(made), file)
            for task in made.tasks:
                with tempfile.TemporaryDirectory() as folder:
                    session = Session(runs_dir=Path(folder), variables={"target": address} if address else {})
                    script = load_script(once_of(document, task.name), session=session, name=task.name)
                    with use_session(session):
                        verdict = run_actions(script, session).verdict
                    verdicts.append(verdict)
                    passed = verdict.exit_code == 0
                    echo(Styled("ok    " if passed else "failed", fg="green" if passed else "red"), f"  {made.name}.{task.name}")
                    errors = session.all_runs[-1].summary().errors if session.all_runs else ()
                    for error in errors:
                        echo(f"          {error.method} {error.name}: {error.message}")
                    for reason in () if passed or errors else verdict.reasons:
                        echo(f"          {reason}")
    except ScriptError as error:
        print_mistakes(error.mistakes, error.source or file)
        ctx.exit(USAGE)
    ctx.exit(worst(verdicts).exit_code)
