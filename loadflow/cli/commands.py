"""`loadflow commands`: what a script may call."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo_json, echo_lines
from loadflow.engine.base.counted import counted

if TYPE_CHECKING:
    from loadflow.engine.script.command import Command, Policy

__all__ = ["commands", "markdown", "parameters_of", "policy_text"]

REQUIRED = inspect.Parameter.empty


@click.command(short_help="List the commands that a script may call.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print docs/commands.md.")
@click.option("--stub", "form", flag_value="stub", hidden=True)
def commands(form: str | None) -> None:
    """List every command that a script may call, with its parameters, task policy and summary."""
    from loadflow.engine.session.session import Session
    from loadflow.engine.session.table import TABLE

    builtins = [command for name, command in Session().commands.items() if name not in TABLE]
    match form:
        case "json":
            every = [*TABLE.values(), *builtins]
            echo_json([as_json(command) for command in every], default=repr)
        case "markdown":
            echo_lines(markdown(TABLE.values(), builtins), nl=False)
        case "stub":
            echo_lines(stub(TABLE.values()), nl=False)
        case _:
            print_list(TABLE.values(), builtins)


def by_group(table: Iterable[Command]) -> Iterator[tuple[str, list[Command]]]:
    """Title and commands of each group, in the order of the docs."""
    from loadflow.engine.script.command import GROUPS

    commands = list(table)
    for group, title in GROUPS.items():
        yield title, [command for command in commands if command.group == group]


def parameters_of(command: Command) -> dict[str, object]:
    """Name to default, in order; REQUIRED where there is none. Empty where the signature can't be read (some builtins)."""
    if command.arguments is not None:
        fields = command.arguments.model_fields
        return {
            field.alias or name: REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
            for name, field in fields.items()
        }
    try:
        signature = inspect.signature(command.function)
    except (TypeError, ValueError):
        return {}
    stars: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return {f"{stars.get(one.kind, '')}{one.name}": one.default for one in signature.parameters.values()}


def policy_text(policy: Policy) -> str:
    """How the command's task is run, in words.

    >>> from loadflow.engine.script.command import Policy
    >>> policy_text(Policy(retries=2, retry_delay_seconds=1, timeout_seconds=300))
    '2 retries after 1 s, ends after 300 s'
    """
    parts = []
    if policy.retries:
        parts.append(f"{counted(policy.retries, 'retry')} after {policy.retry_delay_seconds:g} s")
    if not policy.retry_safe:
        parts.append("retried only when nothing was sent or done")
    if policy.timeout_seconds is not None:
        parts.append(f"ends after {policy.timeout_seconds:g} s")
    return ", ".join(parts) or "–"


def as_json(command: Command) -> dict[str, object]:
    return {
        "name": command.name,
        "group": command.group,
        "summary": command.summary,
        "parameters": [
            {"name": name, "required": True} if default is REQUIRED else {"name": name, "required": False, "default": default}
            for name, default in parameters_of(command).items()
        ],
        "policy": {
            "retries": command.policy.retries,
            "retry_delay_seconds": command.policy.retry_delay_seconds,
            "timeout_seconds": command.policy.timeout_seconds,
            "on_error": command.policy.on_error,
            "retry_safe": command.policy.retry_safe,
        },
        "loads": command.loads,
        "returns": command.returns,
        "example": command.action if command.group else None,
    }


def markdown(table: Iterable[Command], builtins: Iterable[Command]) -> str:
    """docs/commands.md, which a test compares with this."""
    lines = [
        "# Commands",
        "",
        "What an action may name. Made from the commands' definitions by `loadflow commands --markdown`; don't edit it by hand.",
        "",
        'An action is `["NAME"]`, `["NAME", {parameters}]` or `["NAME", [values in order]]`; a third element sets the policy of this one',
        'action: `{"retries": 2, "retry_delay_seconds": 1, "timeout_seconds": 60, "on_error": "continue"}`.',
        "",
    ]
    examples = []
    for title, group in by_group(table):
        lines += [
            f"## {title}",
            "",
            "| command | parameters (`=` default) | returns | policy | what it does |",
            "|---|---|---|---|---|",
        ]
        for command in group:
            parameters = ", ".join(f"`{_parameter(name, default)}`" for name, default in parameters_of(command).items()) or "–"
            cells = (f"`{command.name}`", parameters, command.returns, policy_text(command.policy), command.summary)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
            examples.append(f"  {json.dumps(command.action, ensure_ascii=False)}")
        lines.append("")
    names = ", ".join(f"`{command.name}`" for command in builtins)
    lines += [
        "## Examples",
        "",
        "One action for each, as it stands in a script.",
        "",
        "```json",
        "[",
        ",\n".join(examples),
        "]",
        "```",
        "",
        "## Builtins",
        "",
        f"Functions of Python without side effects, called with values in order: {names}.",
        "",
        "Everything else, such as `eval`, `open` or `getattr`, can't be reached from a script.",
    ]
    return "\n".join(lines) + "\n"


def stub(table: Iterable[Command]) -> str:
    """loadflow/command_functions.pyi, from which type checkers know what `from loadflow import …` finds for each command."""
    from loadflow.engine.commands import installing

    lines = []
    for command in table:
        function, public = command.function, command.name.removeprefix("LD_")
        if public not in installing.__all__:  # those of Python give back what they installed
            lines.append(f"from {function.__module__} import {function.__name__} as {public}")
    return "\n".join(["# Made by `make docs` from the commands' definitions; don't edit it by hand.", *sorted(lines)]) + "\n"


def _parameter(name: str, default: object) -> str:
    return name if default is REQUIRED else f"{name}={json.dumps(default, default=repr)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def print_list(table: Iterable[Command], builtins: Iterable[Command]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from loadflow.cli.console import console_for

    console = console_for()
    for title, group in by_group(table):
        console.print(Text(title, style="dim"))
        for command in group:
            console.print(Text.assemble((command.name, "bold"), f"  {command.summary}"))
            parameters = ", ".join(_parameter(name, default) for name, default in parameters_of(command).items())
            for text in (parameters, policy_text(command.policy)):
                if text not in ("", "–"):
                    console.print(Padding(Text(text, style="dim"), (0, 0, 0, 4), expand=False))
    console.print(Text.assemble(("builtins", "bold"), "  " + ", ".join(command.name for command in builtins)))
