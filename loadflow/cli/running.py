"""Runs checked scripts, one after the other, each in a session of its own, and shows what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from loadflow.cli.boundary import USAGE, print_mistakes
from loadflow.cli.closing import print_places, print_summary, print_verdict
from loadflow.cli.console import console_for, echo_json
from loadflow.cli.live import Lines, Panels, view_for
from loadflow.cli.live_server import live_page
from loadflow.cli.options import RunOptions
from loadflow.cli.outcome import ActionOutcome, ScriptOutcome, document_of
from loadflow.cli.stopping import StopSignals
from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.records.summing import summary_of
from loadflow.engine.session.checking import Checking, unused_variables
from loadflow.engine.session.execute import Results, run_actions, verdict_of
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import Interrupted, ScriptError

if TYPE_CHECKING:
    from loadflow.engine.script.document import Script

__all__ = ["Checked", "check_all", "run_all"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A script that can be run as written, and the session it will run in."""

    script: Script
    session: Session
    source: str


def check_all(sources: Mapping[str, Callable[[], object]], options: RunOptions) -> list[Checked]:
    """Read and check every script, given as file ("": none) to reader; where any is wrong, print all mistakes of all and exit."""
    checked = []
    wrong: list[ScriptError] = []
    checks: list[Checking] = []
    try:
        workers = options.agents()
    except ScriptError as error:
        print_mistakes(error.mistakes, "")
        raise click.exceptions.Exit(USAGE) from None
    for source, read in sources.items():
        session = Session(
            label=options.label, runs_dir=options.runs_dir, report_dir=options.report_dir, variables=options.variables, workers=workers
        )
        checking = Checking(session)
        checks.append(checking)
        try:
            script = checking.script(read(), source=source, name=_name(source))
        except ScriptError as error:
            wrong.append(ScriptError(error.mistakes, error.source or source))
        else:
            session.name = script.name
            checked.append(Checked(script, session, source or script.name))
    if not wrong and (unused := unused_variables(checks, list(options.variables))):
        wrong.append(ScriptError(unused, "; ".join(sources)))
    for one in wrong:
        print_mistakes(one.mistakes, one.source)
    if wrong:
        raise click.exceptions.Exit(USAGE)
    return checked


def _name(source: str) -> str:
    return Path(source).stem if source else "script"


def run_all(scripts: Sequence[Checked], options: RunOptions) -> int:
    """Run them in order and return the exit code; one that was interrupted is the last."""
    # results on stdout, progress on stderr: so `loadflow run … > file` shows the load and keeps the table
    out = console_for(stderr=options.as_json)
    err = console_for(stderr=True)
    outcomes = []
    with live_page(scripts[0].session.runs_dir, err) if options.live and scripts else nullcontext() as page:
        for number, checked in enumerate(scripts, start=1):
            if len(scripts) > 1:
                err.print(Text(f"[{number}/{len(scripts)}] {checked.source}", style="bold"))
            outcome = run_one(checked, options, err, page)
            outcomes.append(outcome)
            show(out, outcome, options)
            if outcome.verdict.kind is VerdictKind.INTERRUPTED:
                break
    if len(scripts) > 1 and not options.as_json:
        for outcome in outcomes:
            out.print(Text(f"{outcome.verdict.kind}  {outcome.source}"), soft_wrap=True)
    if options.as_json:
        echo_json(document_of(outcomes))
    return worst(outcome.verdict for outcome in outcomes).exit_code


def run_one(checked: Checked, options: RunOptions, err: Console, page: Observer | None = None) -> ScriptOutcome:
    """Run one script to its end, however it ends. `page` watches it, too."""
    view = None if options.quiet else view_for(err)
    session = checked.session
    with StopSignals(before_end=view.close if view else lambda: None) as stop:
        session.observers.extend([stop, *([page] if page else []), *([view] if view else [])])
        try:
            results = _direct(checked) if options.direct else _as_flow(checked, view)
        except Interrupted as error:
            return _cut_off(checked, str(error), stop)
        except KeyboardInterrupt:
            return _cut_off(checked, "stopped", stop)
        finally:
            if view:
                view.close()
    if stop.asked and results.verdict.kind is VerdictKind.ERROR:  # an error that the KeyboardInterrupt came out as
        return _cut_off(checked, "stopped", stop)
    redactor = redactor_of(session, *([one.action.name, one.action.arguments] for one in results.results))
    actions = tuple(ActionOutcome.of(one, redactor) for one in results.results)
    return ScriptOutcome(checked.source, results.verdict, tuple(session.all_runs), actions)


def _direct(checked: Checked) -> Results:
    with use_session(checked.session):
        return run_actions(checked.script, checked.session)


def _as_flow(checked: Checked, view: Lines | Panels | None) -> Results:
    from loadflow.cli.prefect_run import run_as_flow

    if view:
        view.console.print("starting Prefect…", style="dim")
    return run_as_flow(checked.script, checked.session)


def _cut_off(checked: Checked, why: str, stop: StopSignals) -> ScriptOutcome:
    """The end was requested: prints the runs so far and the verdict interrupted."""
    runs = tuple(checked.session.all_runs)
    verdict = verdict_of(checked.session, ())
    if verdict.kind is not VerdictKind.INTERRUPTED:
        verdict = worst((verdict, Verdict(VerdictKind.INTERRUPTED, (f"{why} ({stop.asked})" if stop.asked else why,))))
    return ScriptOutcome(checked.source, verdict, runs)


def show(console: Console, outcome: ScriptOutcome, options: RunOptions) -> None:
    """The end of one script, for people."""
    if outcome.runs and not options.quiet:
        print_summary(console, summary_of(outcome.runs))
    print_verdict(console, outcome.verdict)
    if not options.quiet:
        print_places(console, outcome.places())
