"""A process that answers at once but for one second of its life; prints its URL, and ends when its stdin does."""

from __future__ import annotations

import sys

from tests.targets.frozen import frozen_for_a_second

if __name__ == "__main__":
    with frozen_for_a_second() as url:
        print(f"{url}/", flush=True)
        sys.stdin.read()
