"""Who may do what at the NATS server of a load, and how its keys and certificates follow from a token."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.fleet.access import Access, Keys, given_access
from loadflow.engine.fleet.broker import SERVER_VARIABLE, Broker, find_server
from loadflow.engine.fleet.connection import Link, connect
from loadflow.engine.fleet.streams import open_run
from loadflow.engine.fleet.subjects import QUEUE, Subjects
from loadflow.errors import CommandError, RunError

TOKEN = "a token of these tests"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker") / "server", Keys.of(TOKEN)) as broker:
        yield broker


async def _refused(link: Link, subject: str) -> bool:
    """Whether the server says that this user may not publish, or ask, there."""
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error).lower())

    link.client._error_cb = note
    await link.client.publish(subject, b"{}", reply=link.client.new_inbox())
    await link.client.flush()
    await link.client.flush()
    return any("permissions violation" in error for error in errors)


RUN = Subjects("20261129-1-run")
MAY = [
    ("deliver its rows", RUN.out(0, 1)),
    ("say that it is there", RUN.beat),
    ("ask for a plan", RUN.plan),
    ("ask for the time", RUN.time),
    ("take a shard", f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.agents"),
]
MAY_NOT = [
    ("stop a run", RUN.order),
    ("put a shard into the queue", RUN.shard(0)),
    ("delete a run's rows", f"$JS.API.STREAM.DELETE.{RUN.stream}"),
    ("empty the queue", f"$JS.API.STREAM.PURGE.{QUEUE}"),
    ("take the rows of a run", f"$JS.API.CONSUMER.MSG.NEXT.{RUN.stream}.coordinator"),
    ("make a consumer of rows", f"$JS.API.CONSUMER.CREATE.{RUN.stream}"),
    ("read one row", f"$JS.API.DIRECT.GET.{RUN.stream}"),
    ("make a stream", "$JS.API.STREAM.CREATE.MINE"),
]


@pytest.mark.parametrize(("sentence", "subject"), MAY, ids=[row[0] for row in MAY])
def test_an_agent_may(sentence: str, subject: str, broker: Broker) -> None:
    assert not _try(broker.agent_access, subject)


@pytest.mark.parametrize(("sentence", "subject"), MAY_NOT, ids=[row[0] for row in MAY_NOT])
def test_an_agent_may_not(sentence: str, subject: str, broker: Broker) -> None:
    assert _try(broker.agent_access, subject)
    assert not _try(broker.access, subject.replace("DELETE", "INFO").replace("PURGE", "INFO"))


def _try(access: Access, subject: str) -> bool:
    async def main() -> bool:
        link = await connect(access, "a test", patient=False)
        try:
            return await _refused(link, subject)
        finally:
            await link.close()

    return asyncio.run(main())


def test_an_agent_may_not_listen_to_the_rows_of_others(broker: Broker) -> None:
    async def main() -> list[bytes]:
        agent = await connect(broker.agent_access, "an agent", patient=False)
        owner = await connect(broker.access, "a coordinator", patient=False)
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        await agent.client.subscribe("lf.*.out.>", cb=hear)
        await agent.client.flush()
        await owner.client.publish(RUN.out(0, 1), b"a row")
        await owner.client.flush()
        await agent.client.flush()
        await agent.close()
        await owner.close()
        return heard

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("token", ["another token altogether", ""], ids=["another token", "no key"])
def test_who_has_another_token_gets_nothing(token: str, broker: Broker) -> None:
    access = Access(broker.access.url, seed=Keys.of(token).agent if token else "")
    with pytest.raises(RunError, match=r"refused: .*; give both sides the same token"):
        asyncio.run(connect(access, "a stranger", patient=True))


def test_beyond_loopback_all_is_encrypted_and_the_server_proves_itself(tmp_path: Path) -> None:
    """With the authority of another token the server is not believed; without encryption nothing is said."""
    keys = Keys.of(TOKEN)
    with Broker(tmp_path / "server", keys, host="0.0.0.0") as broker:

        async def main(access: Access) -> bool:
            link = await connect(access, "a test", patient=False)
            up = link.is_up
            await link.close()
            return up

        assert broker.agent_access.url.startswith("tls://")
        assert asyncio.run(main(broker.agent_access))
        liar = Access(broker.agent_access.url, seed=keys.agent, authority=Keys.of("another token").authority)
        with pytest.raises(RunError):
            asyncio.run(main(liar))
        config = tmp_path / "server" / "nats.conf"
        text = config.read_text()
        assert TOKEN not in text
        assert keys.agent not in text
        assert keys.coordinator not in text
        assert [stat.S_IMODE(path.stat().st_mode) for path in (config, tmp_path / "server" / "server.key")] == [0o600, 0o600]
    assert not (tmp_path / "server").exists()


def test_an_encrypted_server_that_goes_away_is_an_answer_that_did_not_come(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever asyncio makes of a write to its lost connection."""

    async def main() -> list[object]:
        broker = Broker(tmp_path / "server", Keys.of(TOKEN), host="0.0.0.0")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, broker.__enter__)
        link = await connect(broker.agent_access, "a test", patient=False)
        closing = loop.run_in_executor(None, broker.__exit__, None, None, None)
        said: list[object] = []
        while link.is_up or len(said) < 20:
            said.append(await link.ask(RUN.time, {}, 0.1))
            await link.tell(RUN.beat, {})
        said.append(await link.publish(RUN.out(0, 1), b"a row", {}))
        await closing
        await link.close()
        return said

    said = asyncio.run(main())
    assert set(said) == {None, False}
    assert "eof_received" not in caplog.text


def test_a_server_that_does_not_encrypt_is_refused_where_it_must(broker: Broker) -> None:
    access = Access(broker.access.url.replace("nats://", "tls://"), seed=broker.access.seed)
    with pytest.raises(RunError, match="does not encrypt"):
        asyncio.run(connect(access, "a test", patient=False))


def test_the_same_run_can_not_be_started_twice(broker: Broker) -> None:
    async def main() -> None:
        first = await connect(broker.access, "one", patient=False)
        second = await connect(broker.access, "two", patient=False)
        try:
            await open_run(first, Subjects("a-run"), 2)
            await open_run(second, Subjects("a-run"), 2)
        finally:
            await first.close()
            await second.close()

    with pytest.raises(RunError, match="the run a-run is made already"):
        asyncio.run(main())


def test_a_server_that_is_killed_is_started_again_where_it_was(tmp_path: Path) -> None:
    async def main(broker: Broker) -> int:
        link = await connect(broker.access, "one", patient=False)
        await open_run(link, Subjects("a-run"), 2)
        starts = broker.starts
        os.kill(broker.pid, 9)
        while broker.starts == starts or not link.is_up:
            await asyncio.sleep(0.02)
        info = await link.stream.stream_info(QUEUE)
        await link.close()
        messages: int = info.state.messages
        return messages

    with Broker(tmp_path / "server", Keys.of(TOKEN)) as broker:
        assert asyncio.run(main(broker)) == 2


ADDRESSES = [
    ("no host", "nats://", "not an address"),
    ("a password for all to see", "nats://me:secret@10.0.0.5:4222", "holds a password"),
    ("another scheme", "http://10.0.0.5:4222", "not an address"),
    ("no port", "nats://10.0.0.5:x", "not an address"),
]


@pytest.mark.parametrize(("sentence", "url", "words"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
def test_an_address_that_is_none_is_refused(sentence: str, url: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        given_access(url, None, "--nats-url")


def test_a_place_is_told_without_its_user() -> None:
    assert given_access("me@10.0.0.5", None, "--nats-url").place == "nats://10.0.0.5"


def test_a_server_that_is_too_old_or_missing_is_refused_with_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")
    old.chmod(0o755)
    monkeypatch.setenv(SERVER_VARIABLE, str(old))
    with pytest.raises(RunError, match=r"is 2\.9\.10.*loadflow\[broker\].*--nats-url"):
        find_server()
    monkeypatch.setenv(SERVER_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(RunError, match="which can't be used"):
        find_server()
