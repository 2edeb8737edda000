"""How workers get a script: what a clone of a repository would not give them is refused before it is deployed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loadflow.errors import CommandError
from loadflow.flows.deploying import origin_of
from tests.git_folders import git, pushed

SCRIPT = "loads/shop.json"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return pushed(tmp_path / "remote.git", tmp_path / "clone", {SCRIPT: "[]"})


def test_the_clone_is_of_the_branch_that_is_checked_out_and_the_path_is_from_its_top(clone: Path, tmp_path: Path) -> None:
    origin = origin_of("git", clone / SCRIPT, [], clone / "loads", credentials="github-credentials/ci")
    ((step, asked),) = origin.steps[0].items()
    assert step == "prefect.deployments.steps.git_clone"
    assert asked == {
        "repository": str(tmp_path / "remote.git"),
        "branch": "main",
        "credentials": "{{ prefect.blocks.github-credentials.ci }}",
    }
    assert origin.parameters == {"script_path": SCRIPT}


def changed(clone: Path) -> None:
    (clone / SCRIPT).write_text("[ ]")


def committed(clone: Path) -> None:
    changed(clone)
    git(clone, "commit", "--all", "--message", "later")


def never_pushed(clone: Path) -> None:
    git(clone, "checkout", "-b", "trial")


def detached(clone: Path) -> None:
    git(clone, "checkout", "--detach")


def password(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "https://ann:secret@127.0.0.1/repository.git")


def no_remote(clone: Path) -> None:
    git(clone, "remote", "remove", "origin")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (changed, "differs from what is committed"),
    (committed, "differs from what the remote's branch 'main' holds"),
    (never_pushed, "the remote has no branch 'trial'"),
    (detached, "no branch is checked out"),
    (password, "the address of the remote origin holds a password"),
    (no_remote, "gives nothing"),
]


@pytest.mark.parametrize(("spoil", "said"), REFUSED)
def test_what_workers_would_not_get_is_refused(clone: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(clone)
    with pytest.raises(CommandError, match=said) as refused:
        origin_of("git", clone / SCRIPT, [], clone)
    assert "secret" not in str(refused.value)


def test_a_project_files_pull_steps_are_the_default_where_it_has_any(clone: Path) -> None:
    pull = [{"prefect.deployments.steps.git_clone": {"repository": "r", "branch": "b"}}]
    (clone / "prefect.yaml").write_text(json.dumps({"pull": pull}))
    assert origin_of(None, clone / SCRIPT, [], clone).steps == pull
    (clone / "prefect.yaml").write_text(json.dumps({"deployments": []}))
    assert "set_working_directory" in json.dumps(origin_of(None, clone / SCRIPT, [], clone).steps)
