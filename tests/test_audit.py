"""What `make audit` says of what the audit tools wrote."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[1] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    found = importlib.util.spec_from_file_location("loadflow_audit_tool", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclass looks its annotations up there
    found.loader.exec_module(module)
    return module


SAFE = {"name": "h11", "version": "0.16.0", "vulns": []}
BAD = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
SKIPPED = {"name": "wheel", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "demanded", "code", "said"),
    [
        pytest.param([SAFE], True, 0, "f: 1 packages looked up, 0 advisories", id="all looked up, none known"),
        pytest.param([SAFE, BAD], False, 1, "f: jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1", id="a known one fails"),
        pytest.param([SKIPPED], False, 0, "f: nothing was looked up, there is no advisory database here (wheel: ", id="no database"),
        pytest.param([SKIPPED], True, 1, "LOADFLOW_REQUIRE_ADVISORIES=1 demands", id="no database where one is demanded"),
        pytest.param([SAFE, SKIPPED], False, 0, "f: not looked up: wheel: ", id="one is not in it"),
        pytest.param([SAFE, SKIPPED], True, 1, "f: not looked up: wheel: ", id="one is not in it where all must be"),
    ],
)
def test_the_verdict_on_python_packages(packages: list[Any], demanded: bool, code: int, said: str, audit: ModuleType) -> None:
    lines, exit_code = audit.verdict({"f": audit.python_audit({"dependencies": packages})}, demanded=demanded)
    assert exit_code == code
    assert said in "\n".join(lines)


def test_the_verdict_on_crates(audit: ModuleType) -> None:
    one = {
        "package": {"name": "time", "version": "0.1.0"},
        "advisory": {"id": "RUSTSEC-2020-0071"},
        "versions": {"patched": [">=0.2.23"]},
    }
    found = {"vulnerabilities": {"list": [one]}, "lockfile": {"dependency-count": 90}}
    lines, code = audit.verdict({"f": audit.rust_audit(found)}, demanded=True)
    assert (lines, code) == (
        ["f: time 0.1.0: RUSTSEC-2020-0071, fixed in >=0.2.23", "f: 90 packages looked up, 1 advisories"],
        1,
    )


@pytest.mark.processes
def test_a_tool_that_is_not_there_is_said_to_be_missing(audit: ModuleType) -> None:
    assert audit.run(["/nowhere/cargo", "audit"]) == "/nowhere/cargo is not installed"
