"""Streams of events, challenges of Digest and tokens of OAuth 2 in functions: as in steps, on either engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from loadflow.engine.records.hitlog import read_rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.scenario.requests import as_options
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.tracing import trace
from tests.load.harness import Outcomes, detail, load
from tests.protocols.http.test_auth import DigestServer, TokenServer
from tests.protocols.http.test_events import DONE, Server, chat
from tests.protocols.peers import Loop, running_loop

WAYS = (("steps", "native"), ("steps", "fast_http_user"), ("python", "native"), ("python", "fast_http_user"))


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


def run(folder: Path, text: str, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch, **more: Any) -> Outcomes:
    monkeypatch.setenv(ALLOW, "1")
    folder.mkdir(exist_ok=True)
    file = folder / "scenario.py"
    file.write_text(dedent(text))
    (made,) = load_scenarios(file)
    found = trace(made)
    in_python = way[0] == "python"
    if not in_python:
        assert found.refused == {}
    arguments = dict(script_of(made, found, file, in_python=in_python)["load_density"][0][1])
    for key in ("rate", "host", "thresholds", "user_detail_dict"):
        arguments.pop(key, None)
    user = {**detail(way[1]), **({"user": "python_user"} if in_python else {})}
    return load(folder, arguments.pop("tasks"), user_detail_dict=user, **{"host": "http://127.0.0.1:1", **arguments, **more})


CHAT = """
    from loadflow import VUser, scenario, task

    @scenario(rps=1)
    class Chat(VUser):
        @task
        def chat(self, client):
            answer = client.post("{url}", json={{"a": 1}}, stream={stream}, name="chat")
            assert answer.status_code == 200
            client.get("{other}", name="after")
"""


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_events_of_a_function_are_recorded(way: tuple[str, str], loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, other = Server(loop, [*chat("a", "", "c"), DONE], hangs=True), Server(loop, ["x"], kind="text/plain")
    text = CHAT.format(url=server.url, other=other.url, stream={"until": "[DONE]", "tokens": "choices.0.delta.content"})
    done = run(tmp_path, text, way, monkeypatch, iterations=2)
    assert [(hit.name, hit.outcome, hit.error) for hit in done.hits] == [("chat", Outcome.OK, ""), ("after", Outcome.OK, "")] * 2
    assert done.summary["stream"]["events"] == 6
    assert done.summary["stream"]["tokens"] == 4
    assert "Accept-Encoding: identity" in server.requests[0]
    assert "Accept-Encoding: identity" not in other.requests[0]
    rows = read_rows(done.run.hits_path(0))
    events = rows[(rows["flags"] & HitFlag.EVENT) != 0]
    hits = rows[(rows["flags"] & HitFlag.EVENT) == 0]
    assert events["status"].tolist() == [1, 2, 3] * 2
    assert set(events["series"].tolist()) == {int(hits[0]["series"])}
    assert np.all(events["start_ns"][:3] >= hits[0]["start_ns"])
    assert np.all(events["end_ns"][:3] <= hits[0]["end_ns"])


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_a_stream_that_ends_too_early(way: tuple[str, str], loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no whole answer, so the function ends there, as the pass does that steps make."""
    server = Server(loop, chat("a"))
    done = run(tmp_path, CHAT.format(url=server.url, other=server.url, stream={"until": "[DONE]"}), way, monkeypatch)
    assert (done.hits[0].name, done.hits[0].outcome, done.hits[0].error) == ("chat", Outcome.CLOSED, 'the stream ended before "[DONE]"')
    assert [hit.name for hit in done.hits] == ["chat"]


SEEN = """
    from loadflow import RequestFailed, VUser, scenario, task

    @scenario(rps=1)
    class Chat(VUser):
        @task
        async def several(self, client):
            answers = await client.batch([{{"path": "{url}", "stream": {{"max_events": 2}}}}, {{"path": "{url}", "stream": {{}}}}])
            assert [answer.text.count("data:") for answer in answers] == [2, 3], [answer.text for answer in answers]
            try:
                await client.get("{url}", stream={{"until": "never"}}, name="fails")
            except RequestFailed as error:
                assert str(error) == 'the stream ended before "never"', error
            await client.get("{url}", stream={{"most": 1}})
"""


@pytest.mark.parametrize("engine", ["native", "fast_http_user"])
def test_what_a_function_sees_of_a_stream(engine: str, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # each event in a piece of its own, and the third so late that the second is read before it is there
    server = Server(loop, ["data: 1\n\ndata: 2\n\n", "data: 3\n\n"])
    server_url = server.url
    done = run(tmp_path, SEEN.format(url=server_url), ("python", engine), monkeypatch)
    found = [(hit.name, hit.outcome, hit.error) for hit in done.hits]
    assert found[2] == ("fails", Outcome.CLOSED, 'the stream ended before "never"')
    assert found[0][1:] == found[1][1:] == (Outcome.OK, "")
    assert "stream has no 'most'; it has until, max_events, format, tokens" in str(found[3:])


WRONG: list[tuple[object, str]] = [
    ([], "stream is an object as in a step"),
    ({"most": 1}, "stream has no 'most'; it has until, max_events, format, tokens"),
    ({"until": ""}, "stream: until is the data, or the name"),
    ({"max_events": 0}, "stream: max_events is a number of events"),
    ({"max_events": True}, "stream: max_events is a number of events"),
    ({"format": "xml"}, "stream: format is 'sse' or 'lines'"),
    ({"format": []}, "stream: format is 'sse' or 'lines'"),
    ({"tokens": "a["}, "stream: tokens is a path in JSON"),
]


@pytest.mark.parametrize(("stream", "said"), WRONG)
def test_what_is_no_stream(stream: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        as_options({"stream": stream})
    assert as_options({"stream": {"until": None, "max_events": 3}})["stream"] == {"until": None, "max_events": 3}


CREDENTIALS = """
    from loadflow import VUser, scenario, task

    @scenario(rps=1)
    class Shop(VUser):
        @task
        def asks(self, client):
            client.get("{digest}", auth={{"type": "digest", "username": "u", "password": "p"}}, name="digest")
            client.get("{tokens}/api", auth={oauth2}, name="token")
"""


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_credentials_of_a_function(way: tuple[str, str], loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, tokens = DigestServer(loop, lasts=2), TokenServer(loop)
    oauth2 = {"type": "oauth2", "token_url": f"{tokens.url}/token", "client_id": "load", "client_secret": "s3cr3t-s3cr3t", "per": "user"}
    text = CREDENTIALS.format(digest=digest.url, tokens=tokens.url, oauth2=oauth2)
    done = run(tmp_path, text, way, monkeypatch, iterations=3)
    assert [(hit.name, hit.outcome, hit.error) for hit in done.hits] == [("digest", Outcome.OK, ""), ("token", Outcome.OK, "")] * 3
    assert digest.said == [(401, ""), (200, "00000001"), (200, "00000002"), (401, "00000003"), (200, "00000001")]
    assert tokens.tokens == ["Bearer t1"] * 3


@pytest.mark.parametrize("engine", ["native", "fast_http_user"])
def test_a_function_that_waits_for_a_token_holds_up_nobody(
    engine: str, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TokenServer(loop, waits=True)
    oauth2 = {"type": "oauth2", "token_url": f"{server.url}/token", "client_id": "load", "client_secret": "s3cr3t-s3cr3t"}
    text = """
        from loadflow import VUser, scenario, task

        @scenario(rps=1)
        class Shop(VUser):
            def on_start(self, client):
                type(self).count = self.number = getattr(type(self), "count", 0) + 1

            @task
            def asks(self, client):
                auth = OAUTH2 if self.number == 1 else None
                client.get("URL/api", auth=auth, name="waits" if auth else "goes on")
    """
    done = run(tmp_path, text.replace("OAUTH2", str(oauth2)).replace("URL", server.url), ("python", engine), monkeypatch, user_count=2)
    assert {hit.name: hit.outcome for hit in done.hits} == {"waits": Outcome.OK, "goes on": Outcome.OK}
    assert server.tokens == ["", "Bearer t1"]


@pytest.mark.parametrize("engine", ["native", "fast_http_user"])
def test_a_function_that_is_given_no_token(engine: str, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, tokens = DigestServer(loop, password="another"), TokenServer(loop, status=401)
    oauth2 = {"type": "oauth2", "token_url": f"{tokens.url}/token", "client_id": "load", "client_secret": "s3cr3t-s3cr3t"}
    text = CREDENTIALS.format(digest=digest.url, tokens=tokens.url, oauth2=oauth2)
    done = run(tmp_path, text, ("python", engine), monkeypatch)
    said = f"auth: no token from {tokens.url[7:]}: status 401, invalid_client"
    assert [(hit.name, hit.outcome, hit.status) for hit in done.hits] == [("digest", Outcome.STATUS, 401), ("token", Outcome.TEMPLATE, 0)]
    assert done.hits[1].error == said
    assert tokens.tokens == []
