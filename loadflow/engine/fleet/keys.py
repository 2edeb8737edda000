"""The token that a coordinator and its agents share, and where it stands; what follows from it is in `access`."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from loadflow.engine.base.counted import counted
from loadflow.engine.base.regular_file import read_given, read_regular
from loadflow.errors import CommandError, Mistake

__all__ = ["TOKEN_VARIABLE", "Token", "find_token", "is_loopback", "listen_address", "strong_token"]

TOKEN_VARIABLE = "LOADFLOW_WORKER_TOKEN"
NATS_PORT = 4222
SHORTEST = 8  # characters; a shorter one could be guessed from a recorded handshake


@dataclass(frozen=True, slots=True)
class Token:
    """`own`: no token was given, so it is this user's token on this machine, and valid on loopback only."""

    text: str
    own: bool


def find_token(host: str, place: str, token_file: str | None = None) -> Token:
    """From the file, else from the environment, else this user's own, which is made when it is missing.

    `host` is where the master listens. Raises CommandError naming `place` when another machine could reach it and no token was given
    a token, or when the token is too short.
    """
    text = _read(Path(token_file), place) if token_file is not None else os.environ.get(TOKEN_VARIABLE)
    if text is not None:
        return Token(strong_token(text.strip(), place, "the token" if token_file is not None else TOKEN_VARIABLE), own=False)
    if not is_loopback(host):
        hint = f"set {TOKEN_VARIABLE} to the same secret on the master and its workers, or use 127.0.0.1"
        raise CommandError([Mistake(place, f"{host!r} is more than this machine, and there is no token", hint)])
    return Token(_own_token(place), own=True)


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def listen_address(text: str, place: str) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT or [HOST]:PORT; without a port NATS's own. Raises CommandError, which names `place`.

    >>> listen_address("10.0.0.5", "--listen"), listen_address("[::1]:0", "--listen")
    (('10.0.0.5', 4222), ('::1', 0))
    """
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text)
    port = int(found[3] or NATS_PORT) if found else -1
    if found is None or not 0 <= port <= 65535:
        raise CommandError([Mistake(place, f"{text!r} is not an address", "write for example 10.0.0.5:4222, or *:4222 for all of them")])
    return found[1] or found[2], port


def _read(path: Path, place: str) -> str:
    try:
        text = read_given(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError([Mistake(place, f"the token file {path} can't be read: {error}", "give a text file with the token")]) from None
    first = text.strip().split("\n", 1)[0].strip()
    if not first:
        raise CommandError([Mistake(place, f"the token file {path} is empty", "write the token into its first line")])
    return first


def strong_token(text: str, place: str, what: str) -> str:
    """Raises CommandError for a token that protects nothing: an empty one is known to everyone."""
    if not text:
        raise CommandError([Mistake(place, f"{what} is empty, which protects nothing", "give a token, or leave it out and unset it")])
    if len(text) < SHORTEST:
        hint = 'make a long one, for example: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        raise CommandError([Mistake(place, f"{what} has {counted(len(text), 'character')}, but needs at least {SHORTEST}", hint)])
    return text


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
        return strong_token(read_regular(path).decode().strip(), place, f"the token file {path}")
    except OSError as error:
        hint = f"set {TOKEN_VARIABLE} on the master and its workers"
        raise CommandError([Mistake(place, f"no token was given, and {path} can't be used: {error.strerror}", hint)]) from None
