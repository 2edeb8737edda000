"""The summary file, and the schema that is published for it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reports.summary_json import summary_schema, write_summary_report
from loadflow.errors import RunError
from tests.builders import Failure, build_run, facts, make_rows


def runs_of(kind: str, folder: Path) -> list[Run]:
    sample = {"request": {"url": "/ü"}}
    match kind:
        case "empty":
            return [build_run(folder, make_rows(0))]
        case "cut off":
            return [build_run(folder, make_rows(500), cut_off=True)]
        case "arrival rate":
            return [build_run(folder, make_rows(500, arrival_rate=True, failure_rate=0.0))]
        case "failing":
            return [build_run(folder, make_rows(500, failure_rate=0.5), failures=[Failure(Outcome.STATUS, "fällt aus", 503, sample)])]
        case "engine lost":
            return [build_run(folder, make_rows(500), end=RunEnd(EndReason.ENGINE_LOST), run_facts=facts(planned_s=None))]
        case _:
            return [build_run(folder / "a", make_rows(500)), build_run(folder / "b", make_rows(50))]


def written(runs: list[Run], folder: Path) -> tuple[str, Any]:
    path = write_summary_report(runs, folder / "made" / "summary.json")
    text = path.read_text(encoding="utf-8")
    return text, json.loads(text)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(summary_schema())


@pytest.mark.parametrize("kind", ["empty", "cut off", "arrival rate", "failing", "engine lost", "several"])
def test_real_summaries_are_of_the_published_shape(tmp_path: Path, kind: str) -> None:
    text, data = written(runs_of(kind, tmp_path), tmp_path)
    Draft202012Validator(summary_schema()).validate(data)
    assert text.startswith('{\n  "format": "loadflow-summary"')


def test_the_schema_names_every_key(tmp_path: Path) -> None:
    _, data = written(runs_of("failing", tmp_path), tmp_path)
    schema = summary_schema()
    assert set(schema["properties"]) == set(data)
    assert set(schema["$defs"]["series"]["properties"]) == set(data["per_name"]["/items"])
    assert set(schema["$defs"]["error"]["properties"]) == set(data["errors"][0])
    assert set(schema["$defs"]["run"]["properties"]) == set(data["runs"][0])
    assert set(schema["properties"]["totals"]["properties"]) == set(data["totals"])


@pytest.mark.parametrize("key", ["verdict", "totals", "latency_overall", "per_name", "version"])
def test_a_summary_without_a_promised_key_is_not_of_the_shape(tmp_path: Path, key: str) -> None:
    _, data = written(runs_of("failing", tmp_path), tmp_path)
    del data[key]
    with pytest.raises(ValidationError):
        Draft202012Validator(summary_schema()).validate(data)


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    text, data = written(runs_of("failing", tmp_path), tmp_path)
    assert "fällt aus" in text
    assert data["errors"][0]["samples"] == [{"request": {"url": "/ü"}}]


def test_what_can_not_be_written_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(10))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose a folder that can be written"):
        write_summary_report([run], tmp_path / "file" / "summary.json")
    with pytest.raises(RunError, match="give at least one run folder"):
        write_summary_report([], tmp_path / "summary.json")
