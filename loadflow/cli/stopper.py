"""Ends the load of this process when a client with the token asks for it."""

from __future__ import annotations

import hmac
import secrets

__all__ = ["Stopper"]


class Stopper:
    """`token` stands in the address that is printed, behind its #, which no browser sends anywhere by itself."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(18)
        self.run = ""  # that is going on
        self.reason = ""

    def knows(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode())

    def stop(self, run: str) -> bool:
        """Whether `run` is the one that is going on; it is asked to end then."""
        if not run or run != self.run:
            return False
        self.reason = "stopped on the live page"
        return True
