"""MQTT messages of QoS 1 per second, each acknowledged: loadflow beside paho-mqtt in a loop, against one mosquitto.

    python -m benchmarks.protocol_mqtt [--seconds 4]

50 users on core 0, the broker on core 1. The plain client has no templates, no checks and no records.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Row", "measure"]

USERS = 50

LOADFLOW = """
import sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session import Session, use_session
target, seconds, users, folder = sys.argv[1:]
with use_session(Session(runs_dir=folder)):
    often = {"user_count": int(users), "spawn_rate": 1000, "test_time": float(seconds)}
    summary = start_test({"user": "mqtt_user"}, **often, host=target, tasks=[{"topic": "t", "payload": "hello", "qos": 1}])
totals = summary["totals"]
assert totals["failures"] == 0, totals
print(totals["requests"] / float(seconds))
"""
PLAIN = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent, paho.mqtt.client as paho
target, seconds, users, _ = sys.argv[1:]
host, port = target.rsplit(":", 1)
end = time.monotonic() + float(seconds)
def user():
    client, count = paho.Client(paho.CallbackAPIVersion.VERSION2), 0
    client.connect(host, int(port))
    client.loop_start()
    while time.monotonic() < end:
        client.publish("t", "hello", 1).wait_for_publish(5)
        count += 1
    client.disconnect()
    return count
jobs = [gevent.spawn(user) for _ in range(int(users))]
gevent.joinall(jobs)
print(sum(job.value for job in jobs) / float(seconds))
"""


@dataclass(frozen=True)
class Row:
    """Acknowledged messages per second of one round."""

    loadflow: float
    plain: float


def measure(seconds: float) -> Row:
    """One round: both in turn, against one broker."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "broker.log"
        with log.open("wb") as output, subprocess.Popen(["taskset", "-c", "1", program, "-p", str(port)], stderr=output) as broker:
            try:
                while "running" not in log.read_text():
                    assert broker.poll() is None, log.read_text()
                arguments = (f"127.0.0.1:{port}", str(seconds), str(USERS), folder)
                return Row(_rate(LOADFLOW, *arguments), _rate(PLAIN, *arguments))
            finally:
                broker.kill()


def _rate(code: str, *arguments: str) -> float:
    done = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    row = measure(parser.parse_args().seconds)
    print(f"loadflow {row.loadflow:,.0f} messages/s, paho-mqtt under gevent {row.plain:,.0f}, ratio {row.loadflow / row.plain:.2f}")


if __name__ == "__main__":
    main()
