"""The native core, written in Rust (`native/`). It may be missing: ask `native_fit.is_built`."""

from typing import Any, Literal

__version__: str

Tick = tuple[Literal["tick"], int, int, int, int, int]  # second, rows, users, in flight, lag in ns
Flush = tuple[Literal["flush"], int, int]  # until ns, rows
End = tuple[Literal["end"]]

class Core:
    """One event loop, which runs once."""

    def __new__(cls, plan: bytes) -> Core: ...
    def run(self, hits: str, origin_unix_ns: int, origin_monotonic_ns: int, calls: Any) -> tuple[int, int, bool, int, int, int]: ...
    def next_event(self, timeout_s: float) -> Tick | Flush | End | None: ...
    def stop(self) -> None: ...

def clock_ns() -> int: ...
