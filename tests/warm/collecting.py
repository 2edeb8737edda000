"""The tests' files, imported once for all workers of xdist: each is a fork of the process that did it.

To import them is most of what collecting costs: more than ten CPU seconds, where the rest is two. Assertions are rewritten as pytest does
it, so that a worker finds in `sys.modules` what it would have made itself.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

__all__ = ["ENGINES_ONLY", "files_below", "forget_tests", "import_tests"]

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
KEPT = ("tests.warm",)  # what runs in each fork
ENGINES_ONLY = ("gevent", "locust")  # what no process may import but those that make load on Locust
_forgotten: list[object] = []  # to take them apart would cost more than to keep them


def import_tests(paths: Sequence[str]) -> None:
    """Of the given files and folders. A file that can't be imported is left to the workers, who say so.

    Raises AssertionError where one has imported what only an engine may: every process that begins warm would have it.
    """
    from _pytest.config import _prepareconfig

    config = _prepareconfig(["-p", "no:cacheprovider", *paths])  # which sees to it that assertions are rewritten
    try:
        for path in files_below(paths):
            with contextlib.suppress(Exception, pytest.skip.Exception):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            wrong = [name for name in ENGINES_ONLY if name in sys.modules]
            assert not wrong, f"{path} imports {', '.join(wrong)} as it is collected: import it in the functions that need it"
    finally:
        config._ensure_unconfigure()


def files_below(paths: Sequence[str]) -> Iterator[Path]:
    """The test files of this checkout among them, each once."""
    found: dict[Path, None] = {}
    for path in (Path(one).resolve() for one in paths):
        if path.is_relative_to(TESTS):
            found |= dict.fromkeys(sorted(path.rglob("test_*.py")) if path.is_dir() else [path])
    yield from found


def forget_tests() -> None:
    """For a process that is no worker of xdist: what it runs of the tests, it imports itself."""
    for name in [name for name in sys.modules if name.startswith("tests.") and not name.startswith(KEPT)]:
        _forgotten.append(sys.modules.pop(name))
