"""Which key files are refused, with the way out, wherever a file is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from loadflow.engine.base.pem import unusable_pem
from loadflow.engine.control.access import tls_context
from loadflow.engine.protocols.running.tls_files import trouble_with
from loadflow.errors import CommandError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, and its key in every form that people have."""
    folder = tmp_path_factory.mktemp("keys")
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = serialization.BestAvailableEncryption(b"pw")
    pem, der, none = serialization.Encoding.PEM, serialization.Encoding.DER, serialization.NoEncryption()
    new, old = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
    for name, form in {
        "plain.pem": (pem, new, none),
        "old.pem": (pem, old, none),
        "encrypted.pem": (pem, new, locked),
        "old-encrypted.pem": (pem, old, locked),
        "key.der": (der, new, none),
    }.items():
        (folder / name).write_bytes(key.private_bytes(*form))
    both = (folder / "cert.pem").read_bytes() + (folder / "encrypted.pem").read_bytes()
    (folder / "both-encrypted.pem").write_bytes(both)
    return folder


FORMS = [
    ("plain.pem", ""),
    ("old.pem", ""),
    ("encrypted.pem", "is encrypted, and its password is not known; write one without: openssl pkey -in "),
    ("old-encrypted.pem", "is encrypted, and its password is not known; write one without: openssl pkey -in "),
    ("both-encrypted.pem", "is encrypted, and its password is not known"),
    ("key.der", "is a binary file (DER or PKCS#12), and only PEM files are supported; write one: openssl x509"),
]


@pytest.mark.parametrize(("name", "text"), FORMS, ids=[row[0] for row in FORMS])
def test_a_key_that_is_not_supported_is_named_with_the_way_out(name: str, text: str, files: Path) -> None:
    pair = (str(files / "cert.pem"), str(files / name))
    found = trouble_with(True, pair)
    assert text in found
    assert bool(found) is bool(text)
    if text:
        with pytest.raises(CommandError) as raised:
            tls_context(*pair)
        assert text in str(raised.value)


def test_what_is_not_there_is_for_others_to_say(tmp_path: Path) -> None:
    assert unusable_pem([tmp_path / "gone", tmp_path]) == ""
