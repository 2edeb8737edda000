"""How fast the record reports of a long run are written, in how much memory, and how large they are.

A run of 10 minutes with 8 names and 1 % failures; each report is made in a process of its own, from `Run.open` on, several
times. Rates are of the writing alone, without the start of Python; the CPU time says what they would be on a machine of
one's own; peak memory (VmHWM, from the kernel) is of the whole process.

    python -m benchmarks.records_reports [--hits 1000000] [--rounds 3] [--write]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600.0
NAMES = [(method, f"/shop/{name}") for method in ("GET", "POST") for name in ("items", "cart", "search", "orders")]
PLAN = {"steps": [{"method": method, "request_url": f"http://shop.test:8080{name}", "name": None} for method, name in NAMES]}
REPORTS = {
    "CSV": "csv_report.write_csv_report([run], folder / 'r.csv')",
    "JSON": "json_report.write_json_report([run], folder / 's.json', folder / 'f.json')",
    "XML": "xml_report.write_xml_report([run], folder / 's.xml', folder / 'f.xml')",
    "JUnit, a case per name": "junit.write_junit_report([run], folder / 'j.xml')",
    "JUnit, a case per request": "junit.write_junit_report([run], folder / 'j.xml', per_request=True)",
}
CHILD = """
import json, sys, time
from pathlib import Path
from loadflow.engine.records.run import Run
from loadflow.engine.reports import {module}
folder = Path(sys.argv[2])
began, began_cpu = time.perf_counter(), time.process_time()
run = Run.open(sys.argv[1])
paths = {call}
work_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
paths = paths if isinstance(paths, tuple) else (paths,)
peak_kib = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
size_mb = sum(path.stat().st_size for path in paths) / 1e6
print(json.dumps({{"work_s": work_s, "cpu_s": cpu_s, "peak_mb": peak_kib * 1024 / 1e6, "size_mb": size_mb}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--hits", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        _build(run, options.hits)
        for number in range(options.rounds):
            for name, call in REPORTS.items():
                found.setdefault(name, []).append(_measure(call, run, Path(scratch)))
                print(f"round {number + 1}: {name}: {options.hits / found[name][-1]['work_s']:,.0f} hits/s", flush=True)
    rows = [_row(name, options.hits, measured) for name, measured in found.items()]
    text = table(["report", "hits/s, median", "spread", "CPU time, median", "peak RSS, largest", "size"], rows)
    command = f"python -m benchmarks.records_reports --hits {options.hits} --rounds {options.rounds}"
    publish(f"Record reports of {options.hits:,} hits", command, text, write=options.write)


def _build(folder: Path, hits: int) -> None:
    from tests.builders import build_run, facts, make_rows

    rows = make_rows(hits, seconds=SECONDS, series=len(NAMES))
    build_run(folder, rows, names=NAMES, run_facts=facts(planned_s=SECONDS, plan=PLAN), max_failure_rate=0.05)


def _measure(call: str, run: Path, folder: Path) -> dict[str, float]:
    code = CHILD.format(module=call.split(".")[0], call=call)
    done = subprocess.run([sys.executable, "-c", code, str(run), str(folder)], cwd=ROOT, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _row(name: str, hits: int, measured: list[dict[str, float]]) -> list[str]:
    times_s = [one["work_s"] for one in measured]
    return [
        name,
        f"{hits / statistics.median(times_s):,.0f}",
        f"{hits / max(times_s):,.0f} to {hits / min(times_s):,.0f}",
        f"{statistics.median(one['cpu_s'] for one in measured):.2f} s",
        f"{max(one['peak_mb'] for one in measured):.0f} MB",
        f"{measured[0]['size_mb']:.1f} MB",
    ]


if __name__ == "__main__":
    main()
