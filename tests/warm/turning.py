"""`python -m tests.warm.turning WORDS`: turns into `tests.warm.facts`, as who prepares a flow run does; without words it just ends."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(7)
    os.chdir("/")
    command = [sys.executable, "-m", "tests.warm.facts", *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, "GIVEN": "by who turned"})
