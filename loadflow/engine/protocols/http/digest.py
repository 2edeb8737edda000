"""HTTP Digest authentication (RFC 7616): a server's challenge, and the field that answers it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["Challenge", "DigestKeys", "challenge_in"]

# the strongest first; RFC 7616 section 3.2, whose SHA-512-256 hardly any server has
ALGORITHMS = {"SHA-256": "sha256", "MD5": "md5"}
# neither goes back in what it has read, so that a field of any length takes a time that grows as it does
_SCHEME = re.compile(r"(?:^|,)\s*+([A-Za-z][\w-]*+)\s++(?=[\w-]++\s*+=)")
_PARAMETER = re.compile(r'(?<![\w-])([\w-]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s",]++))')


@dataclass(frozen=True, slots=True)
class DigestKeys:
    username: str
    password: str


@dataclass
class Challenge:
    """What a server asked for, and how often it was answered. `random` gives the client's nonce."""

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    qop: str | None  # auth, auth-int; None: of a server of RFC 2069
    names_algorithm: bool
    hashes_user: bool
    random: Callable[[], str] = lambda: secrets.token_urlsafe(24)
    count: int = 0

    def answer(self, keys: DigestKeys, method: str, target: str, body: bytes) -> str:
        """The value of an Authorization field for the next request."""
        self.count += 1
        count, cnonce = f"{self.count:08x}", self.random()
        secret = self._hash(f"{keys.username}:{self.realm}:{keys.password}")
        if self.algorithm.lower().endswith("-sess"):
            secret = self._hash(f"{secret}:{self.nonce}:{cnonce}")
        asked = f"{method}:{target}"
        if self.qop == "auth-int":
            asked += f":{self._hash(body)}"
        between = self.nonce if self.qop is None else f"{self.nonce}:{count}:{cnonce}:{self.qop}"
        username = self._hash(f"{keys.username}:{self.realm}") if self.hashes_user else keys.username
        fields = {"username": username, "realm": self.realm, "nonce": self.nonce, "uri": target}
        fields["response"] = self._hash(f"{secret}:{between}:{self._hash(asked)}")
        if self.opaque is not None:
            fields["opaque"] = self.opaque
        parts = [f"{name}={_quoted(value)}" for name, value in fields.items()]
        parts += [f"algorithm={self.algorithm}"] if self.names_algorithm else []
        parts += [] if self.qop is None else [f"qop={self.qop}", f"nc={count}", f"cnonce={_quoted(cnonce)}"]
        parts += ["userhash=true"] if self.hashes_user else []
        return f"Digest {', '.join(parts)}"

    def _hash(self, data: str | bytes) -> str:
        kind = ALGORITHMS[self.algorithm.upper().removesuffix("-SESS")]
        return hashlib.new(kind, data.encode() if isinstance(data, str) else data, usedforsecurity=False).hexdigest()


def challenge_in(lines: Iterable[str]) -> Challenge | None:
    """The strongest of those that the WWW-Authenticate fields of an answer hold; None: there is none of Digest.

    Raises HitFailure where there are some, and none that can be answered.
    """
    asked = [dict(found) for line in lines for scheme, found in _challenges(_read(line)) if scheme.lower() == "digest"]
    order = list(ALGORITHMS)
    usable = [one for one in asked if one.get("algorithm", "MD5").upper().removesuffix("-SESS") in ALGORITHMS and "nonce" in one]
    if asked and not usable:
        raise HitFailure(Outcome.PROTOCOL, "a challenge of Digest that can't be answered: of an algorithm other than MD5 and SHA-256")
    if not usable:
        return None
    best = min(usable, key=lambda one: order.index(one.get("algorithm", "MD5").upper().removesuffix("-SESS")))
    offered = [one.strip().lower() for one in best["qop"].split(",")] if "qop" in best else []
    return Challenge(
        realm=best.get("realm", ""),
        nonce=best["nonce"],
        opaque=best.get("opaque"),
        algorithm=best.get("algorithm", "MD5"),
        qop=next((one for one in ("auth", "auth-int") if one in offered), None),
        names_algorithm="algorithm" in best,
        hashes_user=best.get("userhash", "").lower() == "true",
    )


def _read(line: str) -> str:
    """Header fields are read as Latin-1, and RFC 7616 section 3.3 has UTF-8."""
    try:
        return line.encode("latin-1").decode()
    except UnicodeError:
        return line


def _challenges(line: str) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """Scheme and parameters of each challenge of a field, which may hold several."""
    starts = list(_SCHEME.finditer(line))
    for at, start in enumerate(starts):
        end = starts[at + 1].start() if at + 1 < len(starts) else len(line)
        parameters = []
        for name, quoted, plain in _PARAMETER.findall(line[start.end() : end]):
            parameters.append((name.lower(), plain or re.sub(r"\\(.)", r"\1", quoted)))
        yield start[1], parameters


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
