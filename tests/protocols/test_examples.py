"""The examples of the protocols, each against a server; and what else must hold for a user type that a program adds."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadflow import CommandError, Form, MessageStep, UserType, add_user_type
from tests.load.harness import ENGINES, load
from tests.protocols.peers import running_loop
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_speaks_its_protocol(tmp_path: Path) -> None:
    """Each user has one connection; the server received every line, and the program's summary counts them all as passed."""
    kept: dict[str, str] = {}
    received: Counter[str] = Counter()
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while line := (await reader.readline()).decode().split():
            received[" ".join(line[:2]) if line[1] == "shared" else line[0]] += 1
            if line[0] == "PUT":
                kept[line[1]] = line[2]
            answer = "OK" if line[0] == "PUT" else f"VALUE {kept[line[1]]}" if line[1] in kept else "NONE"
            writer.write(f"{answer}\n".encode())

    with running_loop() as loop:
        port = loop.tcp(serve)
        command = [sys.executable, str(ROOT / "examples" / "own_user.py"), f"127.0.0.1:{port}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "'requests': 150" in done.stdout, done.stdout
    assert "'failures': 0" in done.stdout, done.stdout
    assert received == {"PUT": 50, "PUT shared": 50, "GET shared": 50}
    assert len(kept) == 51
    assert len(connections) == 5


def test_two_user_types_can_not_have_one_name() -> None:
    with pytest.raises(CommandError, match="another user type has this name"):
        add_user_type(UserType("http_user", Form(MessageStep), "nowhere:X", "nowhere:Y"))


def test_the_examples_of_the_docs_run_against_their_servers(tmp_path: Path) -> None:
    """websocket.json with its server, sockets.json with an echo: nothing fails, and the orders' answers are hits of their own."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    server = [sys.executable, str(ROOT / "examples" / "websocket_server.py"), "0"]
    with running_loop() as loop, subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            hosts = {"websocket.json": process.stdout.readline().strip(), "sockets.json": f"127.0.0.1:{loop.tcp(echo)}"}
            for name, host in hosts.items():
                [[_, arguments]] = json.loads((ROOT / "examples" / name).read_text())["load_density"]
                short = {**arguments, "host": host, "iterations": 3, "user_count": 2}
                detail = short.pop("user_detail_dict")
                outcomes = load(tmp_path / name, short.pop("tasks"), user=detail["user"], **short)
                assert {hit.error for hit in outcomes.hits} == {""}
                assert set(outcomes.counts().values()) == {6}
                assert ("order reply" in outcomes.counts()) is (name == "websocket.json")
        finally:
            process.kill()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_shop_takes_orders_by_a_token_and_log_ins_of_accounts_in_a_database(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (ROOT / "examples" / "users.csv").open() as file:
        accounts = [tuple(row.values()) for row in csv.DictReader(file)]
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE accounts (login TEXT, password TEXT, is_test INTEGER)")
        database.executemany("INSERT INTO accounts VALUES (?, ?, 1)", accounts)
        database.execute("INSERT INTO accounts VALUES ('root', 'no password of the shop', 0)")
    database.close()
    monkeypatch.setenv("LOADFLOW_SECRET_SHOP_CLIENT", accounts[0][1])
    monkeypatch.setenv("LOADFLOW_SECRET_SHOP_DATABASE", f"sqlite:///{tmp_path / 'shop.db'}")
    server = [sys.executable, str(ROOT / "examples" / "shop" / "server.py"), "--users", str(ROOT / "examples" / "users.csv")]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            base = process.stdout.readline().split()[-1]
            for name in ("oauth2.json", "database.json"):
                [[_, arguments]] = json.loads((ROOT / "examples" / name).read_text())
                short = {**arguments, "iterations": 3, "user_count": 2, "variables": {"base": base, "client": accounts[0][0]}}
                del short["thresholds"], short["user_detail_dict"]
                outcomes = load(tmp_path / name, short.pop("tasks"), engine=engine, **short)
                assert [hit.error for hit in outcomes.hits] == [""] * 6
        finally:
            process.kill()
