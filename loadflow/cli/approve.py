"""`loadflow approve`: a person says that a run is good enough for what it is for."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo

if TYPE_CHECKING:
    from loadflow.engine.history.kept_runs import KeptRun

__all__ = ["approve", "approve_run", "approver", "by_option"]

by_option = click.option("--by", metavar="NAME", help="The person who says so. [default: the user of this machine]")


@click.command(short_help="Say that a run is good enough, in its evidence.")
@click.argument("run", default="latest")
@click.option("--why", required=True, help="What it is good enough for.")
@by_option
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
def approve(run: str, why: str, by: str | None, runs_dir: str | None) -> None:
    """Write into the evidence of RUN (a folder, an id, or `latest`) who approved it, why, when and where. `loadflow verify` shows it.

    The chain of evidence gets a line for it, so an approval can't be changed or taken out unseen.

    Exit codes: 0 approved; 2 there is no such run; 5 its evidence is not there, or was changed.
    """
    from loadflow.engine.history.kept_runs import find_run
    from loadflow.engine.session.session import Session

    kept = find_run("RUN", run, Session(runs_dir=runs_dir).runs_dir)
    digest = approve_run(kept, "run", why, approver(by))
    echo(f"approved: {kept.name}; the digest of its evidence is {digest}")


def approver(by: str | None) -> str:
    from loadflow.engine.load.made_of import who

    return by or str(who()["user"])


def approve_run(kept: KeptRun, kind: str, why: str, by: str) -> str:
    """Returns the digest of the evidence. Raises RunError."""
    from loadflow.engine.load.made_of import who
    from loadflow.engine.records.evidence import Approval, add_approval, now_text
    from loadflow.engine.records.run import Run

    assert isinstance(kept.source, Run)
    return add_approval(kept.source, Approval(kind, by, why, now_text(), {"host": platform.node(), **who()}))
