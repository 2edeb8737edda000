"""Reports by a storage block: what is in the storage afterwards, where the link leads, and that no storage can spoil a run."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
import requests
from prefect.blocks import core
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import State
from prefect.filesystems import LocalFileSystem, RemoteFileSystem

from loadflow import Run
from loadflow.engine.reports.logo import LOGO, logo
from loadflow.errors import ScriptError
from loadflow.flows import observer, run_script
from loadflow.flows.artifacts import REPORTS_URL_VARIABLE
from loadflow.flows.ending import results_of
from loadflow.flows.observer import FlowObserver
from loadflow.flows.uploads import FILES, Storage, load_storage
from tests.flows.commands import synthetic_run
from tests.flows.test_artifacts import stored
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
FOLDER = "load/reports"


@pytest.fixture
def name() -> str:
    """Blocks stay in the server for the other tests."""
    return f"own-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a server that speaks S3."""
    from moto.server import ThreadedMotoServer  # here and below: a second, which only the worker that runs these tests has to spend

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def save_bucket(name: str, url: str, bucket: str) -> str:
    from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

    parameters = AwsClientParameters(endpoint_url=url, config={"retries": {"total_max_attempts": 1}})
    keys = AwsCredentials(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1", aws_client_parameters=parameters)
    S3Bucket(bucket_name=bucket, bucket_folder=FOLDER, credentials=keys).save(name)
    return f"s3-bucket/{name}"


def make_bucket(url: str, bucket: str) -> None:
    """A bucket that everybody may read."""
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    requests.put(f"{url}/{bucket}").raise_for_status()
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    requests.put(f"{url}/{bucket}?policy", data=policy).raise_for_status()


def run_with(storage: str, target: Target) -> tuple[State[Any], Run]:
    step = {"method": "get", "request_url": f"{target.url}/ok"}
    script = [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 2, "tasks": [step]}]]
    state: Any = run_script(script=script, label="smoke", report_storage=storage, exclusive=False, return_state=True)
    return state, Run.open(results_of(state).results[0].value["run_dir"])


def contents(run: Run) -> dict[str, bytes]:
    return {file: (run.folder / file).read_bytes() for file in FILES}


def link_of(state: State[Any]) -> str:
    return str(stored(state.state_details.flow_run_id)["loadflow-smoke"].data)


def test_a_folder_gets_report_and_summary_and_the_link_stays_with_the_file_of_the_run(tmp_path: Path, target: Target, name: str) -> None:
    LocalFileSystem(basepath=str(tmp_path / "shared")).save(name)
    state, run = run_with(f"local-file-system/{name}", target)
    assert state.name == "Completed", state.message
    assert {file: (tmp_path / "shared" / run.facts.id / file).read_bytes() for file in FILES} == contents(run)
    assert (run.folder / "report.html").resolve().as_uri() in link_of(state)


def test_a_file_system_of_fsspec_gets_report_and_summary(target: Target, name: str) -> None:
    RemoteFileSystem(basepath=f"memory://{name}").save(name)
    _, run = run_with(f"remote-file-system/{name}", target)
    memory = fsspec.filesystem("memory")
    assert memory.cat(f"/{name}/{LOGO}") == logo()
    assert {file: memory.cat(f"/{name}/{run.facts.id}/{file}") for file in FILES} == contents(run)


def test_a_bucket_gets_report_and_summary_and_the_link_opens_the_report_in_a_browser(
    s3: str, target: Target, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_bucket(s3, name)
    base = f"{s3}/{name}/{FOLDER}"
    monkeypatch.setenv(REPORTS_URL_VARIABLE, base)
    block = save_bucket(name, s3, name)
    state, run = run_with(block, target)
    assert state.name == "Completed", state.message
    got = {file: requests.get(f"{base}/{run.facts.id}/{file}") for file in FILES}
    assert {file: answer.content for file, answer in got.items()} == contents(run)
    assert {file: answer.headers["Content-Type"] for file, answer in got.items()} == FILES
    assert f"({got['report.html'].url})" in link_of(state)
    assert f"the report is in {block}, as {run.facts.id}/report.html" in caplog.text


@pytest.mark.parametrize(
    ("reachable", "said"), [(True, "NoSuchBucket"), (False, "EndpointConnectionError")], ids=["no bucket", "no server"]
)
def test_an_upload_that_fails_is_a_warning_and_costs_neither_verdict_nor_artifacts(
    s3: str,
    target: Target,
    name: str,
    unused_port: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reachable: bool,
    said: str,
) -> None:
    monkeypatch.setenv(REPORTS_URL_VARIABLE, f"{s3}/nowhere/{FOLDER}")
    block = save_bucket(name, s3 if reachable else f"http://127.0.0.1:{unused_port}", "nowhere")
    state, run = run_with(block, target)
    assert state.name == "Completed", state.message
    assert run.summary().verdict.kind == "passed"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    for part in ("the upload of the report failed", block, said, f"{run.folder} has all"):
        assert part in warning
    found = stored(state.state_details.flow_run_id)
    told = f"The report was not uploaded: {block}: "
    assert told in found["loadflow-smoke"].data
    assert (run.folder / "report.html").resolve().as_uri() in link_of(state)  # not an address where nothing is


class Stuck:
    """A storage that never answers."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def write_path(self, path: str, content: bytes) -> None:
        self.over.wait(60)


def test_a_storage_that_never_answers_costs_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observer, "END_S", 1.0)
    run, stuck = synthetic_run(tmp_path / "run"), Stuck()
    watcher = FlowObserver(logging.getLogger("test"), Storage("own/stuck", stuck))
    watcher.run_started(run)
    started = time.monotonic()
    watcher.run_ended(run, run.summary())
    stuck.over.set()
    assert time.monotonic() - started < 30
    assert "the upload took over 1 s: the storage is slow or away; all is in" in caplog.text


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("reports", "there is no block 'reports'; write type/name"),
        ("s3-bucket/nowhere", "there is no block 's3-bucket/nowhere'"),
        ("secret/{name}", "can't be written to; name a storage block"),
    ],
    ids=["no type", "not there", "of another kind"],
)
def test_a_storage_that_can_not_be_used_fails_the_run_before_anything_is_sent(storage: str, said: str, name: str) -> None:
    Secret(value="x").save(name)
    state: Any = run_script(script=[["len", ["four"]]], report_storage=storage.format(name=name), return_state=True)
    assert (state.name, said in state.message) == ("Error", True), state.message


def test_a_bucket_where_prefects_package_for_it_is_missing_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = save_bucket(name, "http://127.0.0.1:9", "nowhere")

    def unknown(kind: type, key: str) -> Any:
        raise KeyError(key)

    monkeypatch.setattr(core, "lookup_type", unknown)  # as it is without the package
    with pytest.raises(ScriptError, match=r"No block class found for slug 's3-bucket'.*pip install 'loadflow\[s3\]'"):
        load_storage(block)
