"""The native engine process with a slow decoder."""

import os
import sys

from loadflow.engine.entry import native as native_worker
from tests.hostile.slow_decoder import make_slow

if __name__ == "__main__":
    make_slow()
    code = native_worker.main()
    sys.stderr.flush()
    os._exit(code)
