"""Which files of keys and certificates can be used: PEM (RFC 7468), and keys without a password."""

from __future__ import annotations

import os
from collections.abc import Iterable

from loadflow.engine.base.regular_file import open_regular

__all__ = ["unusable_pem"]

MOST_BYTES = 1 << 20  # of a file that is looked at; a bundle of all public CAs has 200 kB


def unusable_pem(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Why one of the files can't be used, and how it is turned into one that can; "" where its form is right, or it can't be read.

    PKCS#8 says ENCRYPTED in its label (RFC 5958), older keys in a header (RFC 1421 section 4.6.1.1).
    """
    for path in paths:
        try:
            with open_regular(path, "rb") as file:
                content: bytes = file.read(MOST_BYTES)
        except OSError:
            continue
        if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in content or b"Proc-Type: 4,ENCRYPTED" in content:
            way_out = f"write one: openssl pkey -in {path} -out FILE"
            return f"the key in {path} is encrypted, and only keys without a password are supported; {way_out}"
        if content[:1] == b"\x30" and b"-----BEGIN " not in content:  # a SEQUENCE of ASN.1
            return (
                f"{path} is a binary file (DER or PKCS#12), and only PEM files are supported; write one: "
                f"openssl x509 -inform DER -in {path} -out FILE, or openssl pkcs12 -in {path} -nodes -out FILE"
            )
    return ""
