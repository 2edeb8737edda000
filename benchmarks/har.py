"""How long the conversion of a large recording takes, and how much memory: the peak resident set (VmHWM) of a process of its own.

python -m benchmarks.har [--megabytes 100] [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table
from tests.recording.generated import write_recording

BOUND_MB = 300
CHILD = """
import json, sys, time
from loadflow.engine.recording.convert import Options, convert
began = time.perf_counter()
done = convert(sys.argv[1], Options.of())
took_s = time.perf_counter() - began
with open("/proc/self/status") as status:
    peak_mb = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"took_s": took_s, "peak_mb": peak_mb, "steps": len(done.tasks), "correlated": len(done.report.correlated)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    rows = []
    for megabytes in (options.megabytes // 10, options.megabytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.har"
            entries = write_recording(path, megabytes)
            output = subprocess.run([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
        got = json.loads(output)
        rows.append([f"{megabytes}", f"{entries:,}", f"{got['correlated']:,}", f"{got['took_s']:.1f}", f"{got['peak_mb']:.0f}"])
        if got["peak_mb"] > BOUND_MB:
            sys.exit(f"{got['peak_mb']:.0f} MB for {megabytes} MB: over the bound of {BOUND_MB} MB")
    text = table(["recording, MB", "entries", "values correlated", "seconds", "peak MB"], rows)
    publish("Recordings", f"python -m benchmarks.har --megabytes {options.megabytes}", text, write=options.write)


if __name__ == "__main__":
    main()
