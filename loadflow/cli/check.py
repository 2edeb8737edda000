"""`loadflow check`: lists everything that is wrong with scripts, without running them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from loadflow.cli.boundary import USAGE, print_mistakes, print_warnings
from loadflow.cli.console import Styled, echo
from loadflow.cli.variables import variables_option
from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject

if TYPE_CHECKING:
    from loadflow.engine.proving.proof import Proof
    from loadflow.engine.session.checking import Checking

__all__ = ["check"]

MAKERS = {"native": "the native core", "locust": "Locust"}


@click.command(short_help="Check scripts without running them.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@variables_option
@click.option(
    "--from",
    "origin",
    type=click.Choice(["auto", "loaddensity", "loadflow"]),
    default="auto",
    show_default=True,
    help="The tool that the scripts were written for. For loaddensity, warn if something means something else here. auto: loaddensity, "
    "unless a script uses a word that only loadflow has.",
)
@click.option("--strict", is_flag=True, help="Count warnings as mistakes.")
@click.option(
    "--prove", is_flag=True, help="Of Python files: run what is traced, 200 passes as steps and as Python, and compare the requests."
)
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], variables: dict[str, object], origin: str, strict: bool, prove: bool) -> None:
    """Check action scripts completely, and print every mistake with its place and a way out.

    Of Python files the scenarios are checked: how each of their functions runs, and why. The files are imported. Of users of several
    protocols it is said who makes their load, and why not the native core.

    The files, environment variables and secrets that the scripts name are checked too: CSV files, certificates, uploads, .proto files.
    Nothing is sent to any server, and no file is written.

    With --prove each traced function also runs, both ways, against a server that the command starts on this machine for it. The server
    answers what the steps want, and in some passes not; requests are compared by method, path, headers, body and order.

    Exit codes: 0 if all scripts can be run as written, also with warnings; 2 if one can't, or with --strict if there is a warning. With
    --prove also 1 if a function sends something else than its steps, and 3 if one could not be proved.
    """
    from loadflow.cli.proving import exit_code_of
    from loadflow.cli.scenario_file import is_scenario_file
    from loadflow.engine.load_test.names import merged_names
    from loadflow.engine.loaddensity.migrate import changes_of, warnings_of
    from loadflow.engine.script.document import read_script
    from loadflow.engine.session.checking import Checking, unused_variables
    from loadflow.engine.session.session import Session
    from loadflow.errors import ScriptError

    if prove and (scripts := [file for file in files if not is_scenario_file(file)]):
        raise click.UsageError(f"--prove is for Python files, which {scripts[0]} is not")
    wrong = False
    proofs: list[Proof] = []
    checks = []
    for file in files:
        session = Session(variables=variables)
        session.store_url = "sqlite:///store.db"  # stands for the store that a deployment may name
        checking = Checking(session)
        checks.append(checking)
        changes, warnings = [], []
        if is_scenario_file(file):
            wrong = not _check_scenarios(file, checking, proofs if prove else None) or wrong
            continue
        try:
            document = read_script(file, from_terminal=True)
            changes = [] if origin == "loadflow" else changes_of(document, read=read_script, always=origin == "loaddensity")
            warnings = [*warnings_of(changes), *merged_names(document)]
            script = checking.script(document, source=file)
        except ScriptError as error:
            wrong = True
            print_mistakes(error.mistakes, error.source or file)
        else:
            actions = len(script.actions)
            echo(f"{file}: ", Styled("ok", fg="green"), f", {counted(actions, 'action')}")
            for protocols, engine, why in dict.fromkeys(checking.engines):
                echo(f"  a load of {', '.join(protocols)}: made by {MAKERS[engine]}{f', as {why}' if why else ''}")
        if warnings:
            wrong = wrong or strict
            print_warnings(warnings, file)
        for changed in dict.fromkeys(change.file or file for change in changes):
            echo(f"  `loadflow migrate {changed}` writes what it meant in LoadDensity; see docs/loaddensity.md", err=True)
    if not wrong and (unused := unused_variables(checks, list(variables))):
        wrong = True
        print_mistakes(unused, "; ".join(files))
    ctx.exit(USAGE if wrong else exit_code_of(proofs))


def _check_scenarios(file: str, checking: Checking, proofs: list[Proof] | None) -> bool:
    """Print how the functions of each scenario run; whether all can. Those that are traced are proved, where `proofs` is a list for it."""
    from loadflow.cli.proving import print_proofs
    from loadflow.cli.scenario_file import print_traces, traces_of
    from loadflow.engine.scenario.loading import ALLOW
    from loadflow.engine.scenario.script import own_places, script_of
    from loadflow.errors import ScriptError

    os.environ[ALLOW] = "1"
    well = True
    try:
        for made, trace in traces_of(file):
            document: JsonObject = {}
            try:
                document = script_of(made, trace, file)
                checking.script(document, source=file, name=made.name)
            except ScriptError as error:
                well = False
                print_mistakes(own_places(error.mistakes, made, document), f"{file}: {made.name}")
            else:
                echo(f"{file}: {made.name}: ", Styled("ok", fg="green"))
            print_traces(made, trace)
            if proofs is not None and well:
                proofs += print_proofs(made, trace, file)
    except ScriptError as error:
        print_mistakes(error.mistakes, error.source or file)
        return False
    return well
