"""`loadflow campaign`: a matrix from the command line, cut off by a kill and gone on with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import load, loadflow, start
from tests.targets.fixture import Target
from tests.waiting import wait_for


def write(folder: Path, name: str, actions: list[Any]) -> Path:
    path = folder / name
    path.write_text(json.dumps(actions), encoding="utf-8")
    return path


def test_of(target: Target, **more: Any) -> dict[str, Any]:
    step = {"method": "get", "request_url": f"{target.url}/ok"}
    return {"user_detail_dict": {"user": "fast_http_user"}, "test_time": 1, "tasks": [step], **more}


test_of.__test__ = False  # type: ignore[attr-defined]


def test_a_killed_campaign_goes_on_with_the_cells_that_it_has(target: Target, tmp_path: Path) -> None:
    script = write(tmp_path, "shop.json", [["LD_start_test", test_of(target, label="shop")]])
    given = ["campaign", script.name, "--rate", "5", "--rate", "10", "--rate", "20", "--json"]
    kept = tmp_path / "runs" / "campaign-shop.ndjson"

    def finished() -> int:
        return kept.read_text(encoding="utf-8").count('"kind": "cell"') if kept.exists() else 0

    first = start(tmp_path, *given)
    wait_for("the first cell", lambda: finished() >= 1)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = finished()
    done = loadflow(tmp_path, *given)
    cells = done.json["cells"]
    assert [one["kept"] for one in cells] == [number < before for number in range(3)]
    assert done.code == 0, done.stderr
    table = loadflow(tmp_path, *given[:-1])
    assert table.code == 0, table.stderr
    assert "3 cells: 3 passed; 3 kept from before." in table.stdout
    assert table.stdout.rstrip().endswith("campaign-shop.html")


def test_the_campaign_of_a_script_is_made_and_its_worst_cell_is_the_exit_code(target: Target, tmp_path: Path) -> None:
    _, test = load(f"{target.url}${{var.page}}", user_count=1, iterations=2, step={"assertions": [{"type": "status_code", "value": 200}]})
    test.pop("test_time")
    asked = {"label": "pages", "variables": {"page": ["/ok", "/missing"]}, "test": {**test, "variables": {"page": "/ok"}}}
    write(tmp_path, "pages.json", [["LD_campaign", asked]])
    done = loadflow(tmp_path, "campaign", "pages.json")
    assert done.code == 1, done.stderr
    assert "2 cells: 1 passed, 1 failed." in done.stdout
    assert "page=/missing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop.json"], "the matrix has no axis"),
        (["shop.json", "--values", "page=/ok"], "page needs a JSON list of values"),
        (["own.json", "--rate", "5"], "has an LD_campaign, which says all there is to make"),
        (["nowhere.json"], "does not exist"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(target: Target, tmp_path: Path, arguments: list[str], said: str) -> None:
    target.reset()
    write(tmp_path, "shop.json", [["LD_start_test", test_of(target)]])
    write(tmp_path, "own.json", [["LD_campaign", {"rates": [5], "test": test_of(target)}]])
    done = loadflow(tmp_path, "campaign", *arguments)
    assert done.code == 2, done.stderr
    assert said in " ".join(done.stderr.split())
    assert not target.records()
