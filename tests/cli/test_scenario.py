"""`loadflow` with a Python file: run, check and script, from the outside."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from loadflow.engine.generator.native.fit import is_built
from tests.cli.running import Done, loadflow
from tests.targets.fixture import Target
from tests.waiting import HANG_S
from tests.warm.asked import MAY_BEGIN_WARM

pytestmark = pytest.mark.usefixtures("forked_below")

SHOP = """
    from loadpilot import VUser, scenario, task

    @scenario(rps=20, duration="1s", mode="constant", thresholds={"error_rate": 1, "p99_ms": 5000})
    class Shop(VUser):
        def on_start(self, client):
            self.token = client.post("/login").json()["token"]

        @task(weight=3)
        def browse(self, client):
            client.get("/ok", headers={"Authorization": f"Bearer {self.token}"})

        def check_browse(self, status, body):
            assert status == 200

        @task
        def buy(self, client):
            client.post("/echo", json={"n": 1})
"""
BRANCHES = SHOP.replace('client.post("/echo"', 'if client.get("/ok").ok:\n                client.post("/echo"')
TWO = SHOP + SHOP.replace("class Shop", "class Other").replace("from loadpilot import VUser, scenario, task", "")


def made(folder: Path, text: str) -> str:
    (folder / "shop.py").write_text(dedent(text))
    return "shop.py"


def run(folder: Path, file: str, target: Target, *more: str) -> Done:
    return loadflow(folder, "run", file, "--direct", "--target", target.url, *more)


def test_a_scenario_runs_with_exact_weights(target: Target, tmp_path: Path) -> None:
    target.reset()
    done = run(tmp_path, made(tmp_path, SHOP), target, "--results-json", "out/results.json", "--json")
    assert done.code == 0, done.stderr
    assert {path: count for path, count in target.counts().items() if path != "/login"} == {"/ok": 15, "/echo": 5}
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["scenario"] == "Shop"
    assert results["target_url"] == target.url
    assert (results["rps_target"], results["requests_total"], results["errors_total"], results["error_rate_pct"]) == (20, 20, 0, 0)


def test_a_run_is_held_against_the_one_that_was_kept(target: Target, tmp_path: Path) -> None:
    target.reset()
    stairs = SHOP.replace('mode="constant"', 'mode="step", steps=2')
    file = made(tmp_path, stairs)
    saved = run(tmp_path, file, target, "--save-baseline", "--results-json", "results.json")
    assert saved.code == 0, saved.stderr
    assert "knee: step 2 of 2, 20/s asked and" in saved.stdout
    assert "no step broke a limit\n" in saved.stdout
    assert saved.stdout.endswith("baseline: .loadflow/baseline.json\n")
    kept = tmp_path / ".loadflow" / "baseline.json"
    results = json.loads(kept.read_text())
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert (results["knee_point"]["step"], results["knee_point"]["rps"]) == (2, 20)
    # slower and faster than any machine can be: the comparison alone decides
    kept.write_text(json.dumps({**results, **dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms"), 1000000000.0), "rps_actual": 0}))
    better = run(tmp_path, file, target, "--baseline", ".loadflow/baseline.json")
    assert better.code == 0, better.stdout
    assert "compared with the baseline" in better.stdout and "p99 ms" in better.stdout and "worse" not in better.stdout
    kept.write_text(json.dumps({**results, "scenario": "Shed", "rps_actual": 1e9}))
    worse = run(tmp_path, file, target, "--baseline", ".loadflow/baseline.json")
    assert worse.code == 1, worse.stdout
    assert "the baseline is of 'Shed', and this is 'Shop'" in worse.stdout
    assert "worse by 10.0 % or more: RPS actual -100.0 %" in worse.stdout


def test_what_failed_is_no_baseline(target: Target, tmp_path: Path) -> None:
    file = made(tmp_path, SHOP.replace("assert status == 200", "assert status == 201"))
    done = run(tmp_path, file, target, "--save-baseline")
    assert done.code == 1
    assert done.stdout.endswith("baseline: not saved, as the verdict is failed\n")
    assert not (tmp_path / ".loadflow").exists()
    target.reset()
    both = run(tmp_path, file, target, "--save-baseline", "--baseline", "x.json")
    assert (both.code, "--save-baseline and --baseline are for two runs" in both.stderr) == (2, True)
    missing = run(tmp_path, file, target, "--baseline", "x.json")
    assert (missing.code, "can't be read: No such file" in missing.stderr) == (2, True)
    assert target.counts() == {}


def test_what_steps_can_not_say_runs_in_python(target: Target, tmp_path: Path) -> None:
    target.reset()
    file = made(tmp_path, BRANCHES)
    checked = loadflow(tmp_path, "check", file)
    assert checked.code == 0
    assert "browse: traced, 1 step" in checked.stdout
    way = "Python per hit" if is_built() else "on Locust"
    assert f"buy: {way}, because line 18 branches on a comparison" in checked.stdout
    assert run(tmp_path, file, target).code == 0
    assert {path: count for path, count in target.counts().items() if path != "/login"} == {"/ok": 20, "/echo": 5}
    refused = loadflow(tmp_path, "script", file)
    assert refused.code == 2
    assert "Shop.buy: line 18 branches on a comparison" in refused.stderr
    asks = loadflow(tmp_path, "check", made(tmp_path, SHOP.replace("@task(weight=3)", '@task(weight=3, engine="locust")')))
    assert "browse: on Locust, because line" in asks.stdout and 'is marked with engine="locust"' in asks.stdout
    assert "so Locust runs all of them, as marked: browse" in asks.stdout


def test_the_script_of_a_scenario_is_a_script(target: Target, tmp_path: Path) -> None:
    printed = loadflow(tmp_path, "script", made(tmp_path, SHOP))
    (tmp_path / "shop.json").write_text(printed.stdout)
    assert loadflow(tmp_path, "check", "shop.json").code == 0
    target.reset()
    assert loadflow(tmp_path, "run", "shop.json", "--direct", "--var", f"target={target.url}").code == 0
    assert target.counts()["/ok"] == 15


def test_a_dry_run_sends_nothing(target: Target, tmp_path: Path) -> None:
    target.reset()
    done = run(tmp_path, made(tmp_path, SHOP), target, "--dry-run")
    assert done.code == 0
    assert done.json["load_density"][0][1]["label"] == "Shop"
    assert target.counts() == {}


LIMITS: list[tuple[str, str, list[str], list[str]]] = [
    ("of its own object, one is replaced and one is new", '{"error_rate": 1, "p99_ms": 5000}', ["p99_ms=300", "max_ms=9e3"],
     ["failure_rate <= 1%", "p99 <= 300", "max <= 9000"]),
    ("beside expressions", '["p95 < 200"]', ["p99_ms=300"], ["p95 < 200", "p99 <= 300"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "own", "given", "wanted"), LIMITS, ids=[what for what, *_ in LIMITS])
def test_a_limit_may_be_given_with_the_command(what: str, own: str, given: list[str], wanted: list[str], tmp_path: Path) -> None:
    file = made(tmp_path, SHOP.replace('{"error_rate": 1, "p99_ms": 5000}', own))
    options = [word for one in given for word in ("--threshold", one)]
    done = loadflow(tmp_path, "run", file, "--target", "http://127.0.0.1:1", "--dry-run", *options)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["load_density"][0][1]["thresholds"] == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("p99_ms", "--threshold is KEY=VALUE with a number of 0 or more"),
        ("p99_ms=fast", "--threshold is KEY=VALUE with a number of 0 or more"),
        ("p99_ms=-1", "--threshold is KEY=VALUE with a number of 0 or more"),
        ("p98_ms=1", "there is no threshold 'p98_ms'"),
    ],
)
def test_a_limit_that_is_none_is_refused(given: str, words: str, tmp_path: Path) -> None:
    done = loadflow(tmp_path, "run", made(tmp_path, SHOP), "--dry-run", "--threshold", given)
    assert done.code == 2
    assert words in done.stderr


def test_one_of_several_has_to_be_named(target: Target, tmp_path: Path) -> None:
    file = made(tmp_path, TWO)
    unnamed = run(tmp_path, file, target)
    assert unnamed.code == 2
    assert "has 2 scenarios: Shop, Other" in unnamed.stderr
    misspelt = run(tmp_path, file, target, "--scenario", "Othr")
    assert (misspelt.code, "did you mean 'Other'?" in misspelt.stderr) == (2, True)
    assert run(tmp_path, file, target, "--scenario", "Other", "--dry-run").json["load_density"][0][1]["label"] == "Other"


def test_a_terminal_is_asked_which_one(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "loadflow", "run", made(tmp_path, TWO), "--dry-run"]
        with subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True) as process:
            os.write(mine, b"2\n")
            printed, _ = process.communicate(timeout=HANG_S)
        asked = os.read(mine, 100_000).decode()
    finally:
        os.close(mine)
        os.close(theirs)
    assert process.returncode == 0
    assert re.search("1 .*Shop.*  20 tasks/s, constant, 1s", asked) and re.search("2 .*Other", asked), asked
    assert json.loads(printed)["load_density"][0][1]["label"] == "Other"


def test_all_run_side_by_side(target: Target, tmp_path: Path) -> None:
    file = made(tmp_path, TWO)
    both = run(tmp_path, file, target, "--all", "--dry-run").json["load_density"][0][1]
    assert [one["name"] for one in both["populations"]] == ["Shop", "Other"]
    target.reset()
    done = run(tmp_path, file, target, "--all", "--direct")
    assert done.code in (0, 1), done.stderr
    assert {"shop: Shop", "shop: Other"} <= {word for word in ("shop: Shop", "shop: Other") if word in done.stderr + done.stdout}
    assert run(tmp_path, file, target, "--all", "--scenario", "Shop").code == 2


MISTAKES = [
    ("check_browse", "check_brwose", "Shop.check_brwose checks no task; did you mean 'browse'?"),
    ('mode="constant"', 'mode="constnt"', "mode 'constnt' is not known; did you mean 'constant'?"),
    ('"p99_ms"', '"p99ms"', "there is no threshold 'p99ms'; did you mean 'p99_ms'?"),
    ("@task(weight=3)", "@task(weight=-1)", "the weight of a task is a whole number from 0 to 1,000,000,000, not -1"),
    ("class Shop", "class Shop(", "line 5: SyntaxError"),
]


def test_what_is_wrong_with_a_file_is_said_before_anything_is_sent(target: Target, tmp_path: Path) -> None:
    target.reset()
    for right, wrong, said in MISTAKES:
        done = run(tmp_path, made(tmp_path, SHOP.replace(right, wrong)), target)
        assert done.code == 2, said
        assert said.partition(";")[0] in done.stderr
    assert target.counts() == {}


def test_a_script_alone_makes_no_machine_run_python(tmp_path: Path) -> None:
    made(tmp_path, SHOP)
    steps = [{"call": f"{tmp_path}/shop.py:Shop.browse"}]
    test = {"user_detail_dict": {"user": "python_user"}, "host": "http://127.0.0.1:1", "tasks": steps}
    (tmp_path / "shop.json").write_text(json.dumps([["LD_start_test", test]]))
    done = loadflow(tmp_path, "run", "shop.json", "--direct", LOADFLOW_ALLOW_PYTHON="")
    assert done.code == 2
    assert "functions of Python run only where LOADFLOW_ALLOW_PYTHON is set" in done.stderr


def test_each_task_once_as_a_functional_test(target: Target, tmp_path: Path) -> None:
    target.reset()
    file = made(tmp_path, SHOP.replace("assert status == 200", "assert status == 201"))
    done = loadflow(tmp_path, "test", file, "--target", target.url)
    assert done.code == 1
    assert "failed  Shop.browse\n          GET browse: status_code expected 201, got 200\n" in done.stdout
    assert "ok      Shop.buy\n" in done.stdout
    assert target.counts() == {"/login": 2, "/ok": 1, "/echo": 1}
    assert loadflow(tmp_path, "test", made(tmp_path, BRANCHES), "--target", target.url).code == 0


def test_check_proves_what_is_traced(tmp_path: Path) -> None:
    done = loadflow(tmp_path, "check", "--prove", made(tmp_path, SHOP))
    assert done.code == 0, done.stderr
    for name in ("on_start", "browse", "buy"):
        assert f"  {name}: traced, 1 step\n" in done.stdout
        assert f"  {name}: proved: 200 passes, 200 requests each the same\n" in done.stdout
    unproved = loadflow(tmp_path, "check", "--prove", made(tmp_path, SHOP.replace('"/echo"', '"http://shop.example/echo"')))
    assert unproved.code == 3
    assert "  buy: not proved: it sends to http://shop.example/echo, and a proof stays on this machine\n" in unproved.stdout
    (tmp_path / "plain.json").write_text("[]")
    refused = loadflow(tmp_path, "check", "--prove", "plain.json")
    assert (refused.code, "--prove is for Python files, which plain.json is not" in refused.stderr) == (2, True)


WRONG = """
    import sys
    from loadflow.cli import main
    from loadflow.engine.scenario import reading

    right = reading.step_of

    def wrong(verb, name, path, options):
        return right(verb, name, "/ehco" if path == "/echo" else path, options)

    reading.step_of = wrong
    sys.argv = ["loadflow", "check", "--prove", "shop.py"]
    main()
"""


def test_a_wrong_trace_is_found(tmp_path: Path) -> None:
    made(tmp_path, SHOP)
    command = [sys.executable, "-c", MAY_BEGIN_WARM + dedent(WRONG)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 1, done.stderr
    assert "  browse: proved: 200 passes, 200 requests each the same\n" in done.stdout
    assert "  buy: differs: request 1, POST /ehco: method and path: traced sends POST /ehco, Python POST /echo\n" in done.stdout


def test_a_file_is_read_as_it_is_now(target: Target, tmp_path: Path) -> None:
    """Python's compiled copy of a file says when it was written to the second, and how long it was: two edits may share both."""
    file = made(tmp_path, SHOP)
    at = (tmp_path / file).stat()
    for label in ("Shop", "Shed"):
        made(tmp_path, SHOP.replace("class Shop", f"class {label}"))
        os.utime(tmp_path / file, ns=(at.st_atime_ns, at.st_mtime_ns))
        assert run(tmp_path, file, target, "--dry-run").json["load_density"][0][1]["label"] == label
