"""An agent as a child of the load's parent: `python -P -m loadflow.engine.entry.agent`, started by `fleet.children` and by nothing else.

Its standard input is one line, how to reach the NATS server, and then a lifeline: the end of it, or a TERM, ends the load and delivers it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

__all__ = ["main"]


def main() -> int:
    why: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: why.append("SIGTERM"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    way = json.loads(line)
    from loadflow.engine.fleet.access import Access
    from loadflow.engine.fleet.agent import run_agent

    def watch() -> None:
        while os.read(0, 4_096):
            pass
        why.append("the process that started this agent is gone")

    threading.Thread(target=watch, daemon=True).start()
    authority = bytes.fromhex(way["authority"]) if way["authority"] else None
    access = Access(way["url"], way["seed"], way["credentials"], authority)
    run_agent(access, slots=way["slots"], once=False, say=lambda text: print(text, flush=True), stop=lambda: why[0] if why else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
