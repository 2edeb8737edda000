"""What `make coverage` puts on its page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / ".ci" / "coverage_page.py"
PYTHON = {"totals": {"num_statements": 20_000, "covered_lines": 18_500}}
RUST = {"data": [{"totals": {"lines": {"count": 8_000, "covered": 6_000}}}]}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({"python": PYTHON, "rust": RUST}, ["18,500<td>92.5 %", "6,000<td>75.0 %"], id="both"),
        pytest.param({"python": PYTHON}, ["92.5 %", "Rust<td colspan=3>not measured: install cargo-llvm-cov"], id="no tool for Rust"),
        pytest.param({}, ["Python<td colspan=3>not measured: the tests ended before"], id="tests that were cut off"),
    ],
)
def test_the_page_has_both_languages_and_says_what_is_missing(files: dict[str, object], said: list[str], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    subprocess.run([sys.executable, PAGE, tmp_path], check=True, stdout=subprocess.DEVNULL)
    text = (tmp_path / "index.html").read_text()
    assert [one for one in said if one not in text] == []
