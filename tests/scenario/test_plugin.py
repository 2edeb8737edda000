"""The pytest plugin: a load is a test, which fails with the load."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

from tests.targets.fixture import Target
from tests.waiting import HANG_S

# where loadflow is installed, pytest finds the plugin by itself
INSTALLED = any(one.value == "loadflow.pytest_plugin" for one in entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "loadflow.pytest_plugin"]

SHOP = """
    from loadflow import VUser, scenario, task

    @scenario(rps=500, duration="1h")
    class Shop(VUser):
        @task
        def home(self, client):
            client.get("/ok", name="front page")

        @task
        def broken(self, client):
            client.get("/status/500")
"""
TESTS = """
    import pytest

    @pytest.mark.load("shop.py:Shop", rps=10, duration="1s", mode="constant", max_failure_rate=0.5)
    def test_it_holds(load_result):
        assert load_result.passed, load_result.reasons
        assert load_result["front page"].count == 5

    @pytest.mark.load("shop.py", rps=10, duration="1s", mode="constant")
    def test_it_does_not(load_result):
        assert load_result.passed, load_result.reasons

    @pytest.mark.load("shop.py", rsp=10)
    def test_of_no_such_key(load_result):
        pass

    def test_without_a_mark(load_result):
        pass
"""


def test_a_load_is_a_test(target: Target, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    (tmp_path / "test_shop.py").write_text(dedent(TESTS))
    command = [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "-rA", "--load-target", target.url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert "PASSED test_shop.py::test_it_holds" in done.stdout, done.stdout
    assert "5 of 10 hits failed (50.00%); max_failure_rate allows none" in done.stdout
    assert "load_density[0].rsp: 'rsp' is not an argument of LD_start_test" in done.stdout
    assert "load_result needs @pytest.mark.load" in done.stdout
    assert "1 passed, 1 failed, 2 errors" in done.stdout or "1 failed, 1 passed, 2 errors" in done.stdout
