"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.kinds import WITH_LONG
from tests.targets.fixture import Target

pytest_plugins = [
    "tests.kinds",
    "tests.forked_engines",
    "tests.helm",
    "tests.leftovers_plugin",
    "tests.order",
    "tests.prefect_database",
    "tests.prefect_servers",
    "tests.protocols.grpc.grpc_peer",
    "tests.times",
    "tests.warm.plugin",
]

# properties are about values; a busy machine must not fail them. What every change runs is the same each time, `make test-thorough`
# looks elsewhere each time. Where `long` tests are left out, there are fewer values too
hypothesis.settings.register_profile("loadflow", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1_000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("LOADFLOW_HYPOTHESIS", "loadflow" if WITH_LONG else "quick"))

# what tests expect of runs must not hang on whether this machine was calibrated
os.environ["LOADFLOW_CALIBRATION"] = str(Path(__file__).with_name("no-calibration.json"))
# nor on how busy it is: the tests about the generator's lag set their own limit
os.environ["LOADFLOW_LAG_LIMIT_MS"] = "60000"


# a shell starts what it puts into the background with Ctrl-C ignored, and every process that a test starts would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """One recording server for all tests of a process; each test calls `target.reset()` first."""
    with Target() as target:
        yield target


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything should be installed (CI), a skipped test is a failed one, unless allowed_skips.txt knows its reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("LOADFLOW_REQUIRE_SERVICES") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        allowed = Path(__file__).with_name("allowed_skips.txt").read_text(encoding="utf-8").splitlines()
        if not any(reason.removeprefix("Skipped: ").startswith(line) for line in allowed if line and not line.startswith("#")):
            report.outcome = "failed"
            report.longrepr = f"skipped, though LOADFLOW_REQUIRE_SERVICES=1: {reason}"
    return report


@pytest.fixture
def unused_port() -> int:
    """A port of the loopback range that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
