"""What one step of `mqtt_user` did, as assertions and extracts see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.reply import ReplyParts

__all__ = ["MqttReply", "Received", "reply_of"]


@dataclass(frozen=True, slots=True)
class Received:
    """A message; `user` are its user properties, in their order."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    user: Sequence[tuple[str, str]]


class MqttReply(ReplyParts):
    """`message` is what a receive step got."""

    __slots__ = ("message", "received_bytes", "sent_bytes", "status")

    def __init__(self, sent_bytes: int = 0, message: Received | None = None) -> None:
        self.status = 0
        self.sent_bytes = sent_bytes
        self.message = message
        self.received_bytes = len(message.payload) if message is not None else 0
        super().__init__()

    def text(self) -> str:
        return "" if self.message is None else self.message.payload.decode("utf-8", "replace")

    def parsed(self) -> object:
        return read_json(self.text())

    def header_lines(self, name: str) -> list[str]:
        """A user property of MQTT 5; its name is case-sensitive there, and here."""
        return [] if self.message is None else [value for key, value in self.message.user if key == name]

    def sample(self) -> JsonObject:
        message = self.message
        if message is None:
            return {}
        shown = {"topic": message.topic, "qos": message.qos, "retain": message.retain, "body": self.text()}
        return {**shown, "headers": dict(message.user)} if message.user else shown


def reply_of(status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> MqttReply:
    """What the native core received; `reason` holds QoS, retain and topic, and is empty where no message came."""
    if not reason:
        return MqttReply()
    qos, retain, topic = reason.decode("utf-8", "replace").split(" ", 2)
    user = [(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in fields]
    return MqttReply(0, Received(topic, body, int(qos), retain == "1", user))
