"""`loadflow rerun`: a run again, as exactly as today allows."""

from __future__ import annotations

from typing import Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP, USAGE
from loadflow.cli.console import echo

__all__ = ["rerun"]


@click.command(short_help="Make a run again exactly, or say what is different.", epilog=EXIT_CODE_HELP)
@click.argument("run", default="latest")
@click.option("--check", is_flag=True, help="Only say what is different, and send nothing: exit code 0 if nothing is, else 1.")
@click.option("--anyway", is_flag=True, help="Make it also where something is different.")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--direct", is_flag=True, help="Run without Prefect: no flow, no server, no artifacts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, everything else on stderr.")
@click.option("--live", is_flag=True, help="Serve a live page of the load on a free port of this machine, and print its address.")
@click.option("--quiet", "-q", is_flag=True, help="Print only the verdict: no live view, no table.")
@click.pass_context
def rerun(ctx: click.Context, /, run: str, check: bool, anyway: bool, runs_dir: str | None, **options: Any) -> None:
    """Make the load of RUN (a folder, an id, or `latest`) again: the same script, variables, seed and due times, as its evidence.json has
    them. If a file that it reads, the program, the machine or the plan is another than then, it says so and sends nothing.
    """
    from loadflow.cli.options import RunOptions
    from loadflow.cli.running import Checked, run_all
    from loadflow.engine.history.kept_runs import find_run
    from loadflow.engine.load.rerun import again
    from loadflow.engine.records.run import Run
    from loadflow.engine.session.execute import load_script
    from loadflow.engine.session.session import Session

    kept = find_run("RUN", run, Session(runs_dir=runs_dir).runs_dir)
    assert isinstance(kept.source, Run)
    made = again(kept.source, Session(runs_dir=runs_dir).runs_dir)
    for line in made.different:
        echo(f"different: {line}", err=True)
    for line in made.notes:
        echo(f"note: {line}", err=True)
    if check:
        if not made.different:
            echo(f"nothing is different: {kept.name} can be made again as it was")
        ctx.exit(1 if made.different else 0)
    if made.different and not anyway:
        echo("nothing was sent; --anyway makes it as it is now", err=True)
        ctx.exit(USAGE)
    script = load_script(made.document, session=made.session, name=made.session.name)
    ctx.exit(run_all([Checked(script, made.session, f"{kept.name} again")], RunOptions(variables={}, runs_dir=runs_dir, **options)))
