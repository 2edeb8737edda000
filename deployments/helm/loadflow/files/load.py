"""A load by the agents on this pod: what was reported is what arrived. python load.py HOST WORKERS"""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RPS, SECONDS = 50, 5
INCONCLUSIVE = 3  # the exit code of a run on a machine that was too busy to measure: every request may have arrived all the same


class Target(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    arrived = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Target.lock:
            Target.arrived += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


def main() -> int:
    host, workers = sys.argv[1:]
    server = ThreadingHTTPServer(("", 8000), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    step = {"name": "helm test", "method": "get", "request_url": f"http://{host}:8000/"}
    load = {"user_detail_dict": {"user": "fast_http_user"}, "rate": {"mode": "constant", "rps": RPS, "duration": SECONDS}, "tasks": [step]}
    script = Path("/tmp/script.json")
    script.write_text(json.dumps([["LD_start_test", load]]))
    command = ["loadflow", "run", str(script), "--direct", "--json", "--workers", workers]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    (folder,) = Path(os.environ.get("LOADFLOW_RUNS_DIR", "/runs")).glob("*/summary.json")
    reported = json.loads(folder.read_text())["totals"]["requests"]
    print(f"{Target.arrived} requests arrived, {reported} were reported")
    if done.returncode == INCONCLUSIVE:
        print("the verdict is inconclusive, which this test allows if nothing is missing; the reasons are above")
    complete = Target.arrived == reported == RPS * SECONDS
    return 0 if complete and done.returncode in (0, INCONCLUSIVE) else 1


if __name__ == "__main__":
    sys.exit(main())
