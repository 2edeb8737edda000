"""Locust's engine process with a slow decoder."""

import os
import sys

from loadflow.engine.entry import locust as worker  # first: it patches what all others import
from tests.hostile.slow_decoder import make_slow

if __name__ == "__main__":
    make_slow()
    code = worker.main()
    sys.stderr.flush()
    os._exit(code)
