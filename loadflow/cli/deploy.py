"""`loadflow deploy`: a Prefect deployment for each script, with a form for its variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loadflow.cli.boundary import USAGE, print_mistakes
from loadflow.cli.console import echo, echo_lines
from loadflow.cli.schedules import Times, schedule_of
from loadflow.cli.variables import assignments, variables_option
from loadflow.engine.base.json_value import JsonObject

if TYPE_CHECKING:
    from loadflow.engine.script.declared import Declaration
    from loadflow.engine.session.session import Session
    from loadflow.flows.deploying import Deployment

__all__ = ["deploy"]

F = TypeVar("F", bound=Callable[..., object])
ORIGINS = ["here", "git", "embedded", "prefect.yaml"]  # those of loadflow.flows.deploying, which imports Prefect
COLLISIONS = ["CANCEL_NEW", "ENQUEUE"]


def deploy_options(function: F) -> F:
    """Named as `prefect deploy` names them, where it has them."""
    decorators: list[Callable[[F], F]] = [
        click.option("--name", "-n", help="The deployment's name, for one FILE. [default: the file's name]"),
        click.option("--work-pool", "--pool", "-p", "pool", metavar="POOL", help="Whose workers run it. [default: the only pool there is]"),
        click.option("--work-queue", "-q", "queue", metavar="QUEUE", help="The queue of the pool. [default: the pool's own]"),
        click.option("--tag", "-t", "tags", multiple=True, help="A tag besides loadflow, e.g. nightly. May be given several times."),
        variables_option,
        click.option(
            "--param", "advanced", multiple=True, metavar="NAME=VALUE", callback=assignments, help="Set a field of the advanced group."
        ),
        click.option("--cron", help='When it runs, e.g. "0 2 * * *".'),
        click.option("--interval", type=click.FloatRange(min=1), metavar="SECONDS", help="Or: every so often."),
        click.option("--rrule", help="Or: by a rule of RFC 5545."),
        click.option("--timezone", help="Of --cron, --interval and --rrule, e.g. Europe/Berlin. [default: UTC]"),
        click.option("--anchor-date", "anchor", help="From when --interval counts, e.g. 2026-01-01T02:00."),
        click.option("--paused", is_flag=True, help="Create the deployment with a paused schedule."),
        click.option("--concurrency-limit", type=click.IntRange(min=0), default=1, show_default=True, help="Runs at a time; 0: any."),
        click.option("--collision-strategy", type=click.Choice(COLLISIONS), default=COLLISIONS[0], show_default=True, help="For one more."),
        click.option(
            "--job-variable",
            "-jv",
            "job_variables",
            multiple=True,
            metavar="NAME=VALUE",
            callback=assignments,
            help='Of the worker\'s job, as in prefect deploy: image=loadflow, env={"A":"b"}.',
        ),
        click.option("--description", default="", help="[default: the script's]"),
        click.option("--version", help="A version to call it by."),
        click.option("--from", "origin", type=click.Choice(ORIGINS), help="How workers get the script; see above."),
        click.option("--branch", help="With --from git. [default: the one that is checked out]"),
        click.option("--credentials", metavar="TYPE/NAME", help="With --from git: the block to clone with, e.g. github-credentials/ci."),
        click.option(
            "--agent", is_flag=True, help="Instead, the deployment of the agents that loads start in --pool, e.g. with --job-variable."
        ),
        click.option("--dry-run", is_flag=True, help="Print the deployment as JSON and ask no server."),
    ]
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


@click.command(short_help="Make a Prefect deployment of each script, with a form for its variables.")
@click.argument("files", metavar="[FILE...]", nargs=-1, type=click.Path())
@deploy_options
@click.pass_context
def deploy(ctx: click.Context, /, files: tuple[str, ...], **options: Any) -> None:
    """Make or replace a deployment of each script on the server of PREFECT_API_URL.

    Its form has a field for each variable, with the type, the default and the description that the script's `variables` give,
    and a group `advanced` for label, target, store and the like. A variable without a value is required: Prefect takes no run without it.

    \b
    How workers get the script (--from):
      here          they work in this folder, at the same path: workers on this machine, or with it mounted
      git           they clone this repository, from its remote origin
      embedded      it is a part of the deployment; for scripts that name no other files
      prefect.yaml  by the pull steps of ./prefect.yaml; the default, where it has any
    """
    from prefect.client.orchestration import get_client

    from loadflow.flows.deploying import deploy as make
    from loadflow.flows.deploying import work_pool

    if options["agent"]:
        _deploy_agent(files, options)
        return
    if not files:
        raise click.UsageError("which FILE? Or --agent, for the agents that loads start in a work pool")
    if options["name"] and len(files) > 1:
        raise click.UsageError("--name is for one FILE; each file has its own name")
    planned = [_plan(file, **options) for file in files]
    if any(made is None for made in planned):
        ctx.exit(USAGE)
    if options["dry_run"]:
        for made in planned:
            assert made is not None
            _show(made)
        return
    _refuse_no_server()
    with get_client(sync_client=True) as client:
        pool = work_pool(client, options["pool"])
        for made in planned:
            assert made is not None
            _tell(made, make(client, made.in_pool(pool)), pool)


def _deploy_agent(files: tuple[str, ...], options: dict[str, Any]) -> None:
    from prefect.client.orchestration import get_client

    from loadflow.flows.deploying import work_pool
    from loadflow.flows.pool import deploy_agent

    if files:
        raise click.UsageError("--agent is a deployment without a script; leave FILE out")
    _refuse_no_server()
    with get_client(sync_client=True) as client:
        pool = work_pool(client, options["pool"])
        name = deploy_agent(client, pool, queue=options["queue"], job_variables=options["job_variables"], tags=options["tags"])
    echo(f"deployed {name} to the work pool {pool}")
    echo(f"  used by: loadflow run FILE --workers N --pool {pool}, and by scripts with workers.pool")


def _refuse_no_server() -> None:
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise click.UsageError("PREFECT_API_URL is not set; start a server and set it, e.g. http://127.0.0.1:4200/api")


def _plan(file: str, **options: Any) -> Deployment | None:
    """The deployment of one script; None, after saying why, where it could not run."""
    from loadflow.engine.script.document import read_script
    from loadflow.engine.session.inputs import inputs_of, mistakes_in_script, named_files
    from loadflow.errors import CommandError, Mistake, ScriptError
    from loadflow.flows.deploying import Deployment, origin_of
    from loadflow.flows.form import mistakes_in

    try:
        document = read_script(file)
        variables = inputs_of(document, _session({}))
        given = {**options["variables"], **(options["advanced"].get("variables") or {})}
        # what a target block adds and forbids is known to the server only
        mistakes = [] if options["advanced"].get("target") else mistakes_in_script(document, _session(given), variables)
        if mistakes:
            raise ScriptError(mistakes, file)
        if options["origin"] == "embedded" and (named := named_files(document)):
            hint = "take --from git, or --from here"
            raise CommandError([Mistake(file, f"names {', '.join(named)}, which would not be where it is embedded", hint)])
        times = Times(**{key: options[key] for key in ("cron", "interval", "rrule", "timezone", "anchor")})
        schedule = schedule_of(times)
        made = Deployment(
            name=options["name"] or Path(file).stem,
            origin=origin_of(
                options["origin"], Path(file), document, Path.cwd(), branch=options["branch"], credentials=options["credentials"]
            ),
            variables=variables,
            values=_typed(options["variables"], variables),
            advanced=options["advanced"],
            description=options["description"] or (document.get("description", "") if isinstance(document, dict) else ""),
            tags=options["tags"],
            queue=options["queue"],
            job_variables=options["job_variables"],
            schedule=schedule,
            paused=options["paused"],
            concurrency_limit=options["concurrency_limit"] or None,
            collision_strategy=options["collision_strategy"],
            version=options["version"],
        )
        if mistakes := mistakes_in(made.parameters, made.schema, complete=schedule is not None):
            raise CommandError(mistakes)
    except ScriptError as error:
        print_mistakes(error.mistakes, error.source or file)
        return None
    return made


def _typed(values: JsonObject, variables: dict[str, Declaration]) -> dict[str, object]:
    from loadflow.engine.script.declared import as_written

    return {name: as_written(variables[name], value) if name in variables else value for name, value in values.items()}


def _session(variables: dict[str, object]) -> Session:
    from loadflow.engine.session.session import Session

    session = Session(variables=variables)
    session.store_url = "sqlite:///store.db"  # stands for the store that a run may name
    return session


def _show(made: Deployment) -> None:
    from loadflow.cli.console import echo_json

    shown = {"name": made.name, "pull": made.origin.steps, "parameters": made.parameters, "parameter_openapi_schema": made.schema}
    echo_json(shown)


def _tell(made: Deployment, name: str, pool: str) -> None:
    unset = [key for key, one in made.variables.items() if not one.has_default and key not in made.values]
    fields = [f"{key} ({'required' if key in unset else one.kind})" for key, one in made.variables.items()]
    echo(f"deployed {name} to the work pool {pool}")
    echo(f"  form: {', '.join([*fields, 'advanced'])}")
    echo(f"  script: {made.origin.words}")
    asked = "".join(f" -p {key}=…" for key in unset)
    echo_lines(f"  run:  prefect deployment run {name}{asked}\n  worker: prefect worker start --pool {pool}")
