"""docs/extending.md: the files that it lists are those that a new exporter and a new protocol touched, and its command works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import loadflow
from loadflow.engine.generator.native import request as native_request
from loadflow.engine.generator.native.nodes import Nodes
from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http import request
from loadflow.engine.protocols.http.step import HttpStep
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.script.part import Text
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(loadflow.__file__).parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
# made from definitions or by measuring, or about all exporters or protocols together
BESIDES = {
    *("docs/commands.md", "docs/extending.md", "tests/test_extending.py", "loadflow/command_functions.pyi", "constraints.txt"),
    *("tests/cli/test_check.py", "tests/seconds.json"),
    *("tests/exporters/test_intervals.py", "tests/load/test_mixed.py", "tests/load_test/test_model.py", "tests/scenario/test_messages.py"),
}
SOURCES = {".py", ".toml", ".md", ".json", ".pyi", ""}
# what names the exporter or the protocol, and not a word that happens to hold it
NAMED = {"statsd": r"statsd", "redis": r"redis_user|protocols[./]redis|redis-server|loadflow\[redis"}


def _files() -> Iterator[tuple[str, Path]]:
    """(name in the repository, path) of every file in which a mention counts."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and path.suffix in SOURCES and "__pycache__" not in path.parts:
            yield f"loadflow/{path.relative_to(PACKAGE).as_posix()}", path
    for folder in ("tests", "docs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in SOURCES and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path
    for name in ("pyproject.toml", ".ci/run"):
        if (ROOT / name).exists():
            yield name, ROOT / name


def _listed(heading: str) -> list[str]:
    section = next(part for part in PAGE.split("\n## ") if part.startswith(heading))
    return re.findall(r"^\| `([\w./]+\.?\w+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(("heading", "what"), [("An exporter", "statsd"), ("A protocol", "redis")])
def test_the_files_that_the_page_lists_are_those_that_name_it(heading: str, what: str) -> None:
    listed = _listed(heading)
    pattern = re.compile(NAMED[what], re.IGNORECASE)
    found = {
        name
        for name, path in _files()
        if name not in BESIDES and (f"/{what}/" in name or pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    there = {name for name, _ in _files()}
    assert sorted(found) == sorted(one for one in listed if one in there)
    assert len(listed) == len(set(listed))
    if (ROOT / "pyproject.toml").exists():
        assert sorted(set(listed) - there) == []


@pytest.mark.parametrize(("heading", "folder"), [("An exporter", "exporters/statsd"), ("A protocol", "protocols/redis")])
def test_in_the_package_a_folder_and_a_row_are_all(heading: str, folder: str) -> None:
    outside = [one for one in _listed(heading) if one.startswith("loadflow/") and f"/{folder}/" not in one]
    rows = [one for one in outside if one != "loadflow/engine/base/extras.py"]  # which package an extra brings: only where there is one
    assert len(rows) == 1


def test_a_new_key_of_http_steps_touches_three_files_and_reaches_both_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is added as the page says: to the model, to PARTS, to the request. Nothing else is told of it."""

    class Traced(HttpStep):
        """With a key that is sent as a header field."""

        trace: Text | None = None

    plain = Traced.model_validate({"method": "get", "request_url": "http://127.0.0.1:1/${var.page}", "trace": "on"}).plain()
    assert plain["trace"] == "on"
    with pytest.raises(ValidationError):
        Traced.model_validate({"method": "get", "request_url": "http://127.0.0.1:1/", "trace": 5})
    for module in (request, native_request):
        monkeypatch.setattr(module, "PARTS", (*request.PARTS, "trace"))
    asked = native_request.request_of(plain, compiled(plain), None, Nodes({}, {}, Data(), {"page": "1"}), native_request.TlsTable())
    assert list(asked) == ["python"], "the core asks Python for each request"
    assert "trace" in dict(asked["python"])
    del plain["trace"]
    asked = native_request.request_of(plain, compiled(plain), None, Nodes({}, {}, Data(), {"page": "1"}), native_request.TlsTable())
    assert list(asked) == ["parts"], "without it the core fills in its parts itself"
    listed = _listed("A key of an HTTP step")
    assert len(listed) == 3
    assert [one for one in listed if one.startswith("loadflow/") and not (PACKAGE.parent / one).exists()] == []


def compiled(step: dict[str, Any]) -> request.HttpStep:
    given = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:1/"}]}
    plan = build_plan(given, Variables(), {}, TargetRules(), lambda name: "").plan
    return request.HttpStep(step, plan, lambda value: compile_value(value, {}, {}))


@pytest.mark.processes
def test_the_command_of_the_page_works_as_it_is_printed(tmp_path: Path) -> None:
    code = re.search(r"^```python file\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert code is not None
    (tmp_path / "ld_shout.py").write_text(code[1], encoding="utf-8")
    uses = """
import json, sys
import loadflow.engine.commands as folder
folder.__path__.append(sys.argv[1])
import loadflow
print(json.dumps([list(loadflow.execute_action([["LD_shout", {"text": "hello"}]]).values()), loadflow.shout("hey", 2)]))
"""
    ended = subprocess.run([sys.executable, "-c", uses, os.fspath(tmp_path)], capture_output=True, text=True, timeout=HANG_S)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [["HELLO!"], "HEY!!"]
