"""Helm's lint and templates, as the library behind it has them: in a process of its own, because it is Go's runtime.

It answers one question after the other, a line of JSON each, and ends with its standard input.

python -m tests.helm <<< '{"what": "lint", "chart": …, "values": …, "release": …}'
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.services import need

__all__ = ["HelmError", "lint", "pytest_sessionfinish", "render"]

HERE = Path(__file__).resolve().parents[1]
BEGIN = "answer: "
_started: list[subprocess.Popen[str]] = []


class HelmError(Exception):
    """What Helm says."""


def lint(chart: Path, values: dict[str, Any] | None = None) -> list[str]:
    """What is wrong, warnings too."""
    found: list[str] = _asked("lint", chart, values, "demo")
    return found


def render(chart: Path, values: dict[str, Any] | None = None, release: str = "demo") -> list[dict[str, Any]]:
    """All documents. Raises HelmError for values that the chart refuses."""
    found: list[dict[str, Any]] = _asked("render", chart, values, release)
    return found


def _asked(what: str, chart: Path, values: dict[str, Any] | None, release: str) -> Any:
    need(importlib.util.find_spec("helm_python"), "helm-python-sdk is not installed (pip install 'loadflow[test]')")
    if not _started or _started[-1].poll() is not None:
        _started[:] = [_start()]
    process = _started[-1]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"what": what, "chart": str(chart), "values": values or {}, "release": release}) + "\n")
    process.stdin.flush()
    line = next((line for line in process.stdout if line.startswith(BEGIN)), "")  # Go may say something before it
    if not line:
        raise HelmError(f"ended with {process.wait()}")
    answer = json.loads(line.removeprefix(BEGIN))
    if "error" in answer:
        raise HelmError(answer["error"])
    return answer["told"]


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "tests.helm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    while _started:
        with _started.pop() as process:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"told": _told(**json.loads(line))}
        except Exception as error:  # noqa: BLE001  whatever it is, who asked is told
            answer = {"error": (str(error).strip().splitlines() or [type(error).__name__])[-1]}
        print(BEGIN + json.dumps(answer), flush=True)


def _told(what: str, chart: str, values: dict[str, Any], release: str) -> Any:
    import helm_python
    import yaml

    if what == "lint":
        report = helm_python.lint(chart, values, strict=True)
        return [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] >= 2] + report["errors"]
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(loaded.merge_values(values))
        files = loaded.render(values, name=release, namespace="load")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.load_all(text, loader) if document is not None]


if __name__ == "__main__":
    main()
