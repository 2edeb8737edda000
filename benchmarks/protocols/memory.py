"""Whether the core's process grows with the number of hits, for each protocol."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.memory import memory_mib
from benchmarks.protocols.servers import serving
from benchmarks.protocols.subjects import SUBJECTS
from benchmarks.results import publish, table

__all__ = ["memory"]

HEAD = ["protocol", "hits recorded", "core, MiB", "its peak", "parent, MiB", "its peak"]


def memory(names: list[str], marks: list[int], write: bool) -> None:
    started = time.monotonic()
    rows = []
    for name in names:
        subject = SUBJECTS[name]
        with tempfile.TemporaryDirectory() as folder, serving(subject.server) as server:
            for file, text in subject.files.items():
                (Path(folder) / file).write_text(text)
            user = {"user": subject.user, **subject.detail, "engine": "native"}
            load = {"user_count": subject.users, "host": subject.target.format(port=server.port), "tasks": [subject.step]}
            found = memory_mib({"user_detail_dict": user, **load}, marks, folder)
        rows += [[name, f"{hits:,}", *(f"{size:.1f}" for size in sizes)] for hits, *sizes in found]
        grown = [last - first for first, last in zip(found[0][1:], found[-1][1:], strict=True)]
        rows.append([name, "growth", *(f"{one:.1f}" for one in grown)])
        print(*rows[-len(found) - 1 :], sep="\n", flush=True)
    command = f"python -m benchmarks.protocols --memory --marks {' '.join(map(str, marks))}"
    text = f"{table(HEAD, rows)}\n\n50 users each; the runs took {time.monotonic() - started:.0f} s."
    publish("Protocols: memory of engine and parent", command, text, write=write)
