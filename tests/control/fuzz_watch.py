"""Somebody who asks the control plane for its runs all the time, in a process of its own: `python -m tests.control.fuzz_watch PORT TOKEN`.

A line of JSON for each answer: `took_s`, `in_use` (runs that have not ended), `error`, and `late_s`: the longest that a timer of this
idle process was late while the answer was waited for. That is the yardstick for what the machine can do at present.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from loadflow.engine.control.client import ControlClient, ControlError
from loadflow.errors import LoadflowError

DEAD_S = 240.0  # without an answer, whatever the machine does
PROBE_S = 0.02
EVERY_S = 0.1


class Yardstick:
    """How late a timer fires, with a millisecond of work."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._begun_s = time.monotonic()
        threading.Thread(target=self._measure, daemon=True).start()

    def late_s(self) -> float:
        """The longest since the last question."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return max(worst_s, time.monotonic() - self._begun_s - PROBE_S)

    def _measure(self) -> None:
        while True:
            self._begun_s = begun_s = time.monotonic()
            time.sleep(PROBE_S)
            sum(range(30_000))
            self._worst_s = max(self._worst_s, time.monotonic() - begun_s - PROBE_S)


def ask(port: int, token: str, yardstick: Yardstick) -> dict[str, Any]:
    begun_s, in_use, error = time.monotonic(), 0, ""
    try:
        with ControlClient("127.0.0.1", port, token=token, timeout_s=DEAD_S) as client:
            in_use = sum(run["state"] != "ended" for run in client.list())
    except (LoadflowError, OSError) as failure:
        if not (isinstance(failure, ControlError) and failure.kind == "busy"):
            error = f"{type(failure).__name__}: {failure}"
    return {"took_s": time.monotonic() - begun_s, "late_s": yardstick.late_s(), "in_use": in_use, "error": error}


def main() -> None:
    port, token = int(sys.argv[1]), sys.argv[2]
    yardstick = Yardstick()
    while True:
        print(json.dumps(ask(port, token, yardstick)), flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
