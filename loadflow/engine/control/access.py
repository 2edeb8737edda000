"""Who may talk to the server: the token, and where a server without one may listen."""

from __future__ import annotations

import hmac
import os
import socket
import ssl
from collections.abc import Mapping, Sequence

from loadflow.engine.base.pem import unusable_pem
from loadflow.engine.base.regular_file import read_given, refuse_special
from loadflow.engine.session.guard import is_loopback
from loadflow.errors import CommandError, Mistake, RunError

__all__ = ["TOKEN_VARIABLES", "Address", "addresses_of", "find_token", "refuse_open_network", "same_token", "tls_context"]

TOKEN_VARIABLES = ("LOADFLOW_SOCKET_TOKEN", "LOAD_DENSITY_SOCKET_TOKEN")  # the second is LoadDensity's

Address = tuple[socket.AddressFamily, tuple[str, int]]


def find_token(token: str | None, token_file: str | os.PathLike[str] | None, env: Mapping[str, str]) -> str | None:
    """The token from the argument, else the file (its first line), else the environment; None: none is set.

    Raises CommandError for an empty one, which would look like protection and be none.
    """
    if token is not None and token_file is not None:
        raise CommandError([Mistake("token_file", "says the same as token", "give one of them")])
    if token is not None:
        return _not_empty(token, "token", "give a longer one, or leave it out")
    if token_file is not None:
        try:
            text = read_given(token_file).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                [Mistake("token_file", f"{token_file} can't be read: {error}", "check the path and its permissions")]
            ) from None
        return _not_empty(text.split("\n", 1)[0], "token_file", "write the token into its first line")
    for name in TOKEN_VARIABLES:
        if name in env:
            return _not_empty(env[name], name, "set it to a token, or unset it")
    return None


def _not_empty(token: str, place: str, hint: str) -> str:
    if not token.strip():
        raise CommandError([Mistake(place, "the token is empty, which protects nothing", hint)])
    return token.strip()


def same_token(expected: str, given: object) -> bool:
    """Compared in a time that does not show how much of it was right; bytes, because text would have to be ASCII."""
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(expected.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"))


def addresses_of(host: str, port: int) -> list[Address]:
    """Every address that `host` stands for, IPv4 and IPv6. Raises RunError when there is none."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise RunError(f"the host {host!r} is not known ({error}); give an address of this machine, such as 127.0.0.1") from None
    families = (socket.AF_INET, socket.AF_INET6)
    return list(dict.fromkeys((family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found if family in families))


def refuse_open_network(addresses: Sequence[Address], token: str | None) -> None:
    """Raises CommandError when others could connect and no token stops them."""
    reachable = [address[0] for _, address in addresses if not is_loopback(address[0].split("%", 1)[0])]
    if token is None and reachable:
        what = f"without a token the server listens on this machine only, and {reachable[0]} is open to others"
        raise CommandError([Mistake("host", what, f"set {TOKEN_VARIABLES[0]} (or token, or token_file), or use localhost")])


def tls_context(certfile: str | os.PathLike[str] | None, keyfile: str | os.PathLike[str] | None) -> ssl.SSLContext | None:
    """None without a certificate. Raises CommandError for one half of the pair, or files that don't fit together."""
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        missing, given = ("keyfile", "certfile") if keyfile is None else ("certfile", "keyfile")
        raise CommandError([Mistake(missing, f"is missing, and {given} alone gives no TLS", f"give both, or leave out {given}")])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        for path in (certfile, keyfile):
            refuse_special(path)
        context.load_cert_chain(certfile, keyfile, password="")  # a key with a password is an error, not a question
    except (OSError, ValueError) as error:  # SSLError is an OSError
        what = f"no TLS with {certfile} and {keyfile}: {unusable_pem([certfile, keyfile]) or error}"
        raise CommandError([Mistake("certfile", what, "give PEM files of a certificate and its key, without a password")]) from None
    return context
