"""The gRPC server of the tests as they see it, and the fixtures that start and stop it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import Patience

HERE = Path(__file__).parent
PROTOS = HERE / "protos"


class GrpcShop:
    """`events` is what the server wrote down since it was told to begin anew."""

    def __init__(self, folder: Path, generated: Path, port: int = 0, **job: Any) -> None:
        self._log = folder / "received.jsonl"
        job = {"port": port, "generated": str(generated), "log": str(self._log), **job}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "grpc_shop.py"), json.dumps(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.target = f"127.0.0.1:{self.port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [event for event in self.events if "call" in event]

    @property
    def messages(self) -> list[Any]:
        return [event["message"] for event in self.events if "message" in event]

    def wait_for(self, holds: Callable[[list[dict[str, Any]]], bool], limit_s: float = 60.0) -> None:
        """Until what was received is as wanted."""
        patience = Patience(limit_s, lambda: len(self.events))
        while not holds(self.events):
            assert not patience.is_over(), self.events
            time.sleep(0.01)

    def begin_anew(self) -> None:
        """As after its start, once no call is under way."""
        self._tell("reset", "as new")

    def drain(self, grace_s: float) -> None:
        """Take no new calls, tell the clients (GOAWAY), and wait for those under way."""
        self._tell(f"stop {grace_s}", "stopped")

    def _tell(self, order: str, answer: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{answer}\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate("")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code that protoc generates."""
    folder = tmp_path_factory.mktemp("generated")
    paths = [f"--proto_path={PROTOS}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *paths, "shop.proto", "common/money.proto"], check=True)
    return folder


@pytest.fixture
def new_shop(tmp_path: Path, generated: Path) -> Iterator[Callable[..., GrpcShop]]:
    """Starts servers, which end with the test."""
    started: list[GrpcShop] = []

    def start(**job: Any) -> GrpcShop:
        started.append(GrpcShop(tmp_path, generated, **job))
        return started[-1]

    yield start
    for shop in started:
        shop.close()


@pytest.fixture(scope="session")
def kept_shop(tmp_path_factory: pytest.TempPathFactory, generated: Path) -> Iterator[GrpcShop]:
    """One without TLS, for all tests of a process that end none."""
    shop = GrpcShop(tmp_path_factory.mktemp("shop"), generated)
    yield shop
    shop.close()


@pytest.fixture
def shop(kept_shop: GrpcShop) -> GrpcShop:
    kept_shop.begin_anew()
    return kept_shop
