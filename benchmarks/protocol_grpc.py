"""Calls per second of grpc_user beside grpcio in a plain loop, and how many 200 ms calls ten users make.

    python -m benchmarks.protocol_grpc [--seconds 5] [--write]

The server is a process of its own, by grpcio. The plain client is one process with 50 threads, a channel each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table

SERVER = """
import time
from concurrent.futures import ThreadPoolExecutor
import grpc
def slow(request, context):
    time.sleep(0.2)
    return request
acts = {"Fast": lambda request, context: request, "Slow": slow}
handlers = {name: grpc.unary_unary_rpc_method_handler(act) for name, act in acts.items()}
server = grpc.server(ThreadPoolExecutor(64))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bench", handlers),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
input()
"""
PROTO = """
syntax = "proto3";
package bench;
message Text { string text = 1; }
service Bench { rpc Fast(Text) returns (Text); rpc Slow(Text) returns (Text); }
"""
LOADFLOW = """
import sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session import Session, use_session
target, seconds, folder, method, users = sys.argv[1:]
step = {"proto": folder + "/bench.proto", "method": "bench.Bench/" + method, "payload": {"text": "hello"}}
with use_session(Session(runs_dir=folder)):
    summary = start_test({"user": "grpc_user"}, user_count=int(users), spawn_rate=1000, test_time=float(seconds), host=target, tasks=[step])
totals = summary["totals"]
assert totals["failures"] == 0, totals
print(totals["requests"] / float(seconds))
"""
PLAIN = """
import sys, threading, time
import grpc
target, seconds, folder, method, users = sys.argv[1:]
end, counts = time.monotonic() + float(seconds), []
def user():
    call, count = grpc.insecure_channel(target, (("grpc.use_local_subchannel_pool", 1),)).unary_unary("/bench.Bench/" + method), 0
    while time.monotonic() < end:
        call(b"\\x0a\\x05hello", timeout=10)
        count += 1
    counts.append(count)
threads = [threading.Thread(target=user) for _ in range(int(users))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(counts) / float(seconds))
"""
ROWS = (("Fast", 50), ("Slow", 10))


def measure(seconds: float) -> list[list[str]]:
    """For each method: its users, calls per second of both, and their ratio."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, _server() as server:
        (Path(folder) / "bench.proto").write_text(PROTO)
        assert server.stdout is not None
        target = f"127.0.0.1:{server.stdout.readline().strip()}"
        for method, users in ROWS:
            own, plain = (_rate(code, target, str(seconds), folder, method, str(users)) for code in (LOADFLOW, PLAIN))
            rows.append([method, str(users), f"{own:,.1f}", f"{plain:,.1f}", f"{own / plain:.2f}"])
        server.kill()
    return rows


def _server() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _rate(code: str, *arguments: str) -> float:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    text = table(["call", "users", "loadflow, calls/s", "grpcio in threads, calls/s", "ratio"], measure(options.seconds))
    publish("grpc_user beside grpcio", f"python -m benchmarks.protocol_grpc --seconds {options.seconds:g}", text, write=options.write)


if __name__ == "__main__":
    main()
