"""Who is let in: tokens, TLS, and where a server may listen."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from loadflow.engine.control.access import TOKEN_VARIABLES, find_token, same_token
from loadflow.engine.control.client import ControlClient, ControlError
from loadflow.engine.control.frames import encode_frame
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.server import ControlServer
from loadflow.errors import CommandError, RunError
from tests.control.serving import QUICK, RawClient, client_of, serving

NO_TOKEN = [({}, None), ({"PATH": "x"}, None)]


@pytest.fixture(autouse=True)
def no_token_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_token_comes_from_the_argument_then_the_file_then_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from the file\nsecond line\n")
    env = {"LOADFLOW_SOCKET_TOKEN": "ours", "LOAD_DENSITY_SOCKET_TOKEN": "theirs"}
    assert find_token("given", None, env) == "given"
    assert find_token(None, path, env) == "from the file"
    assert find_token(None, None, env) == "ours"
    assert find_token(None, None, {"LOAD_DENSITY_SOCKET_TOKEN": "theirs"}) == "theirs"
    assert find_token(None, None, {}) is None


@pytest.mark.parametrize("where", ["argument", "file", *TOKEN_VARIABLES])
@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_token_is_refused_wherever_it_comes_from(tmp_path: Path, where: str, empty: str) -> None:
    path = tmp_path / "token"
    path.write_text(empty)
    with pytest.raises(CommandError, match="the token is empty"):
        find_token(empty if where == "argument" else None, path if where == "file" else None, {where: empty})


def test_a_token_file_that_is_gone_and_two_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read"):
        find_token(None, tmp_path / "gone", {})
    with pytest.raises(CommandError, match="give one of them"):
        find_token("a", tmp_path / "gone", {})


@pytest.mark.parametrize(
    ("given", "same"), [("gehéim€", True), ("geheim", False), ("", False), (None, False), (3, False), ("\ud800", False)]
)
def test_tokens_of_any_characters_are_compared(given: object, same: bool) -> None:
    assert same_token("gehéim€", given) is same


REFUSED = [
    ("none", {}),
    ("a wrong one", {"token": "wrong"}),
    ("an empty one", {"token": ""}),
    ("half a character", {"token": "\ud800"}),
    ("a number", {"token": 3}),
]


@pytest.mark.parametrize(("what", "keys"), REFUSED, ids=[row[0] for row in REFUSED])
def test_without_the_token_nothing_is_answered_and_the_connection_closed(tmp_path: Path, what: str, keys: dict[str, object]) -> None:
    with serving(tmp_path, token="gehéim€") as server:
        with RawClient(server) as client:
            reply = client.ask(op="list", **keys)
            assert (reply["ok"], reply["error"]["kind"]) == (False, "unauthorised")
            assert "gehéim€" not in str(reply)
            assert client.reply() is None
        with client_of(server, token="gehéim€") as right:
            assert right.list() == []


def test_several_guesses_at_once_get_one_answer(tmp_path: Path) -> None:
    with serving(tmp_path, token="right") as server, RawClient(server) as client:
        client.send(encode_frame(b'{"op": "list", "token": "wrong"}') * 3 + encode_frame(b'{"op": "list", "token": "right"}'))
        assert client.reply()["error"]["kind"] == "unauthorised"
        assert client.reply() is None


def test_one_right_token_opens_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path, token="right") as server, RawClient(server) as client:
        assert client.ask(op="list", token="right")["ok"]
        assert client.ask(op="list")["ok"]
        assert client.ask(op="list", token="wrong")["error"]["kind"] == "unauthorised"


def test_an_unauthorised_client_learns_nothing_of_the_operations(tmp_path: Path) -> None:
    with serving(tmp_path, token="right") as server, RawClient(server) as client:
        assert client.ask(op="nonsense")["error"]["message"] == "token required"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_without_a_token_others_may_not_connect(tmp_path: Path, host: str) -> None:
    with pytest.raises(CommandError, match="LOADFLOW_SOCKET_TOKEN"):
        ControlServer(host, 0).start()


def test_with_a_token_others_may_connect(tmp_path: Path) -> None:
    with ControlServer("0.0.0.0", 0, token="t", root=tmp_path) as server, client_of(server, token="t") as client:
        assert client.list() == []


def test_localhost_is_served_over_ipv4_and_ipv6(tmp_path: Path) -> None:
    with ControlServer("localhost", 0, root=tmp_path) as server:
        served = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as probe:
                try:
                    probe.bind((address, 0))
                except OSError:
                    continue  # the machine has no such family
            if (family, address) in [(info[0], info[4][0]) for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)]:
                served.append(address)
                with ControlClient(address, server.port) as client:
                    assert client.list() == []
        assert served


def test_a_port_that_is_taken_is_a_plain_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"port {port} of 127.0.0.1 is taken"):
            ControlServer("127.0.0.1", port, root=tmp_path).start()


def test_an_unknown_host_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not known"):
        ControlServer("no.such.host.invalid", 0, token="t", root=tmp_path).start()


# -- TLS


class Certificate:
    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.files = {"certfile": folder / "cert.pem", "keyfile": folder / "key.pem"}
        issued.cert_chain_pems[0].write_to_path(self.files["certfile"])
        issued.private_key_pem.write_to_path(self.files["keyfile"])

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path)


def test_over_tls_everything_works_the_same(tmp_path: Path, certificate: Certificate) -> None:
    with serving(tmp_path, token="t", **certificate.files) as server:
        assert server.handle()["tls"] is True
        with client_of(server, token="t", tls=certificate.client()) as client:
            run = client.start([["range", [30_000]]])  # more than one TLS record each way
            assert client.follow(run)["actions"][0]["value"][-1] == 29_999


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(tmp_path: Path, certificate: Certificate, version: ssl.TLSVersion) -> None:
    context = certificate.client()
    context.minimum_version = context.maximum_version = version
    with serving(tmp_path, **certificate.files) as server, client_of(server, tls=context) as client:
        assert client.list() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(tmp_path: Path, certificate: Certificate) -> None:
    context = certificate.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(tmp_path, **certificate.files) as server, pytest.raises(RunError):
        client_of(server, tls=context)


def test_a_plain_client_on_a_tls_port_is_closed(tmp_path: Path, certificate: Certificate) -> None:
    with serving(tmp_path, **certificate.files) as server, RawClient(server) as client:
        client.send(encode_frame(b'{"op": "list"}'))
        assert b"ok" not in client.all()


def test_a_tls_client_on_a_plain_port_is_closed(tmp_path: Path, certificate: Certificate) -> None:
    with serving(tmp_path) as server, pytest.raises(RunError):
        client_of(server, tls=certificate.client())


def test_a_handshake_that_never_comes_holds_up_nobody_and_is_closed(tmp_path: Path, certificate: Certificate) -> None:
    limits = Limits(handshake_s=0.5)
    with serving(tmp_path, limits=limits, **certificate.files) as server, RawClient(server) as silent:
        silent.send(b"\x16\x03")
        with client_of(server, tls=certificate.client()) as client:
            assert client.list() == []
        assert silent.all() == b""


def test_a_silent_tls_client_is_closed_in_time(tmp_path: Path, certificate: Certificate) -> None:
    context = certificate.client()
    with serving(tmp_path, limits=QUICK, **certificate.files) as server, RawClient(server) as raw:
        wrapped = context.wrap_socket(raw.sock, server_hostname="localhost")
        assert b"timeout" in wrapped.recv(4_096)
        wrapped.close()


def test_half_a_pair_of_certificate_and_key_is_an_error(certificate: Certificate) -> None:
    with pytest.raises(CommandError, match="keyfile: is missing"):
        ControlServer(certfile=certificate.files["certfile"])
    with pytest.raises(CommandError, match="certfile: is missing"):
        ControlServer(keyfile=certificate.files["keyfile"])


def test_files_that_are_no_pair_are_an_error(tmp_path: Path, certificate: Certificate) -> None:
    with pytest.raises(CommandError, match="no TLS with"):
        ControlServer(certfile=certificate.files["certfile"], keyfile=tmp_path / "gone")
    with pytest.raises(CommandError, match="no TLS with"):
        ControlServer(certfile=certificate.files["keyfile"], keyfile=certificate.files["certfile"])


def test_the_client_tells_a_refusal_from_a_lost_connection(tmp_path: Path) -> None:
    with serving(tmp_path, token="t") as server:
        with client_of(server, token="x") as client, pytest.raises(ControlError, match="unauthorised"):
            client.list()
        port = server.port
    with pytest.raises(RunError, match="no control plane at"):
        ControlClient("127.0.0.1", port)
