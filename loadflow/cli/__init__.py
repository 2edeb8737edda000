"""The command line. One noun a file; each command imports what it needs when it runs, so that `--help` stays quick."""

from __future__ import annotations

import importlib
import logging

import click

from loadflow.cli.boundary import Boundary
from loadflow.engine.base.visible import VisibleFormatter

__all__ = ["main"]

# name: module and attribute, in the order of `--help`
COMMANDS = {
    "run": "loadflow.cli.run:run",
    "run-dir": "loadflow.cli.run_dir:run_dir",
    "run-str": "loadflow.cli.run_str:run_str",
    "check": "loadflow.cli.check:check",
    "script": "loadflow.cli.script:script",
    "test": "loadflow.cli.functional_test:test",
    "migrate": "loadflow.cli.migrate:migrate",
    "schema": "loadflow.cli.schema:schema",
    "init": "loadflow.cli.init:init",
    "har": "loadflow.cli.har:har",
    "report": "loadflow.cli.report:report",
    "reports": "loadflow.cli.reports:reports",
    "runs": "loadflow.cli.runs:runs",
    "compare": "loadflow.cli.compare:compare",
    "history": "loadflow.cli.history:history",
    "judge": "loadflow.cli.judge:judge",
    "capacity": "loadflow.cli.capacity:capacity",
    "campaign": "loadflow.cli.campaign:campaign",
    "verify": "loadflow.cli.verify:verify",
    "approve": "loadflow.cli.approve:approve",
    "rerun": "loadflow.cli.rerun:rerun",
    "serve": "loadflow.cli.serve:serve",
    "agent": "loadflow.cli.agent:agent",
    "agents": "loadflow.cli.agents:agents",
    "resume": "loadflow.cli.resume:resume",
    "deploy": "loadflow.cli.deploy:deploy",
    "automations": "loadflow.cli.automations:automations",
    "commands": "loadflow.cli.commands:commands",
    "calibrate": "loadflow.cli.calibrate:calibrate",
    "doctor": "loadflow.cli.doctor:doctor",
}


# how LoadDensity's command line said it, and what to write here
OLD_WORDS = {
    **dict.fromkeys(("-e", "--execute_file"), "loadflow run FILE"),
    **dict.fromkeys(("-d", "--execute_dir"), "loadflow run-dir DIR"),
    **dict.fromkeys(("-c", "--create_project"), "loadflow init PATH"),
    "--execute_str": "loadflow run-str JSON",
    "bench": "loadflow run-str with a script of one step",
    "shell": "python, and from loadflow import execute_action",
}


class Main(Boundary):
    """Finds its commands in COMMANDS."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in OLD_WORDS:
            raise click.UsageError(f"{args[0]} is a word of LoadDensity; here it is: {OLD_WORDS[args[0]]}", ctx)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            if args[0] == "worker":  # of 1.0
                raise click.UsageError("a worker is an agent now: loadflow agent --nats-url nats://HOST:PORT", ctx)
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see `loadflow --help`."
            raise click.UsageError(f"No such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="loadflow", message="loadflow %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Run load tests as Prefect flows: JSON action scripts in; records, reports and a verdict out."""
    ctx.obj = {"debug": debug}
    if logging.lastResort is not None:  # the handler that writes warnings if logging was not set up
        logging.lastResort.setFormatter(VisibleFormatter())
