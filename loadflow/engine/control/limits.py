"""What one server gives its clients. Each limit keeps one client from taking what all share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and counts; the defaults suit a handful of people and a CI system."""

    connections: int = 32  # a further one is told so and closed
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
    kept_snapshots: int = 600  # of each run, for those who follow later
    quit_s: float = 30.0  # that running scripts get to end, once the server is asked to
