"""The native core, written in Rust (`native/`). It may be missing: ask `native_fit.is_built`."""

from typing import Any, Literal

__version__: str

# rows, users, hits in flight, lag in ns, passes started and dropped, how long the load ran in ns (None: it still does)
State = tuple[int, int, int, int, int, int, int | None]
Tick = tuple[Literal["tick"], int, State]  # second
Flush = tuple[Literal["flush"], int, int]  # until ns, rows
End = tuple[Literal["end"]]

class Core:
    """One event loop, which runs once."""

    def __new__(cls, plan: bytes) -> Core: ...
    def run(self, hits: str, origin_unix_ns: int, origin_monotonic_ns: int, calls: Any) -> tuple[bool, State]: ...
    def feed(self, times: bytes) -> bool: ...
    def next_event(self, timeout_s: float) -> Tick | Flush | End | None: ...
    def stop(self) -> None: ...

class NullTarget:
    """A server on loopback that gives every request the same small answer; `serve` until the standard input, a pipe, ends."""

    port: int
    def serve(self) -> None: ...

def not_taken_of(pattern: str) -> str | None: ...
def find(pattern: str, text: str, group: int) -> str | None: ...
def clock_ns() -> int: ...
