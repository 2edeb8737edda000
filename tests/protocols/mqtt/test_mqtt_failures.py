"""Every way in which a broker fails has its kind, and the same on both engines."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish

from loadflow.engine.records.outcome import Outcome
from tests.protocols.mqtt.loads import mqtt
from tests.protocols.mqtt.mqtt_peers import Mosquitto, RawBroker, free_port
from tests.waiting import wait_for

CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8  # kinds of packets
CONNACK = bytes([0x20, 2, 0, 0])
CONNACK_5 = bytes([0x20, 3, 0, 0, 0])


def mid_of(packet: bytes) -> bytes:
    """The message id of a short PUBLISH with QoS above 0."""
    topic = int.from_bytes(packet[2:4], "big")
    return packet[4 + topic : 6 + topic]


def says(kind: int, answer: bytes) -> Any:
    """A broker that accepts every client, and answers one kind of packet; to the rest it says nothing."""
    return lambda got, packet: CONNACK if got == CONNECT else answer if got == kind else b""


REFUSALS: list[tuple[str, Any, dict[str, Any], Outcome, str]] = [
    ("CONNACK 5", lambda kind, packet: bytes([0x20, 2, 0, 5]), {"method": "connect"}, Outcome.CONNECT, "Not authorized"),
    (
        "a CONNACK of MQTT 5",
        lambda k, p: bytes([0x20, 3, 0, 0x97, 0]),
        {"method": "connect", "version": "5"},
        Outcome.CONNECT,
        "Quota exceeded",
    ),
    ("no CONNACK", lambda kind, packet: b"", {"method": "connect"}, Outcome.TIMEOUT, "no CONNACK within 0.3 s"),
    ("closed in place of a CONNACK", lambda kind, packet: None, {"method": "connect"}, Outcome.CLOSED, "lost"),
    (
        "no MQTT at all",
        lambda kind, packet: b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100),
        {"method": "connect"},
        Outcome.PROTOCOL,
        "invalid MQTT",
    ),
    ("SUBACK 0x80", says(SUBSCRIBE, bytes([0x90, 3, 0, 1, 0x80])), {"method": "subscribe", "topic": "t"}, Outcome.STATUS, "0x80"),
    ("no SUBACK", says(SUBSCRIBE, b""), {"method": "subscribe", "topic": "t"}, Outcome.TIMEOUT, "no SUBACK"),
    ("no PUBACK", says(PUBLISH, b""), {"topic": "t", "qos": 1}, Outcome.TIMEOUT, "not acknowledged within 0.3 s"),
    ("no PUBREC", says(PUBLISH, b""), {"topic": "t", "qos": 2}, Outcome.TIMEOUT, "not acknowledged"),
    ("no PUBCOMP", says(PUBLISH, bytes([0x50, 2, 0, 1])), {"topic": "t", "qos": 2}, Outcome.TIMEOUT, "not acknowledged"),
    ("closed in place of a PUBACK", lambda k, p: CONNACK if k == CONNECT else None, {"topic": "t", "qos": 1}, Outcome.CLOSED, "lost"),
    (
        "PUBACK with a reason",
        lambda kind, packet: CONNACK_5 if kind == CONNECT else bytes([0x40, 4, *mid_of(packet), 0x87, 0]) if kind == PUBLISH else b"",
        {"topic": "t", "qos": 1, "version": "5"},
        Outcome.STATUS,
        "Not authorized (0x87)",
    ),
    (
        "PUBREC with a reason",
        lambda kind, packet: CONNACK_5 if kind == CONNECT else bytes([0x50, 4, *mid_of(packet), 0x97, 0]) if kind == PUBLISH else b"",
        {"topic": "t", "qos": 2, "version": "5"},
        Outcome.STATUS,
        "Quota exceeded (0x97)",
    ),
    (
        "DISCONNECT with a reason",
        lambda kind, packet: CONNACK_5 if kind == CONNECT else bytes([0xE0, 2, 0x8B, 0]),
        {"topic": "t", "qos": 1, "version": "5"},
        Outcome.CLOSED,
        "Server shutting down (0x8b)",
    ),
    (
        "a message over the limit",
        says(SUBSCRIBE, bytes([0x30, 0xFF, 0xFF, 0x7F, 0, 1])),
        {"method": "subscribe", "topic": "t"},
        Outcome.TOO_LARGE,
        "max_body_bytes",
    ),
]


def test_how_a_broker_fails(tmp_path: Path, engine: str) -> None:
    """One load, one broker for each row."""
    brokers = [RawBroker(answer) for _, answer, *_ in REFUSALS]
    steps = [
        {**step, "broker": broker.place, "timeout": 0.3 if outcome is Outcome.TIMEOUT else 30, "name": sentence}
        for broker, (sentence, _, step, outcome, _) in zip(brokers, REFUSALS, strict=True)
    ]
    try:
        done = mqtt(tmp_path, engine, "127.0.0.1:1", *steps, max_body_bytes=100_000)
    finally:
        for broker in brokers:
            broker.close()
    assert [(hit.name, hit.outcome) for hit in done.hits] == [(sentence, outcome) for sentence, _, _, outcome, _ in REFUSALS]
    for sentence, _, _, _, text in REFUSALS:
        assert text in done.error_text(sentence)
    assert all(broker.of_kind(CONNECT) for broker in brokers)


# what breaks the rules, and what Locust's users and the core call it
STRANGE: list[tuple[str, Any, dict[str, Any], Outcome, str]] = [
    ("an old broker", lambda kind, packet: bytes([0x20, 2, 0, 1]), {"method": "connect"}, Outcome.CONNECT, "Unsupported protocol version"),
    ("a user unknown", lambda kind, packet: bytes([0x20, 2, 0, 4]), {"method": "connect"}, Outcome.CONNECT, "Bad user name or password"),
    ("a code unknown", lambda kind, packet: bytes([0x20, 2, 0, 99]), {"method": "connect"}, Outcome.CONNECT, "Unspecified error"),
    ("a CONNACK that is too long", lambda kind, packet: bytes([0x20, 3, 0, 0, 0]), {"method": "connect"}, Outcome.PROTOCOL, "invalid MQTT"),
    ("a reason unknown", says(PUBLISH, bytes([0x90, 3, 0, 1, 3])), {"topic": "t", "qos": 1}, Outcome.PROTOCOL, "invalid MQTT"),
    ("QoS 3", says(PUBLISH, bytes([0x36, 5, 0, 1, 116, 0, 1])), {"topic": "t", "qos": 1}, Outcome.PROTOCOL, "invalid MQTT"),
    ("a topic that is not UTF-8", says(PUBLISH, bytes([0x30, 3, 0, 1, 0xFF])), {"topic": "t", "qos": 1}, Outcome.PROTOCOL, "invalid MQTT"),
    ("a client's packet", says(PUBLISH, bytes([0x82, 6, 0, 1, 0, 1, 116, 0])), {"topic": "t", "qos": 1}, Outcome.PROTOCOL, "invalid MQTT"),
    ("a length of five bytes", says(PUBLISH, b"\x30\xff\xff\xff\xff\x01"), {"topic": "t", "qos": 1}, Outcome.PROTOCOL, "invalid MQTT"),
    ("another message's PUBACK", says(PUBLISH, bytes([0x40, 2, 0, 9])), {"topic": "t", "qos": 1}, Outcome.TIMEOUT, "not acknowledged"),
    ("a SUBACK for a message", says(PUBLISH, bytes([0x90, 3, 0, 1, 0])), {"topic": "t", "qos": 1}, Outcome.TIMEOUT, "not acknowledged"),
    (
        "a property twice",
        lambda kind, packet: bytes([0x20, 9, 0, 0, 6, 0x21, 0, 1, 0x21, 0, 1]),
        {"method": "connect", "version": "5"},
        Outcome.PROTOCOL,
        "invalid MQTT",
    ),
]


def test_how_a_broker_breaks_the_rules(tmp_path: Path, engine: str) -> None:
    """One load, one broker for each row."""
    brokers = [RawBroker(answer) for _, answer, *_ in STRANGE]
    steps = [
        {**step, "broker": broker.place, "timeout": 0.3 if outcome is Outcome.TIMEOUT else 30, "name": sentence}
        for broker, (sentence, _, step, outcome, _) in zip(brokers, STRANGE, strict=True)
    ]
    try:
        done = mqtt(tmp_path, engine, "127.0.0.1:1", *steps)
    finally:
        for broker in brokers:
            broker.close()
    assert [(hit.name, hit.outcome) for hit in done.hits] == [(sentence, outcome) for sentence, _, _, outcome, _ in STRANGE]
    assert [sentence for sentence, *_, text in STRANGE if text not in done.error_text(sentence)] == []


def test_a_load_ends_in_time_with_messages_unacknowledged(tmp_path: Path, engine: str) -> None:
    """The user waits for an acknowledgement for an hour, the load and its drain for three seconds."""
    broker = RawBroker(says(PUBLISH, b""))
    try:
        began = time.monotonic()
        step = {"topic": "t", "qos": 2, "timeout": 3600, "name": "s"}
        done = mqtt(tmp_path, engine, broker.place, step, iterations=None, test_time=1, drain_time=0.5)
        assert time.monotonic() - began < 30
    finally:
        broker.close()
    assert [hit.outcome for hit in done.hits] == [Outcome.UNFINISHED]
    assert len(broker.of_kind(PUBLISH)) == 1


def test_a_broker_that_owes_twenty_acknowledgements_gets_a_new_connection(tmp_path: Path, engine: str) -> None:
    broker = RawBroker(says(PUBLISH, b""))
    try:
        done = mqtt(tmp_path, engine, broker.place, {"topic": "t", "qos": 1, "timeout": 0.05, "name": "s"}, iterations=25)
    finally:
        broker.close()
    assert {hit.outcome for hit in done.hits} == {Outcome.TIMEOUT}
    kinds = [packet[0] >> 4 for packet in broker.packets if packet[0] >> 4 in (CONNECT, PUBLISH)]
    sent = "".join("C" if kind == CONNECT else "p" for kind in kinds).split("C")[1:]  # the messages of each connection
    assert len(sent) > 1
    assert max(map(len, sent)) <= 20


def test_a_broker_that_restarts_in_the_middle_is_found_again_and_the_subscriptions_with_it(tmp_path: Path, engine: str) -> None:
    broker = Mosquitto(tmp_path, "log_type all")
    log = tmp_path / "mosquitto.log"

    def restart() -> None:
        wait_until(lambda: "0 go" in log.read_text())  # the subscription, as mosquitto writes it
        broker.stop()
        broker.start()
        wait_until(lambda: log.read_text().count("0 go") >= 2)
        publish.single("go", b"hello", qos=1, hostname="127.0.0.1", port=broker.port)

    helper = threading.Thread(target=restart)
    helper.start()
    try:
        patient = {"transient": 100, "base_delay": 0.05, "max_delay": 0.1}
        done = mqtt(
            tmp_path,
            engine,
            broker.place,
            {"method": "subscribe", "topic": "go", "name": "sub"},
            {"method": "receive", "topic": "go", "timeout": 30, "name": "lost"},
            {"method": "receive", "topic": "go", "timeout": 30, "name": "again", "retry": patient},
        )
    finally:
        helper.join()
        broker.stop()
    assert [done.outcome(name) for name in ("sub", "lost", "again")] == [Outcome.OK, Outcome.CLOSED, Outcome.OK]


def test_a_connection_that_is_lost_between_two_steps_is_told_and_opened_again(tmp_path: Path, engine: str) -> None:
    """The broker says good-bye right after its first acknowledgement."""
    first: list[int] = []

    def answer(kind: int, packet: bytes) -> bytes:
        if kind != PUBLISH:
            return CONNACK_5 if kind == CONNECT else b""
        first.append(1)
        return bytes([0x40, 2, *mid_of(packet)]) + (bytes([0xE0, 2, 0x8D, 0]) if len(first) == 1 else b"")

    broker = RawBroker(answer)
    try:
        step = {"topic": "t", "qos": 1, "version": "5", "think_time": 0.3, "name": "s"}
        done = mqtt(tmp_path, engine, broker.place, step, iterations=2)
    finally:
        broker.close()
    assert [(hit.name, hit.outcome) for hit in done.hits] == [("s", Outcome.OK), ("connection", Outcome.CLOSED), ("s", Outcome.OK)]
    assert "Keep alive timeout (0x8d)" in done.error_text("connection")
    assert broker.connections == 2


def wait_until(holds: Any) -> None:
    wait_for("what the broker heard", holds, every_s=0.01)


def test_a_broker_that_is_not_there(tmp_path: Path, engine: str) -> None:
    done = mqtt(tmp_path, engine, f"127.0.0.1:{free_port()}", {"topic": "a", "name": "s"})
    assert done.outcome("s") is Outcome.CONNECT
