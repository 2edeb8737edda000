"""`python -m tests.ends.flow_process SCRIPT NAME`: a process that runs one script as a flow and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

from loadflow.flows import compile_script

if __name__ == "__main__":
    compile_script(Path(sys.argv[1]), name=sys.argv[2])()
