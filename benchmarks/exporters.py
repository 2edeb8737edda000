"""What all exporters together cost a load: the same load with none, and with all three at work, against one target.

Generator, its parent and the exporters on core 0; nginx, a scraper and the receivers on core 1. 50 users without waiting, ten names.
The rate is nginx's own count over a window in the middle of each run; the CPU time is that of the parent process, in which the
exporters live, per second of the load. The two take turns.

    python -m benchmarks.exporters [--rounds 5] [--window 8] [--write]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.http_users import SETTLE_S, measure
from benchmarks.nginx import Nginx, free_port
from benchmarks.results import publish, table

LOAD = """
import resource, sys
from pathlib import Path
from loadflow.engine.exporting import start_influxdb_sink, start_opentelemetry_exporter, start_prometheus_exporter
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
url, seconds, folder, told, which, port, receiver = sys.argv[1:]
steps = [{"method": "get", "request_url": url, "name": f"step {number}", "assertions": [{"type": "status_code", "value": 200}]}
         for number in range(10)]
with use_session(Session(runs_dir=folder)) as session:
    if which == "all":
        start_prometheus_exporter(int(port))
        start_influxdb_sink("http", url=receiver + "/write?db=load")
        start_opentelemetry_exporter(receiver, protocol="http", export_interval_ms=1000)
    def cpu_s():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime
    before = cpu_s()
    start_test({"user": "fast_http_user"}, user_count=50, spawn_rate=1000, test_time=float(seconds), tasks=steps)
    Path(told).write_text(str((cpu_s() - before) / float(seconds)))
    session.close()
"""
# takes whatever is posted, and scrapes the Prometheus exporter every second
RECEIVER = """
import sys, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, scraped = sys.argv[1:]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever, daemon=True).start()
while True:
    time.sleep(1)
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{scraped}/metrics", timeout=5).read()
    except OSError:
        pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=8.0, help="seconds measured in each run")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"none": [], "all": []}
    cpu: dict[str, list[float]] = {"none": [], "all": []}
    scraped, received = free_port(), free_port()
    python = [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        receiver = subprocess.Popen(["taskset", "-c", "1", *python, RECEIVER, str(received), str(scraped)])
        try:
            for round_number in range(options.rounds):
                for which in rates if round_number % 2 == 0 else reversed(rates):
                    told = Path(folder) / "cpu"
                    given = [nginx.url, str(options.window + SETTLE_S + 4), folder, str(told), which, str(scraped)]
                    command = ["taskset", "-c", "0", *python, LOAD, *given, f"http://127.0.0.1:{received}"]
                    rates[which].append(measure(nginx, command, options.window))
                    cpu[which].append(float(told.read_text()))
                    print(f"round {round_number + 1}: {which}: {rates[which][-1]:,.0f}/s, {cpu[which][-1]:.4f} s", flush=True)
        finally:
            receiver.terminate()
            receiver.wait(10)
    ratios = [one / other for one, other in zip(rates["all"], rates["none"], strict=True)]
    rows = [
        [
            name,
            f"{statistics.median(rates[name]):,.0f}",
            f"{min(rates[name]):,.0f} to {max(rates[name]):,.0f}",
            f"{statistics.median(cpu[name]) * 1_000:.1f}",
        ]
        for name in rates
    ]
    added = statistics.median(cpu["all"]) - statistics.median(cpu["none"])
    text = table(["exporters", "hits/s, median", "spread", "CPU time of the parent, ms per s"], rows) + (
        f"\n\nWith all exporters the rate is {statistics.median(ratios):.3f} of that without (median of rounds; "
        f"{min(ratios):.3f} to {max(ratios):.3f}). They add {added * 1_000:.1f} ms of CPU time per second, {added:.1%} of one core."
    )
    publish("Exporters: what they cost a load", f"python -m benchmarks.exporters --rounds {options.rounds}", text, write=options.write)


if __name__ == "__main__":
    main()
