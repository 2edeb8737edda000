"""One page over the coverage of Python and of Rust: `python .ci/coverage_page.py build/coverage` writes index.html there.

It reads python.json of coverage.py and rust.json of cargo-llvm-cov, and says what is missing where one of them is not there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RUST_WAY = "rustup component add llvm-tools; cargo install cargo-llvm-cov --locked"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>loadflow: coverage</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 3em }} td, th {{ padding: 0.2em 2em 0.2em 0; text-align: left }}</style>
<h1>Lines that the tests run</h1>
<table><tr><th>Language<th>Lines<th>Run<th>Share</tr>
{rows}
</table></html>
"""


def row(language: str, page: str, lines: int, run: int) -> str:
    share = 100 * run / lines if lines else 0.0
    return f'<tr><td><a href="{page}">{language}</a><td>{lines:,}<td>{run:,}<td>{share:.1f} %</tr>'


def rows(folder: Path) -> list[str]:
    python = _read(folder / "python.json")
    rust = _read(folder / "rust.json")
    made = []
    if python is None:
        made.append("<tr><td>Python<td colspan=3>not measured: the tests ended before they wrote it</tr>")
    else:
        totals = python["totals"]
        made.append(row("Python", "python/index.html", totals["num_statements"], totals["covered_lines"]))
    if rust is None:
        made.append(f"<tr><td>Rust<td colspan=3>not measured: install cargo-llvm-cov ({RUST_WAY})</tr>")
    else:
        totals = rust["data"][0]["totals"]["lines"]
        made.append(row("Rust", "rust/html/index.html", totals["count"], totals["covered"]))
    return made


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(PAGE.format(rows="\n".join(rows(folder))), encoding="utf-8")
    print(f"see {folder / 'index.html'}")


if __name__ == "__main__":
    main()
