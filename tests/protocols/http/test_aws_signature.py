"""Requests signed for AWS: as AWS's own library signs them, and with a signature of its own for each hit, by both engines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http.aws_signature import AwsKeys, signed_fields, signed_target
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.generator.rules import rules
from tests.load.harness import USERS, get, load, post
from tests.targets.fixture import Record, Target

EXAMPLE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
AUTH = {"type": "aws", "access_key": "AKIDEXAMPLE", "secret_key": "${var.secret_key}", "region": "eu-west-1", "service": "execute-api"}
SECRET = "wJalrXUtnFEMI+K7MDENG"


def test_the_first_case_of_aws_s_test_suite() -> None:
    """get-vanilla of the Signature Version 4 test suite."""
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
    date, authorization = signed_fields("GET", "example.amazonaws.com", "/", [], b"", EXAMPLE, at)
    assert date == ("X-Amz-Date", "20150830T123600Z")
    assert authorization[1] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def theirs(method: str, url: str, body: bytes, keys: AwsKeys, headers: dict[str, str]) -> dict[str, str]:
    """The fields that botocore sends, which signs by the time of now."""
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    kind = S3SigV4Auth if keys.service == "s3" else SigV4Auth
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    kind(Credentials(keys.access_key, keys.secret_key, keys.session_token), keys.service, keys.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


coded = st.text(st.sampled_from("abcXYZ019-_.~"), max_size=6) | st.sampled_from(["%20", "a%2Fb", "%C3%BC", "%2B"])
path = st.lists(coded | st.sampled_from(["..", "."]), max_size=4).map(lambda parts: "/" + "/".join(parts))
query = st.lists(st.tuples(coded, coded), max_size=4).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@rules
@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    path,
    query,
    st.binary(max_size=20),
    st.sampled_from(["execute-api", "s3", "es"]),
    st.sampled_from([None, "tok/en=="]),
    st.sampled_from([{}, {"Content-Type": "application/json"}, {"X-Amz-Target": "  a   b "}]),
)
def test_it_is_signed_as_by_aws_s_library(
    method: str, path: str, query: str, body: bytes, service: str, token: str | None, headers: dict[str, str]
) -> None:
    keys = AwsKeys("AKID", SECRET, "eu-west-1", service, token)
    target = f"{path}?{query}" if query else path
    if service == "s3" and ".." in path.split("/"):
        return  # botocore gives such to urllib, which asks for another path
    sent = theirs(method, f"https://h.example{target}", body, keys, dict(headers))
    at = datetime.strptime(sent["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    ours = signed_fields(method, "h.example", signed_target(target), headers.items(), body, keys, at)
    assert {name.lower(): value for name, value in ours}.items() <= sent.items()


def signature_of(record: Record, body: bytes = b"") -> str:
    """What the Authorization of a received request had to be."""
    date = record.header("X-Amz-Date") or ""
    at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    fields = [(name, value) for name, value in record.headers if name.lower() == "content-type"]
    keys = AwsKeys("AKIDEXAMPLE", SECRET, "eu-west-1", "execute-api")
    return signed_fields(record.method, record.header("Host") or "", record.target, fields, body, keys, at)[-1][1]


@pytest.mark.parametrize("user", USERS)
def test_each_hit_is_signed_as_it_is_sent(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        get("/echo", params={"b": "x y", "a": "${uuid()}"}, auth=AUTH),
        post("/echo", json={"id": "${uuid()}"}, auth=AUTH, headers={"Host": "api.example"}),
        get("/echo", auth=AUTH, name="the same for all hits"),
        get("/echo", auth=AUTH, headers={"authorization": "own"}, name="an own field goes before"),
    ]
    done = load(tmp_path, steps, user=user, host=target.url, variables={"secret_key": SECRET}, iterations=2)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    records = target.records("/echo")
    assert len(records) == 8
    for record in records:
        own = record.header("authorization") == "own"
        assert own or record.header("Authorization") == signature_of(record, record.body)
    assert [record.target.startswith("/echo?b=x%20y&a=") for record in records] == [True, False, False, False] * 2
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*") if path.suffix in (".json", ".html", ".log"))
    assert SECRET not in written


def test_what_lacks_is_a_mistake_before_the_load() -> None:
    steps: list[tuple[Any, str]] = [
        ({"type": "aws", "access_key": "a", "secret_key": "b", "region": "c"}, r"tasks\[0\]\.auth\.service: is missing"),
        ({"type": "sigv4"}, r"auth\.type: 'sigv4' is not an auth type; allowed: basic, bearer, digest, oauth2, aws"),
        ({**AUTH, "secret_key": "x", "region": "a\nb"}, "holds a line break"),
    ]
    for auth, text in steps:
        test: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user"}, "host": "http://x", "tasks": [get("/", auth=auth)]}
        with pytest.raises(CommandError, match=text):
            build_plan(test, Variables(), {}, TargetRules(), lambda name: "")
