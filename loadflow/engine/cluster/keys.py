"""Which keys master and workers hold: made from the token that they share, so that the token itself never travels.

Both ends of a connection prove that they hold it, by CurveZMQ (https://rfc.zeromq.org/spec/26/): every frame is encrypted, none
can be replayed, and what was recorded stays unreadable when the token becomes known later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from loadflow.errors import CommandError, Mistake

__all__ = ["TOKEN_VARIABLE", "KeyPair", "Keys", "Token", "find_token", "is_loopback", "keys_of"]

TOKEN_VARIABLE = "LOADFLOW_WORKER_TOKEN"
SHORTEST = 8  # characters; a shorter one could be guessed from a recorded handshake
# scrypt makes each guess of a token cost 16 MB and some 50 ms; the salt is no secret, it keeps these keys apart from others
SALT = b"loadflow cluster 1"
COST, BLOCK = 2**14, 8


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Z85 text, as ZeroMQ takes it."""

    public: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """What both ends know: who holds the token holds both pairs."""

    master: KeyPair
    worker: KeyPair


@dataclass(frozen=True, slots=True)
class Token:
    """`own`: nobody gave one, so it is this user's on this machine, and good for loopback only."""

    text: str
    own: bool


def keys_of(token: str) -> Keys:
    """Takes some 50 ms, on purpose."""
    raw = hashlib.scrypt(token.encode(), salt=SALT, n=COST, r=BLOCK, p=1, dklen=64, maxmem=64 * 2**20)
    return Keys(_pair(raw[:32]), _pair(raw[32:]))


def _pair(raw: bytes) -> KeyPair:
    secret = z85.encode(raw)
    return KeyPair(zmq.curve_public(secret), secret)


def find_token(host: str, place: str, token_file: str | None = None) -> Token:
    """From the file, else from the environment, else this user's own, which is made when it is missing.

    `host` is where the master listens. Raises CommandError naming `place` when another machine could reach it and nobody gave
    a token, or when the token is too short.
    """
    text = _read(Path(token_file), place) if token_file else os.environ.get(TOKEN_VARIABLE, "").strip()
    if text:
        if len(text) < SHORTEST:
            hint = 'make a long one, for example: python -c "import secrets; print(secrets.token_urlsafe(32))"'
            raise CommandError([Mistake(place, f"the token has {len(text)} characters, and at least {SHORTEST} are needed", hint)])
        return Token(text, own=False)
    if not is_loopback(host):
        hint = f"set {TOKEN_VARIABLE} to the same secret on the master and its workers, or use 127.0.0.1"
        raise CommandError([Mistake(place, f"{host!r} is more than this machine, and there is no token", hint)])
    return Token(_own_token(place), own=True)


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def _read(path: Path, place: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError([Mistake(place, f"the token file {path} can't be read: {error}", "give a text file with the token")]) from None
    first = text.strip().split("\n", 1)[0].strip()
    if not first:
        raise CommandError([Mistake(place, f"the token file {path} is empty", "write the token into its first line")])
    return first


def _own_token(place: str) -> str:
    """This user's, in a file that only they can read: master and workers of one user on one machine need no setting."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "loadflow"
    path = folder / "worker-token"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".worker-token.{os.getpid()}.{secrets.token_hex(4)}"
        if not path.exists():
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, secrets.token_urlsafe(32).encode())
            os.close(fd)
            with contextlib.suppress(FileExistsError):  # two at one time: the first one's counts
                os.link(part, path)
            part.unlink()
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        hint = f"set {TOKEN_VARIABLE} on the master and its workers"
        raise CommandError([Mistake(place, f"no token was given, and {path} can't be used: {error.strerror}", hint)]) from None
