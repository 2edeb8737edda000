"""What one server gives its clients. Each limit keeps one client from taking what all share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and counts; the defaults suit a handful of people and a CI system."""

    connections: int = 32  # a further connection gets an error and is closed
    frames_per_s: float = 20.0  # of one connection, lasting
    burst_frames: int = 100  # and at one go
    handshake_s: float = 10.0  # TLS
    read_s: float = 15.0  # from a connection's start, or a frame's first byte, to the frame's last
    idle_s: float = 300.0  # without a frame, and without a run that is followed
    write_s: float = 15.0  # that a client may take no byte of what waits for it
    output_bytes: int = 4 * 2**20  # that may wait for one client; a larger answer of the unframed mode is let through alone
    follows: int = 8  # of one connection
    runs_at_once: int = 4
    kept_results: int = 32  # of runs that have ended; then the oldest is forgotten
    kept_result_bytes: int = 32 * 2**20  # of these results together, compressed; then the oldest is forgotten, but for the newest
    kept_snapshots: int = 600  # of each run, for those who follow later
    kept_snapshot_bytes: int = 4 * 2**20  # of each run, too
    body_bytes: int = 2**20  # of a request over HTTP
    actions: int = 2_000  # of one script
    values: int = 50_000  # in one script: texts, numbers, names
    value_bytes: int = 16 * 2**20  # of what a script's actions return, all together
    users: int = 100_000  # of one load
    engine_threads: int = 64  # of one load: processes times threads
    quit_s: float = 30.0  # that running scripts get to end, once the server is asked to
