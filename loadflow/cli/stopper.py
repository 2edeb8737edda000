"""Ends the load of this process, or changes its rate, when a client with the token asks for it."""

from __future__ import annotations

import hmac
import secrets
import threading

__all__ = ["Stopper"]


class Stopper:
    """`token` stands in the address that is printed, behind its #, which no browser sends anywhere by itself."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(18)
        self.runs: set[str] = set()  # that are going on
        self.reason = ""
        self._factor = 1.0
        self._lock = threading.Lock()

    def knows(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode())

    def stop(self, run: str) -> bool:
        """Whether `run` is going on; it is asked to end then, and others of its test with it."""
        if run not in self.runs:
            return False
        self.reason = "stopped on the live page"
        return True

    def change(self, run: str, factor: float) -> bool:
        """Whether `run` is going on; its rate is to be multiplied then. What is asked for before it is done adds up."""
        if run not in self.runs:
            return False
        with self._lock:
            self._factor *= factor
        return True

    def take_factor(self) -> float:
        """What was asked for since the last question; 1.0 for nothing."""
        with self._lock:
            factor, self._factor = self._factor, 1.0
        return factor
