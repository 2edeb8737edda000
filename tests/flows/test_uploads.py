"""A run's report in a storage block: its bytes are there, the artifact's link opens them, and a storage that fails changes no verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect_aws import AwsCredentials
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.s3 import S3Bucket

from loadflow import run_script
from loadflow.engine.records.run import Run
from loadflow.flows import artifacts
from loadflow.flows.uploads import Storage, upload
from tests.flows.commands import synthetic_run
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

BUCKET = "reports"
FOLDER = "load/nightly"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 on a free port of this machine, with one bucket that everyone may read."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, aws_access_key_id="id", aws_secret_access_key="key", region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET, ACL="public-read")
    yield url
    server.stop()


def s3_bucket(url: str, bucket: str = BUCKET) -> S3Bucket:
    quick = AwsClientParameters(endpoint_url=url, config={"retries": {"total_max_attempts": 1}, "connect_timeout": 2})
    credentials = AwsCredentials(aws_access_key_id="id", aws_secret_access_key="key", region_name="us-east-1", aws_client_parameters=quick)
    return S3Bucket(bucket_name=bucket, bucket_folder=FOLDER, credentials=credentials)


def flow_run(target: Target, tmp_path: Path, storage: str, path: str = "/ok") -> tuple[Any, Run, dict[str, Any]]:
    """The state, the run, and the artifacts by key, of the generic flow on a script with one short load."""
    step = {"method": "get", "request_url": target.url + path}
    load = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 2, "tasks": [step], "label": "stored"}
    runs = str(tmp_path / "runs")
    state: Any = run_script(script=[["LD_start_test", load]], runs_dir=runs, report_storage=storage, exclusive=False, return_state=True)
    (folder,) = (tmp_path / "runs").iterdir()
    with get_client(sync_client=True) as client:
        of_flow = ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=of_flow))
    return state, Run.open(folder), {artifact.key or "": artifact for artifact in found}


def link_of(found: dict[str, Any]) -> str:
    """Prefect keeps a link as Markdown: [text](url)."""
    return str(found["loadflow-stored-report"].data).partition("](")[2].rstrip(")")


def opened(url: str) -> tuple[str, bytes]:
    with urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()


def test_a_local_folder_holds_the_report_and_the_summary_and_the_link_is_its_file(target: Target, tmp_path: Path) -> None:
    LocalFileSystem(basepath=str(tmp_path / "shared")).save("shared", overwrite=True)
    state, run, found = flow_run(target, tmp_path, "local-file-system/shared")
    assert state.is_completed()
    stored = tmp_path / "shared" / run.facts.id
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == {
        name: (run.folder / name).read_bytes() for name in ("report.html", "summary.json")
    }
    assert link_of(found) == (stored / "report.html").as_uri()


def test_a_bucket_holds_the_report_and_the_artifacts_link_opens_it_in_a_browser(target: Target, tmp_path: Path, s3_url: str) -> None:
    s3_bucket(s3_url).save("reports", overwrite=True)
    state, run, found = flow_run(target, tmp_path, "s3-bucket/reports", "/status/500")
    assert state.is_failed()  # the load's own verdict: a report is stored whatever it is
    link = link_of(found)
    assert link == f"{s3_url}/{BUCKET}/{FOLDER}/{run.facts.id}/report.html"
    assert f"[HTML report]({link})" in found["loadflow-stored"].data
    assert opened(link) == ("text/html; charset=utf-8", (run.folder / "report.html").read_bytes())
    assert opened(link.replace("report.html", "summary.json")) == ("application/json", (run.folder / "summary.json").read_bytes())


def test_the_address_of_the_setting_comes_before_the_buckets_own(
    target: Target, tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(artifacts.REPORTS_URL_VARIABLE, f"{s3_url}/{BUCKET}/{FOLDER}/")
    s3_bucket(s3_url).save("reports", overwrite=True)
    _, run, found = flow_run(target, tmp_path, "s3-bucket/reports")
    assert opened(link_of(found))[1] == (run.folder / "report.html").read_bytes()


def no_bucket(s3_url: str) -> S3Bucket:
    return s3_bucket(s3_url, "no-such-bucket")


def away(s3_url: str) -> S3Bucket:
    return s3_bucket("http://127.0.0.1:9")  # the port of discard: nothing listens


@pytest.mark.parametrize(
    ("block", "said"),
    [
        pytest.param(no_bucket, "NoSuchBucket", id="the bucket is missing"),
        pytest.param(away, "Could not connect to the endpoint URL", id="the server is away"),
    ],
)
def test_a_failed_upload_is_told_in_the_log_and_the_artifacts_and_the_verdict_stays(
    target: Target, tmp_path: Path, s3_url: str, caplog: pytest.LogCaptureFixture, block: Callable[[str], S3Bucket], said: str
) -> None:
    block(s3_url).save("broken", overwrite=True)
    state, run, found = flow_run(target, tmp_path, "s3-bucket/broken")
    assert state.is_completed()
    assert "the report was not uploaded to s3-bucket/broken: " in caplog.text
    told = caplog.text.partition("the report was not uploaded to")[2]
    assert said in told.partition("\n")[0]
    assert str(run.folder) in told.partition("\n")[0]
    assert "The report was not uploaded to s3-bucket/broken" in found["loadflow-stored"].data
    assert "not uploaded to s3-bucket/broken" in found["loadflow-stored-report"].description
    assert link_of(found) == (run.folder / "report.html").resolve().as_uri()


def test_what_other_blocks_say_of_where_a_file_is_becomes_the_link(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run")
    (run.folder / "report.html").write_text("report")
    block = RemoteFileSystem(basepath="memory://reports")
    assert upload(Storage("remote-file-system/reports", block), run).url == f"memory://reports/{run.facts.id}/report.html"


def test_a_storage_that_does_not_answer_is_left_behind(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run")
    (run.folder / "report.html").write_text("report")
    release = threading.Event()

    class Silent:
        def write_path(self, path: str, content: bytes) -> None:
            release.wait(60)

    began = time.monotonic()
    done = upload(Storage("silent/one", Silent()), run, within_s=0.1)
    release.set()
    assert (done.url, done.trouble) == ("", "no answer within 0.1 s")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("local-file-system/none-of-this-name", "there is no block 'local-file-system/none-of-this-name'"),
        ("reports", "there is no block 'reports'"),
        ("no-such-type/reports", "there is no block 'no-such-type/reports'"),
        ("secret/a-key", "secret/a-key can't be written to"),
    ],
)
def test_a_storage_that_is_none_ends_the_run_before_anything_is_sent(tmp_path: Path, name: str, said: str) -> None:
    Secret(value="…").save("a-key", overwrite=True)
    state: Any = run_script(script=[["LD_summary"]], runs_dir=str(tmp_path / "runs"), report_storage=name, return_state=True)
    assert state.name == "Error"
    assert said in state.message
    assert not (tmp_path / "runs").exists()
