"""Keys and certificates of other kinds than today's usual ones: every HTTP user takes what OpenSSL's users take."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadflow.engine.generator.native.fit import features_that_do_not_fit, is_built
from loadflow.engine.records.outcome import Outcome
from loadflow.errors import CommandError
from tests.generator.test_native import plan_of
from tests.load.harness import USERS, get, load
from tests.protocols.peers import Loop, running_loop
from tests.services import need

KINDS = {
    "rsa768": "-newkey rsa:768",
    "rsa-pss": "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048",
    "sha1": "-newkey rsa:2048 -sha1",
    "ed25519": "-newkey ed25519",
    "ed448": "-newkey ed448",
    "rsa1024": "-newkey rsa:1024",
    "p521": "-newkey ec -pkeyopt ec_paramgen_curve:secp521r1",
    "p256": "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1",
}


def made(folder: Path, name: str, how: str) -> tuple[str, str]:
    """Certificate and key, signed by itself."""
    cert, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    openssl(f"req -x509 -nodes -subj /CN=localhost {how} -keyout {key} -out {cert}")
    return cert, key


def openssl(words: str) -> None:
    need(shutil.which("openssl"), "openssl is not installed")
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


def serving(loop: Loop, pair: tuple[str, str], client: str | None = None) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(*pair)
    if client is not None:
        context.load_verify_locations(client)
        context.verify_mode = ssl.CERT_REQUIRED
    return loop.tcp(answer, tls=context)


@pytest.mark.parametrize("user", USERS)
def test_any_key_of_a_server_will_do_that_nobody_verifies(user: str, loop: Loop, tmp_path: Path) -> None:
    steps = [get(f"https://127.0.0.1:{serving(loop, made(tmp_path, name, how))}/", name=name, verify=False) for name, how in KINDS.items()]
    done = load(tmp_path, steps, user=user)
    assert [(hit.name, hit.outcome, hit.error) for hit in done.hits] == [(name, Outcome.OK, "") for name in KINDS]


@pytest.mark.parametrize("user", USERS)
def test_a_client_may_show_a_certificate_of_the_first_version(user: str, loop: Loop, tmp_path: Path) -> None:
    authority, key = made(tmp_path, "ca", "-newkey rsa:2048")
    openssl(f"req -new -nodes -subj /CN=client -newkey rsa:2048 -keyout {tmp_path}/c.key -out {tmp_path}/c.csr")
    openssl(f"x509 -req -in {tmp_path}/c.csr -CA {authority} -CAkey {key} -CAcreateserial -days 2 -out {tmp_path}/c.pem")
    shown = subprocess.run(["openssl", "x509", "-in", f"{tmp_path}/c.pem", "-noout", "-text"], check=True, capture_output=True, text=True)
    need("Version: 1 " in shown.stdout, "this openssl makes no X.509 version 1")
    port = serving(loop, made(tmp_path, "server", KINDS["p256"]), client=authority)
    done = load(tmp_path, [get(f"https://127.0.0.1:{port}/", verify=False, cert=[f"{tmp_path}/c.pem", f"{tmp_path}/c.key"])], user=user)
    assert [(hit.outcome, hit.error) for hit in done.hits] == [(Outcome.OK, "")]


def test_a_key_that_the_core_can_not_use_is_said_before_the_load(tmp_path: Path) -> None:
    need(is_built(), "the native core is not built")
    cert, key = made(tmp_path, "p521", KINDS["p521"])
    (why,) = features_that_do_not_fit(plan_of(get("/", cert=[cert, key])))
    assert why.startswith(f"the client key {key} (")


@pytest.mark.parametrize("user", USERS)
def test_a_client_s_key_may_have_a_password(user: str, loop: Loop, tmp_path: Path) -> None:
    """In both forms of PEM, in a file of its own or with its certificate; written as a placeholder it is still one."""
    cert, key = made(tmp_path, "client", KINDS["p256"])
    openssl(f"pkcs8 -topk8 -in {key} -passout pass:opensesame -out {tmp_path}/new.key")
    openssl(f"ec -in {key} -aes256 -passout pass:opensesame -out {tmp_path}/old.key")
    both = tmp_path / "both.pem"
    both.write_text(Path(cert).read_text() + (tmp_path / "new.key").read_text())
    port = serving(loop, made(tmp_path, "server", KINDS["p256"]), client=cert)
    known = {"verify": False, "cert_password": "${key_password}"}
    steps = [
        get(f"https://127.0.0.1:{port}/", name="new", cert=[cert, f"{tmp_path}/new.key"], **known),
        get(f"https://127.0.0.1:{port}/", name="old", cert=[cert, f"{tmp_path}/old.key"], **known),
        get(f"https://127.0.0.1:{port}/?${{uuid()}}", name="both", client_cert=str(both), **known),
        get(f"https://127.0.0.1:{port}/", name="none is needed", cert=[cert, key], **known),
    ]
    done = load(tmp_path, steps, user=user, variables={"key_password": "opensesame"})
    assert [(hit.outcome, hit.error) for hit in done.hits] == [(Outcome.OK, "")] * 4
    assert "opensesame" not in "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*.json"))
    with pytest.raises(CommandError, match=r"new\.key can't be used"):
        load(tmp_path, steps[:1], user=user, variables={"key_password": "wrong"})
    with pytest.raises(CommandError, match=r"its password is not known; .* or give cert_password, in an HTTP step"):
        load(tmp_path, [{**steps[0], "cert_password": None}], user=user)
    with pytest.raises(CommandError, match="is for a client certificate, and there is none"):
        load(tmp_path, [get("https://127.0.0.1/", cert_password="x")], user=user)
