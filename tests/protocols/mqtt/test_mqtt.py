"""mqtt_user: what brokers and other subscribers received is the truth. How brokers fail: test_mqtt_failures.py."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.protocols.mqtt.delivery import Deliveries
from loadflow.engine.protocols.mqtt.request import Tracked
from loadflow.engine.records.outcome import Outcome
from loadflow.errors import CommandError
from tests.protocols.mqtt.loads import mqtt
from tests.protocols.mqtt.mqtt_peers import Mosquitto, free_port, listener
from tests.services import need


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    yield started
    started.stop()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_message_arrives_as_it_was_written(broker: Mosquitto, tmp_path: Path, engine: str, version: str) -> None:
    steps = [{"topic": f"plain/{version}/{qos}", "payload_hex": "00ff 10", "qos": qos, "version": version} for qos in (0, 1, 2)]
    with listener(broker.port, f"plain/{version}/+", 6) as received:
        done = mqtt(tmp_path, engine, broker.place, *steps, iterations=2)
        assert sorted((message.payload, message.qos) for message in received()) == [(b"\x00\xff\x10", qos) for qos in (0, 0, 1, 1, 2, 2)]
    assert [(hit.name, hit.outcome) for hit in done.hits] == [(f"publish:plain/{version}/{qos}", Outcome.OK) for qos in (0, 1, 2)] * 2
    assert list(done.rows["sent_bytes"]) == [3] * 6


def test_properties_of_mqtt_5_reach_another_subscriber(broker: Mosquitto, tmp_path: Path, engine: str) -> None:
    properties = {
        "content_type": "application/json",
        "response_topic": "answers",
        "correlation_data": "c-1",
        "message_expiry": 60,
        "payload_is_text": True,
        "user": [["k", "1"], ["k", "2"]],
    }
    with listener(broker.port, "props", 1) as received:
        mqtt(tmp_path, engine, broker.place, {"topic": "props", "payload": {"id": 7}, "version": "5", "properties": properties})
        message = received()[0]
    assert message.payload == b'{"id":7}'
    got = message.properties
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("application/json", "answers", b"c-1")
    assert (got.PayloadFormatIndicator, got.UserProperty) == (1, [("k", "1"), ("k", "2")])
    assert 0 < got.MessageExpiryInterval <= 60


def test_receive_takes_the_next_message_that_matches_and_looks_at_it(broker: Mosquitto, tmp_path: Path, engine: str) -> None:
    """Wildcards, expectation, assertions and extracts; the extracted value goes out again, and messages of other topics wait."""
    done = mqtt(
        tmp_path,
        engine,
        broker.place,
        {"method": "connect", "version": "5"},
        {"method": "subscribe", "topic": ["in/+/x", "other/#"], "qos": 1},
        {"topic": "other/1", "payload": "first"},
        {"topic": "in/7/x", "payload": '{"id": 5}', "qos": 1, "properties": {"user": {"trace": "t1"}}},
        {
            "method": "receive",
            "topic": "in/+/x",
            "name": "json",
            "assertions": [{"type": "json_path", "path": "id", "value": 5}, {"type": "header", "name": "trace", "value": "t1"}],
            "extract": [{"var": "id", "path": "id"}],
        },
        {"method": "receive", "topic": "other/#", "expect": "second", "name": "unexpected"},
        {"topic": "other/${var.id}", "payload": "is ${var.id}", "name": "again"},
        {"method": "receive", "expect": "is 5", "name": "extracted"},
        {"method": "receive", "timeout": 0.1, "name": "none"},
    )
    assert [done.outcome(name) for name in ("json", "unexpected", "again", "extracted", "none")] == [
        Outcome.OK,
        Outcome.ASSERTION,
        Outcome.OK,
        Outcome.OK,
        Outcome.TIMEOUT,
    ]
    assert "expected 'second'" in done.error_text("unexpected")


def test_retained_messages_come_with_the_subscription(broker: Mosquitto, tmp_path: Path, engine: str) -> None:
    done = mqtt(
        tmp_path,
        engine,
        broker.place,
        {"topic": "kept", "payload": "v1", "qos": 1, "retain": True},
        {"method": "subscribe", "topic": "kept"},
        {"method": "receive", "expect": "v1", "name": "r"},
        {"method": "unsubscribe", "topic": "kept"},
        {"topic": "kept", "payload": "", "qos": 1, "retain": True},
        {"method": "receive", "timeout": 0.1, "name": "after"},
    )
    assert (done.outcome("r"), done.outcome("after")) == (Outcome.OK, Outcome.TIMEOUT)


@pytest.mark.parametrize("abrupt", [True, False])
def test_a_will_is_delivered_when_a_user_dies_and_only_then(broker: Mosquitto, tmp_path: Path, engine: str, abrupt: bool) -> None:
    topic = f"wills/{abrupt}"
    connect = {"method": "connect", "will": {"topic": topic, "payload": "gone", "qos": 1}}
    last = {"topic": topic, "payload": "last", "broker": f"mqtt://{broker.place}", "qos": 1}
    with listener(broker.port, topic, 2 if abrupt else 1) as received:
        done = mqtt(tmp_path, engine, broker.place, connect, {"method": "disconnect", "abrupt": abrupt}, last)
        assert sorted(message.payload for message in received()) == ([b"gone", b"last"] if abrupt else [b"last"])
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}


@pytest.mark.parametrize(("version", "said"), [("3.1.1", "Not authorized"), ("5", "Not authorized (0x87)")])
def test_user_and_password_are_checked_by_the_broker(tmp_path: Path, engine: str, version: str, said: str) -> None:
    program = shutil.which("mosquitto_passwd")
    need(program, "mosquitto is not installed (Debian: apt-get install mosquitto)")
    passwords = tmp_path / "passwords"
    subprocess.run([str(program), "-c", "-b", str(passwords), "ann", "right-pass"], check=True)
    broker = Mosquitto(tmp_path, f"password_file {passwords}")
    try:
        right = {"topic": "t", "version": version, "username": "ann", "password": "right-pass", "qos": 1, "name": "right"}
        wrong = {"method": "connect", "version": version, "username": "ann", "password": "wrong-pass", "name": "wrong"}
        done = mqtt(tmp_path, engine, broker.place, right, wrong)
    finally:
        broker.stop()
    assert done.outcome("right") is Outcome.OK
    assert done.outcome("wrong") is Outcome.CONNECT
    assert said in done.error_text("wrong")
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*") if path.suffix in (".jsonl", ".json", ".log"))
    assert "right-pass" not in written and "wrong-pass" not in written


def test_tls_is_verified(tmp_path: Path, engine: str) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    ca, chain, key = tmp_path / "ca.pem", tmp_path / "chain.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(ca)
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    broker = Mosquitto(tmp_path, f"certfile {chain}", f"keyfile {key}")
    try:
        step = {"method": "publish", "topic": "t", "payload": "x" * 200_000, "qos": 2}
        done = mqtt(
            tmp_path,
            engine,
            broker.place,
            {"method": "connect", "tls": True, "name": "unknown"},
            {**step, "tls": {"verify": str(ca)}, "name": "known"},
            {"method": "disconnect"},
            {"method": "connect", "tls": {"verify": False}, "name": "unverified"},
        )
    finally:
        broker.stop()
    assert [done.outcome(name) for name in ("unknown", "known", "unverified")] == [Outcome.TLS, Outcome.OK, Outcome.OK]


@pytest.mark.parametrize(("version", "delivery"), [("5", {}), ("3.1.1", {"path": "id"})])
def test_the_time_from_publisher_to_subscriber_is_a_hit_of_its_own(
    broker: Mosquitto, tmp_path: Path, engine: str, version: str, delivery: Any
) -> None:
    topic = f"way/{version}"
    done = mqtt(
        tmp_path,
        engine,
        broker.place,
        {"method": "subscribe", "topic": topic, "qos": 1, "version": version},
        {"topic": topic, "payload": '{"id": "${uuid()}"}', "qos": 1, "delivery": delivery},
        {"method": "receive", "topic": topic},
        {"method": "disconnect"},
        iterations=5,
    )
    assert done.counts()[f"deliver:{topic}"] == 5
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}


def test_publishers_and_subscribers_may_be_different_users(broker: Mosquitto, tmp_path: Path, engine: str) -> None:
    """Each of three users hears what all three say: nine deliveries, though none waits for its own message alone."""
    done = mqtt(
        tmp_path,
        engine,
        broker.place,
        {"method": "subscribe", "topic": "all", "qos": 1, "version": "5", "think_time": 1},
        {"topic": "all", "qos": 1, "delivery": {"subscribers": 3, "required": True, "timeout": 30}},
        *[{"method": "receive", "timeout": 30}] * 3,
        user_count=3,
    )
    delivered = [hit for hit in done.hits if hit.name == "deliver:all"]
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    assert sorted(hit.user for hit in delivered) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_message_that_must_arrive_and_does_not_is_a_failure(broker: Mosquitto, tmp_path: Path, engine: str) -> None:
    lost = {"topic": "nobody", "version": "5", "delivery": {"timeout": 0.2, "required": True}}
    done = mqtt(tmp_path, engine, broker.place, lost, {"method": "receive", "timeout": 1.5, "name": "wait"})
    assert done.outcome("deliver:nobody") is Outcome.TIMEOUT
    assert done.error_text("deliver:nobody") == "not delivered within 0.2 s"


@pytest.mark.parametrize("qos", [1, 2])
def test_each_message_that_a_row_says_was_sent_was_received_once(broker: Mosquitto, tmp_path: Path, engine: str, qos: int) -> None:
    """Several users, values that differ per hit, and no message lost, repeated or made up."""
    topic = f"conserved/{engine}/{qos}"
    step = {"topic": topic, "payload": "${uuid()}", "qos": qos, "version": "5"}
    with listener(broker.port, topic, 5 * 40) as received:
        done = mqtt(tmp_path, engine, broker.place, step, user_count=5, iterations=40)
        payloads = [message.payload for message in received()]
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    assert len(done.hits) == len(payloads) == len(set(payloads)) == 200
    assert sum(map(len, payloads)) == int(done.rows["sent_bytes"].sum())


class Clock:
    """A watch that a test sets, and what it was told."""

    def __init__(self) -> None:
        self.ns = 0
        self.told: list[tuple[str, int, int, Outcome | None]] = []

    def now_ns(self) -> int:
        return self.ns

    def observed(self, method: str, name: str, start_ns: int, end_ns: int, received_bytes: int, failure: Any = None) -> None:
        self.told.append((name, start_ns, end_ns, failure and failure[0]))


def test_the_table_of_deliveries_is_bounded_and_counts_each_subscriber_once() -> None:
    table, clock = Deliveries(most=2), Clock()
    tracked = Tracked("", None, 1.0, 2, True, "d")
    for token in "abc":
        table.sent(tracked, token, clock)
    assert clock.told == [("d", 0, 0, Outcome.UNFINISHED)]
    clock.ns = 5
    for user in (1, 1, 2, 3):
        table.received("", "a", user, clock, 0)
    assert clock.told[1:] == [("d", 0, 5, None)] * 2
    table.received("", "b", 1, clock, 0)
    clock.ns = 1_000_000_000
    table.sweep(clock.ns)
    assert clock.told[3:] == [("d", 0, 5, None), ("d", 0, clock.ns, Outcome.TIMEOUT)]
    table.received("", "b", 2, clock, 0)
    assert len(clock.told) == 5


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("no topic", {"payload": "x"}, "topic: is missing"),
    ("a wildcard", {"topic": "a/#"}, "wildcard"),
    ("a wildcard inside of a level", {"method": "subscribe", "topic": "a/b+"}, "wildcard"),
    ("two payloads", {"topic": "a", "payload": "x", "payload_hex": "00"}, "one payload"),
    ("no hexadecimal text", {"topic": "a", "payload_hex": "xyz"}, "hexadecimal"),
    ("a key of another method", {"method": "receive", "payload": "x"}, "has no meaning"),
    ("an assertion about no message", {"topic": "a", "assertions": [{"type": "contains", "value": "x"}]}, "gets none"),
    ("a status", {"method": "receive", "assertions": [{"type": "status_code", "value": 200}]}, "no status code"),
    ("a property of another packet", {"topic": "a", "version": "5", "properties": {"will_delay": 1}}, "not a property of publish"),
    ("a property of MQTT 5", {"topic": "a", "properties": {"content_type": "x"}}, "needs MQTT 5"),
    ("no such method", {"method": "publsh", "topic": "a"}, "publish"),
    ("no such QoS", {"topic": "a", "qos": 3}, "qos"),
    ("no broker", {"topic": "a", "broker": "http://x"}, "is not a broker"),
    (
        "over WebSocket",
        {"topic": "a", "broker": "ws://x:8080/mqtt"},
        "MQTT over WebSocket, which is not supported; write the broker's",
    ),
    ("over WebSocket with TLS", {"topic": "a", "broker": "WSS://x"}, "MQTT over WebSocket, which is not supported"),
    ("paho's scheme", {"topic": "a", "broker": "tcp://x:1883"}, "write mqtt:// for MQTT over TCP"),
    ("its scheme for TLS", {"topic": "a", "broker": "ssl://x"}, "write mqtts:// for MQTT over TLS"),
    ("no such file", {"topic": "a", "tls": {"verify": "/no/such.pem"}}, "is not there"),
]


@pytest.mark.parametrize(("sentence", "step", "text"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_told_before_anything_is_sent(tmp_path: Path, sentence: str, step: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError) as raised:
        mqtt(tmp_path, "locust", f"127.0.0.1:{free_port()}", step)
    assert text in str(raised.value)
