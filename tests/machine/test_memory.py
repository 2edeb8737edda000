"""What threads have freed does not stay with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# a process of its own: the arenas of this one were made long ago
THREADS_IN_TURNS = """
import sys, threading, psutil
from loadflow.engine.machine.memory import few_arenas, give_back

few_arenas()
ends = []  # one object of each thread lives on at the top of its memory, so that nothing shrinks by itself

def work():
    kept = [bytes(2_000) for _ in range(20_000)]
    ends.append(kept[-1])

for _ in range(12):
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
process = psutil.Process()
before = process.memory_info().rss
give_back()
print(before, process.memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the arenas of glibc are on Linux")
def test_memory_that_threads_have_freed_goes_back_to_the_machine() -> None:
    said = subprocess.run([sys.executable, "-c", THREADS_IN_TURNS], check=True, capture_output=True, text=True).stdout
    before, after = (int(size) for size in said.split())
    assert after < before - 30_000_000  # one thread's 40 MB are held until then
    assert after < 60_000_000
