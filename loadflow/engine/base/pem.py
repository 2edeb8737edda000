"""Which files of keys and certificates can be used: PEM (RFC 7468), and keys with a password only where that is known."""

from __future__ import annotations

import os
from collections.abc import Iterable

from loadflow.engine.base.regular_file import open_regular

__all__ = ["decrypted_key", "unusable_pem"]

ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
MOST_BYTES = 1 << 20  # of a file that is looked at; a bundle of all public CAs has 200 kB


def decrypted_key(path: str, password: str) -> bytes:
    """The PEM text of a key, without its password. Raises OSError where the file can't be read, ValueError where it holds no such key."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    with open_regular(path, "rb") as file:
        content: bytes = file.read(MOST_BYTES)
    is_encrypted = any(mark in content for mark in ENCRYPTED)
    try:
        key = load_pem_private_key(content, password.encode() if is_encrypted else None)
    except TypeError as error:  # an empty password
        raise ValueError(str(error)) from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def unusable_pem(paths: Iterable[str | os.PathLike[str]], *, has_password: bool = False) -> str:
    """Why one of the files can't be used, and how it is turned into one that can; "" where its form is right, or it can't be read.

    PKCS#8 says ENCRYPTED in its label (RFC 5958), older keys in a header (RFC 1421 section 4.6.1.1).
    """
    for path in paths:
        try:
            with open_regular(path, "rb") as file:
                content: bytes = file.read(MOST_BYTES)
        except OSError:
            continue
        if not has_password and any(mark in content for mark in ENCRYPTED):
            return f"the key in {path} is encrypted, and its password is not known; write one without: openssl pkey -in {path} -out FILE"
        if content[:1] == b"\x30" and b"-----BEGIN " not in content:  # a SEQUENCE of ASN.1
            return (
                f"{path} is a binary file (DER or PKCS#12), and only PEM files are supported; write one: "
                f"openssl x509 -inform DER -in {path} -out FILE, or openssl pkcs12 -in {path} -nodes -out FILE"
            )
    return ""
