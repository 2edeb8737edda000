"""TLS 1.3 records laid out by hand behind a real handshake (RFC 8446), for no library sends what hostile servers do.

The handshake is OpenSSL's, whose key log gives the secret of what the server sends.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ssl
import struct
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

__all__ = ["ALERT", "CONTENT", "HANDSHAKE", "SERVER_NAME", "Records", "certificate_path", "server_context", "ticket"]

ALERT, HANDSHAKE, CONTENT = 21, 22, 23
# section B.4: the hash, the bytes of a key, and what encrypts
CIPHERS: dict[str, tuple[Any, int, type[AESGCM] | type[ChaCha20Poly1305]]] = {
    "TLS_AES_128_GCM_SHA256": (hashlib.sha256, 16, AESGCM),
    "TLS_AES_256_GCM_SHA384": (hashlib.sha384, 32, AESGCM),
    "TLS_CHACHA20_POLY1305_SHA256": (hashlib.sha256, 32, ChaCha20Poly1305),
}
SERVER_NAME = "hostile"
NONCE_BYTES = 12
TAG_BYTES = 16
RANDOM = slice(11, 43)  # of a ClientHello, in the first record of a connection


def certificate_path(folder: Path, certificates: int = 1) -> Path:
    """Where the certificate is, with its key, once there is a context."""
    return folder / f"chain-{certificates}.pem"


def server_context(folder: Path, certificates: int) -> ssl.SSLContext:
    """TLS 1.3 and no tickets; a certificate of one's own, shown so many times: `certificate_path`. Its key log is `folder`/keys."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SERVER_NAME)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    path = certificate_path(folder, certificates)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM) * certificates)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(path)
    context.num_tickets = 0
    context.set_alpn_protocols(["h2", "http/1.1"])  # the first that the client offers, if it offers any
    context.keylog_filename = str(folder / "keys")
    return context


def ticket(size: int) -> bytes:
    """A NewSessionTicket (section 4.6.1)."""
    body = struct.pack("!II", 3600, 1) + b"\1n" + struct.pack("!H", size) + b"t" * size + b"\0\0"
    return b"\4" + struct.pack("!I", len(body))[1:] + body


class Records:
    """What a server sends on one connection after its handshake. `hello`: the first bytes that the client sent."""

    def __init__(self, folder: Path, hello: bytes, cipher: str) -> None:
        self._hash, self._key_bytes, self._encrypts = CIPHERS[cipher]
        self._secret = _secret_of(folder / "keys", hello[RANDOM].hex())
        self._take_keys()

    def record(self, kind: int, data: bytes) -> bytes:
        """Section 5.2."""
        inner = data + bytes([kind])
        begin = b"\x17\x03\x03" + struct.pack("!H", len(inner) + TAG_BYTES)
        nonce = (self._start ^ self._sent).to_bytes(NONCE_BYTES, "big")
        self._sent += 1
        return begin + self._aead.encrypt(nonce, inner, begin)

    def new_keys(self, asks: bool) -> bytes:
        """A KeyUpdate (section 4.6.3). `asks`: the client is to do the same."""
        made = self.record(HANDSHAKE, b"\x18\0\0\1" + bytes([asks]))
        self._secret = self._expanded(b"traffic upd", self._hash().digest_size)
        self._take_keys()
        return made

    def _take_keys(self) -> None:
        """Section 7.3."""
        self._aead = self._encrypts(self._expanded(b"key", self._key_bytes))
        self._start = int.from_bytes(self._expanded(b"iv", NONCE_BYTES), "big")
        self._sent = 0

    def _expanded(self, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label (section 7.1) without a context, for no more bytes than a hash has."""
        info = struct.pack("!H", size) + bytes([len(label) + 6]) + b"tls13 " + label + b"\0"
        return hmac.digest(self._secret, info + b"\1", self._hash)[:size]


def _secret_of(keys: Path, client_random: str) -> bytes:
    for line in keys.read_text().splitlines():
        if line.startswith(f"SERVER_TRAFFIC_SECRET_0 {client_random} "):
            return bytes.fromhex(line.rpartition(" ")[2])
    raise LookupError("the key log does not know the connection")
