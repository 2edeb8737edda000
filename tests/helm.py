"""Helm's lint and templates, as the library behind it has them: in a process of its own, because it is Go's runtime.

python -m tests.helm lint|render < '{"chart": …, "values": …, "release": …}'
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.services import need

__all__ = ["HelmError", "lint", "render"]

HERE = Path(__file__).resolve().parents[1]


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
    question = json.dumps({"chart": str(chart), "values": values or {}, "release": release})
    done = subprocess.run([sys.executable, "-m", "tests.helm", what], input=question, capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        raise HelmError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    import helm_python
    import yaml

    asked = json.load(sys.stdin)
    if sys.argv[1] == "lint":
        report = helm_python.lint(asked["chart"], asked["values"], strict=True)
        told: Any = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] >= 2] + report["errors"]
    else:
        with helm_python.Chart.load(asked["chart"]) as chart:
            chart.validate_schema(chart.merge_values(asked["values"]))
            files = chart.render(asked["values"], name=asked["release"], namespace="load")
        told = [
            document
            for path, text in sorted(files.items())
            if path.endswith(".yaml")
            for document in yaml.safe_load_all(text)
            if document is not None
        ]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
