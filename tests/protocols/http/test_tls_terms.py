"""What TLS offers and whether sessions are resumed, as a server sees it: the same for both engines."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.generator.native.fit import features_that_do_not_fit
from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.connections import TlsTerms
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.generator.test_native import plan_of
from tests.load.harness import USERS, Outcomes, detail, get, load
from tests.protocols.peers import Loop, running_loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


class Server:
    """Notes of each TLS connection its version, its cipher, and whether it went on with an earlier session."""

    def __init__(self, loop: Loop, versions: tuple[str, str] = ("TLSv1_2", "TLSv1_3")) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = (ssl.TLSVersion[one] for one in versions)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        self.seen: list[tuple[str, str, bool]] = []
        self.url = f"https://127.0.0.1:{loop.tcp(self._answer, tls=context)}/"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        self.seen.append((tls.version(), tls.cipher()[0], tls.session_reused))
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def asked(tmp_path: Path, user: str, server: Server, tls: dict[str, Any], **more: Any) -> Outcomes:
    told = {**detail(user), "tls": tls, **more.pop("told", {})}
    return load(tmp_path, [get(server.url, verify=False)], user_detail_dict=told, **more)


VERSIONS: list[tuple[str, dict[str, Any], tuple[str, str], str | None]] = [
    ("all by default", {}, ("TLSv1_2", "TLSv1_3"), "TLSv1.3"),
    ("one of two", {"versions": ["1.2"]}, ("TLSv1_2", "TLSv1_3"), "TLSv1.2"),
    ("both", {"versions": ["1.3", "1.2"]}, ("TLSv1_2", "TLSv1_2"), "TLSv1.2"),
    ("one that the server has not", {"versions": ["1.3"]}, ("TLSv1_2", "TLSv1_2"), None),
]


@pytest.mark.parametrize(("tls", "has", "chosen"), [row[1:] for row in VERSIONS], ids=[row[0] for row in VERSIONS])
@pytest.mark.parametrize("user", USERS)
def test_versions(user: str, tls: dict[str, Any], has: tuple[str, str], chosen: str | None, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop, has)
    done = asked(tmp_path, user, server, tls)
    (hit,) = done.hits
    assert hit.outcome is (Outcome.TLS if chosen is None else Outcome.OK)
    assert [version for version, _, _ in server.seen] == ([] if chosen is None else [chosen])
    assert done.run.facts.tls == tuple(f"{version} {cipher}" for version, cipher, _ in server.seen), "as the server calls them"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"])
def test_ciphers(cipher: str, user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    tls = {"versions": ["1.2"], "ciphers": ["ECDHE-RSA-AES256-GCM-SHA384", cipher]}
    done = asked(tmp_path, user, server, tls)
    (hit,) = done.hits
    assert (hit.outcome, hit.error) == (Outcome.OK, "")
    assert [chosen for _, chosen, _ in server.seen] == [cipher]
    assert done.run.summary().runs[0].environment["tls"] == f"TLS 1.2; ECDHE-RSA-AES256-GCM-SHA384, {cipher}"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "whole"])
@pytest.mark.parametrize("user", USERS)
def test_a_user_goes_on_with_sessions_of_his_own(user: str, resume: bool, version: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    told = {"connection": "per_request"}
    done = asked(tmp_path, user, server, {"versions": [version], "resume": resume}, told=told, user_count=2, iterations=3)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    reused = [reused for _, _, reused in server.seen]
    assert len(reused) == 6
    assert reused.count(True) == (4 if resume else 0)  # the first connection of each user has nothing to go on with


def test_locust_makes_a_load_with_ciphers_that_the_core_has_not() -> None:
    plan = plan_of(get("/"))
    terms = TlsTerms(ciphers=("ECDHE-RSA-AES128-GCM-SHA256", "AES256-SHA"))
    plan = replace(plan, connections=replace(plan.connections, tls=terms))
    assert list(features_that_do_not_fit(plan)) == ["the cipher AES256-SHA"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("an old version", {"versions": ["1.0"]}, r"tls\.versions\[0\]: '1\.0' is not a TLS version"),
    ("no version", {"versions": []}, r"tls\.versions: must not be empty"),
    ("a cipher of TLS 1.3", {"ciphers": ["TLS_AES_128_GCM_SHA256"]}, r"TLS_AES_128_GCM_SHA256\" is no cipher of TLS 1\.2"),
    ("no cipher", {"ciphers": ["x:@SECLEVEL=0"]}, r"is no cipher of TLS 1\.2"),
    ("ciphers for nothing", {"versions": ["1.3"], "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}, r"tls\.ciphers: are those of TLS 1\.2"),
]  # fmt: skip


@pytest.mark.parametrize(("tls", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_can_not_be_meant_is_a_mistake_before_the_load(tls: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user", "tls": tls}, "host": "http://x.example", "tasks": [get("/")]}
    with pytest.raises(CommandError, match=text):
        build_plan(given, Variables(), {}, TargetRules(), lambda name: "")
