"""How long the HTML report and the summary of a long run take, how much memory, and how large they are.

    python -m benchmarks.report_1m [--hits 10000000] [--write]

Builds a run of 10 minutes with 8 names and 1 % failures, then makes each report in a process of its own, from `Run.open` on:
with the stored counts (totals.json), as after an orderly end, and without, as after a cut, where the hit log is read again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600.0
NAMES = [
    ("GET", "/"),
    ("POST", "/login"),
    ("GET", "/items"),
    ("GET", "/items/{id}"),
    ("GET", "/search"),
    ("POST", "/cart"),
    ("PUT", "/cart"),
    ("POST", "/buy"),
]

# peak RSS is VmHWM, not ru_maxrss: a child that was forked starts the latter at its parent's size
REPORT = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
from loadflow.engine.records.run import Run
from loadflow.engine.reports.{module} import {function}
imported = time.perf_counter()
path = {function}([Run.open(sys.argv[1])], Path(sys.argv[2]))
ended = time.perf_counter()
status = Path("/proc/self/status").read_text()
peak_kb = int(status.split("VmHWM:")[1].split()[0])
size_mb = path.stat().st_size / 1e6
print(json.dumps({{"import_s": imported - began, "work_s": ended - imported, "peak_mb": peak_kb / 1e3, "size_mb": size_mb}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hits", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    hits = options.hits
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        _build(folder, hits)
        for source, missing in (
            ("totals.json", ()),
            ("hit log", ("totals.json",)),
            ("hit log, cut off", ("totals.json", "end.json", "snapshots.ndjson")),
        ):
            for name in missing:
                (folder / name).unlink(missing_ok=True)
            for label, module, function, suffix in (
                ("HTML", "html", "write_html_report", "html"),
                ("summary", "summary_json", "write_summary_report", "json"),
            ):
                got = _measure(REPORT.format(module=module, function=function), folder, Path(scratch) / f"report.{suffix}")
                figures = [f"{got['import_s']:.2f}", f"{got['work_s']:.2f}", f"{got['peak_mb']:.0f}", f"{got['size_mb']:.3f}"]
                rows.append([label, source, *figures])
    text = table(["report", "counts from", "import s", "work s", "peak RSS MB", "size MB"], rows)
    text += f"\n\n{len(NAMES)} names, {SECONDS:.0f} s, 1 % failures; each report in a process of its own."
    publish(f"HTML report and summary of {hits:,} hits", f"python -m benchmarks.report_1m --hits {hits}", text, write=options.write)


def _build(folder: Path, hits: int) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.builders import build_run, facts, make_rows

    rows = make_rows(hits, seconds=SECONDS, series=len(NAMES))
    build_run(folder, rows, names=NAMES, run_facts=facts(planned_s=SECONDS), max_failure_rate=0.05)


def _measure(code: str, folder: Path, path: Path) -> dict[str, float]:
    command = [sys.executable, "-c", code, str(folder), str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
