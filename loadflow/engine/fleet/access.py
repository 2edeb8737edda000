"""How a connection to a NATS server is made and proven, and what an agent may do there.

With a server of our own both users' keys are made from one token (`Keys`), which never travels: NATS asks for a signature (nkeys). So is
the authority that has signed the server's certificate: with the token an agent knows the right server, and no other can take its place.
A server of others has its own ways: a file of credentials, a certificate of a known authority, a user and a password in a file's URL.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadflow.engine.fleet.subjects import AGENTS, QUEUE, WHO
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["CREDENTIALS_VARIABLE", "URL_VARIABLE", "Access", "Certificate", "Keys", "agent_permissions", "given_access"]

# scrypt makes each guess of a token cost 16 MB and some 50 ms; the salt is no secret, it keeps these keys apart from others
SALT = b"loadflow fleet 2"
COST, BLOCK = 2**14, 8
VALID = timedelta(days=30)
SUBJECT = "loadflow fleet"
URL_VARIABLE = "LOADFLOW_NATS_URL"  # may hold a user and a password, as a command line may not

CREDENTIALS_VARIABLE = "LOADFLOW_NATS_CREDS"  # a file, as of --nats-creds


@dataclass(frozen=True)
class Keys:
    """What follows from a token: the coordinator's and the agents' nkey seeds, and the key of the authority, 32 bytes."""

    coordinator: str
    agent: str
    authority: bytes

    @classmethod
    def of(cls, token: str) -> Keys:
        """Takes some 50 ms, on purpose."""
        raw = hashlib.scrypt(token.encode(), salt=SALT, n=COST, r=BLOCK, p=1, dklen=96, maxmem=64 * 2**20)
        return cls(_seed(raw[:32]), _seed(raw[32:64]), raw[64:])

    @cached_property
    def coordinator_public(self) -> str:
        return _public(self.coordinator)

    @cached_property
    def agent_public(self) -> str:
        return _public(self.agent)


@dataclass(frozen=True, slots=True)
class Access:
    """One way in. `seed`: an nkey's; `credentials`: a file as NATS accounts have them, or `credentials_text`, what is in it; `authority`:
    the key that has signed the server's certificate (see `Keys`); None: the authorities that this machine believes."""

    url: str
    seed: str = field(default="", repr=False)
    credentials: str | None = None
    authority: bytes | None = None
    credentials_text: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """For people: without what the URL may hold of a user."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def options(self) -> dict[str, Any]:
        """For `nats.connect`."""
        options: dict[str, object] = {"servers": [self.url]}
        if self.seed:
            options["nkeys_seed_str"] = self.seed
        if self.credentials:
            text = Path(self.credentials).read_text(encoding="utf-8", errors="replace")
            options["nkeys_seed" if text.strip().startswith("SU") else "user_credentials"] = self.credentials
        if self.credentials_text:
            from nats.aio.client import RawCredentials

            options["user_credentials"] = RawCredentials(self.credentials_text)
        if self.authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # the authority signs for this run's server and for no other
            context.load_verify_locations(cadata=Certificate.authority_pem(self.authority).decode())
            options["tls"] = context
        return options


def given_access(url: str, credentials: str | None, place: str) -> Access:
    """To a server that others run. Raises CommandError, which names `place`, for what is not a URL of one, or no file."""
    text = url if "://" in url else f"nats://{url}"
    parts = urlsplit(text)
    try:
        fine = parts.scheme in ("nats", "tls", "ws", "wss") and bool(parts.hostname) and (parts.port or 4222) > 0
    except ValueError:
        fine = False
    if not fine:
        raise CommandError([Mistake(place, f"{url!r} is not an address of a NATS server", "write for example nats://10.0.0.5:4222")])
    if parts.password and url != os.environ.get(URL_VARIABLE):
        hint = f"set {URL_VARIABLE} to it, or give a file with --nats-creds: everybody on this machine can read a command line"
        raise CommandError([Mistake(place, "holds a password", hint)])
    if credentials is not None and not Path(credentials).is_file():
        raise CommandError([Mistake("--nats-creds", f"{credentials} is not a file", "name the file that `nsc` or `nk` made")])
    return Access(text, credentials=credentials)


def agent_permissions() -> dict[str, object]:
    """Of the user `agent` on a server of our own: it leases shards, asks, and reports; it reads orders. It may not give orders, read what
    others recorded, or make or delete a stream."""
    return {
        "publish": {
            "allow": [
                "lf.*.out.*.*",
                "lf.*.beat",
                "lf.*.plan",
                "lf.*.time",
                f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.{AGENTS}",
                f"$JS.ACK.{QUEUE}.{AGENTS}.>",
            ]
        },
        "subscribe": {"allow": ["_INBOX.>", "lf.*.order", WHO, "$SRV.>"]},
        "allow_responses": {"max": 1, "ttl": "10s"},
    }


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM. The server's own, for this run, and its key."""

    chain: bytes
    key: bytes

    @classmethod
    def of(cls, keys: Keys) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.x509.oid import NameOID

        key = Ed25519PrivateKey.generate()
        authority = Ed25519PrivateKey.from_private_bytes(keys.authority)
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loadflow NATS server")]))
            .issuer_name(_authority_name())
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALID)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("loadflow")]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
            .sign(authority, None)
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return cls(certificate.public_bytes(serialization.Encoding.PEM), private)

    @staticmethod
    def authority_pem(secret: bytes) -> bytes:
        """The authority's certificate; each end makes it for itself."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(secret)
        now = datetime.now(UTC)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_authority_name())
            .issuer_name(_authority_name())
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, None)
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _authority_name() -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SUBJECT)])


def _seed(raw: bytes) -> str:
    import nkeys

    seed: bytes = nkeys.encode_seed(raw, nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def _public(seed: str) -> str:
    import nkeys

    public: bytes = nkeys.from_seed(seed.encode()).public_key
    return public.decode()
