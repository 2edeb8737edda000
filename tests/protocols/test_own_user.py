"""A user type that a program adds: the example of the docs against a server of its protocol, and what else must hold."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadflow import CommandError, Form, MessageStep, UserType, add_user_type
from tests.protocols.peers import running_loop

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
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "'requests': 150" in done.stdout, done.stdout
    assert "'failures': 0" in done.stdout, done.stdout
    assert received == {"PUT": 50, "PUT shared": 50, "GET shared": 50}
    assert len(kept) == 51
    assert len(connections) == 5


def test_two_user_types_can_not_have_one_name() -> None:
    with pytest.raises(CommandError, match="another user type has this name"):
        add_user_type(UserType("http_user", Form(MessageStep), "nowhere:X", "nowhere:Y"))
