"""A step that speaks MQTT: one packet and its acknowledgement, or one message that is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.protocols.model.assertion import JsonPath
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.protocols.model.values import Base64, CertAndKey
from loadflow.engine.protocols.mqtt.words import CONNECTION_KEYS, topic_trouble
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import (
    A_FLAG,
    A_LIST,
    AN_OBJECT,
    BY_KIND,
    TEXT,
    Choice,
    Flag,
    Int,
    Name,
    Part,
    Positive,
    Templated,
    Text,
)
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["MqttStep"]

METHODS = ("publish", "subscribe", "receive", "unsubscribe", "connect", "disconnect")
VERSIONS = ("3.1.1", "5")
PAYLOADS = ("payload", "payload_hex", "payload_base64")
OWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "publish": ("topic", *PAYLOADS, "qos", "retain", "properties", "delivery"),
    "subscribe": ("topic", "qos", "properties", "no_local", "retain_as_published", "retain_handling"),
    "receive": ("topic", "expect"),
    "unsubscribe": ("topic", "properties"),
    "connect": ("properties",),
    "disconnect": ("abrupt",),
}
_MESSAGE = ("publish", "will")
# which packets may carry a property: MQTT 5 section 2.2.2.2
PROPERTY_OF: Mapping[str, tuple[str, ...]] = {
    "content_type": _MESSAGE,
    "response_topic": _MESSAGE,
    "correlation_data": _MESSAGE,
    "message_expiry": _MESSAGE,
    "payload_is_text": _MESSAGE,
    "will_delay": ("will",),
    "subscription_identifier": ("subscribe",),
    "receive_maximum": ("connect",),
    "maximum_packet_size": ("connect",),
    "user": ("connect", "publish", "will", "subscribe", "unsubscribe"),
}
OF_A_MESSAGE = ("contains", "not_contains", "regex", "json_path", "header")  # assertions that look at one
MOST = 2**32 - 1

Seconds32 = Annotated[Int, Field(ge=0, le=MOST)]
Port16 = Annotated[Int, Field(ge=1, le=65_535)]
Qos = Templated[Annotated[Int, Field(ge=0, le=2)]]
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]
Pairs = Annotated[Annotated[dict[str, Text], AN_OBJECT] | Annotated[list[Pair], A_LIST], BY_KIND]


def _hex(text: str) -> str:
    if not has_placeholder(text):
        try:
            bytes.fromhex(text)
        except ValueError:
            raise wrong("is not hexadecimal text", 'two digits a byte, for example "00ff 10"') from None
    return text


Hex = Annotated[Text, AfterValidator(_hex)]


class Properties(Part):
    """Properties of MQTT 5 that a packet carries; `user` may name a key more than once when it is a list of pairs."""

    noun: ClassVar[str] = "properties"
    content_type: Text | None = None
    response_topic: Name | None = None
    correlation_data: Text | None = None
    message_expiry: Templated[Seconds32] | None = None
    payload_is_text: Flag | None = None
    will_delay: Templated[Seconds32] | None = None
    subscription_identifier: Templated[Annotated[Int, Field(ge=1, le=268_435_455)]] | None = None
    receive_maximum: Templated[Port16] | None = None
    maximum_packet_size: Templated[Annotated[Int, Field(ge=1, le=268_435_455)]] | None = None
    user: Pairs | None = None


class Will(Part):
    """The message that the broker sends when the user disconnects without DISCONNECT."""

    noun: ClassVar[str] = "a will"
    topic: Name
    payload: Text | None = None
    payload_hex: Hex | None = None
    payload_base64: Base64 | None = None
    qos: Qos | None = None
    retain: Templated[Flag] | None = None
    properties: Properties | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        yield from _one_payload(raw)
        yield from _topic_faults(raw, "publish")
        yield from _property_faults(raw, "will")


class Tls(Part):
    """Whom to trust, and who the user is: `verify` and `cert` mean what they mean in an HTTP step."""

    noun: ClassVar[str] = "tls"
    verify: Annotated[Annotated[Flag, A_FLAG] | Annotated[Name, TEXT], BY_KIND] | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None


class Delivery(Part):
    """How long the message is under way from this publisher to subscribers of the same engine process.

    `path`: where in a JSON payload the value lies by which messages are matched; None: loadflow adds a user property of MQTT 5.
    `required`: one that did not reach `subscribers` of them within `timeout` seconds is a failure.
    """

    noun: ClassVar[str] = "delivery"
    path: JsonPath | None = None
    timeout: Positive = 10.0
    subscribers: Annotated[Int, Field(ge=1, le=1000)] = 1
    required: Flag = False


class MqttStep(StepBase):
    """One step of an `mqtt_user`; which keys it may have depends on `method`."""

    noun: ClassVar[str] = "a step of mqtt_user"
    method: Annotated[str, Choice("MQTT method", METHODS, any_case=True)] | None = None
    broker: Name | None = None
    host: Name | None = None
    timeout: Templated[Positive] | None = None
    version: Annotated[str, Choice("MQTT version", VERSIONS)] | None = None
    tls: Annotated[Annotated[Flag, A_FLAG] | Annotated[Tls, AN_OBJECT], BY_KIND] | None = None
    username: Text | None = None
    password: Text | None = None
    client_id: Text | None = None
    keepalive: Templated[Annotated[Int, Field(ge=0, le=65_535)]] | None = None
    clean_start: Templated[Flag] | None = None
    session_expiry: Templated[Seconds32] | None = None
    will: Will | None = None
    topic: Annotated[Annotated[Name, TEXT] | Annotated[Annotated[list[Name], Field(min_length=1)], A_LIST], BY_KIND] | None = None
    payload: Annotated[Annotated[Text, TEXT] | Annotated[JsonObject, AN_OBJECT], BY_KIND] | None = None
    payload_hex: Hex | None = None
    payload_base64: Base64 | None = None
    qos: Qos | None = None
    retain: Templated[Flag] | None = None
    properties: Properties | None = None
    delivery: Delivery | None = None
    no_local: Flag | None = None
    retain_as_published: Flag | None = None
    retain_handling: Annotated[Int, Field(ge=0, le=2)] | None = None
    expect: Text | None = None
    abrupt: Flag | None = None

    @classmethod
    def conflicts(cls, raw: JsonObject) -> Iterable[Fault]:
        given = {key: value for key, value in raw.items() if value is not None}
        if {"broker", "host"} <= given.keys():
            yield Fault(("host",), "says the same as 'broker'", "keep one of them")
        written = given.get("method", "publish")
        method = written.lower() if isinstance(written, str) else ""
        if method not in OWN_KEYS:
            return
        own = {key for keys in OWN_KEYS.values() for key in keys} | {*CONNECTION_KEYS}
        allowed = {*OWN_KEYS[method], *(CONNECTION_KEYS if method != "disconnect" else ())}
        for key in sorted(given.keys() & (own - allowed)):
            yield Fault((key,), f"has no meaning for the method {method!r}", f"remove it; its own keys are {', '.join(OWN_KEYS[method])}")
        if method in ("publish", "subscribe", "unsubscribe") and "topic" not in given:
            yield Fault(("topic",), "is missing", f"the method {method!r} needs one")
        yield from _one_payload(given)
        yield from _topic_faults(given, method)
        yield from _property_faults(given, method)
        yield from _version_faults(given)
        if method != "receive":
            yield from _message_faults(given, method)
        for key, of in (("assertions", "type"), ("extract", "from")):
            for position, entry in enumerate(given.get(key) or ()):
                if isinstance(entry, dict) and str(entry.get(of)).lower() == "status_code":
                    yield Fault((key, position, of), "MQTT has no status code", "a refusal fails the step by itself, with its reason code")

    def plain(self) -> JsonObject:
        """As `StepBase.plain`, with `method` always there and `broker` for its other spelling."""
        step = super().plain()
        if "host" in step:
            step["broker"] = step.pop("host")
        return {**step, "method": step.get("method", "publish")}


def _topic_faults(given: Mapping[str, object], method: str) -> Iterable[Fault]:
    topic = given.get("topic")
    if isinstance(topic, list) and method not in ("subscribe", "unsubscribe"):
        yield Fault(("topic",), f"must be one topic, not a list, for the method {method!r}")
        return
    for one in topic if isinstance(topic, list) else [topic]:
        trouble = topic_trouble(one, method) if isinstance(one, str) and not has_placeholder(one) else ""
        if trouble:
            yield Fault(("topic",), trouble)


def _one_payload(given: Mapping[str, object]) -> Iterable[Fault]:
    written = [key for key in PAYLOADS if given.get(key) is not None]
    for key in written[1:]:
        yield Fault((key,), f"can't be sent together with {written[0]!r}: a message has one payload", "keep one of them")


def _property_faults(given: Mapping[str, object], packet: str) -> Iterable[Fault]:
    properties = given.get("properties")
    for key in properties if isinstance(properties, dict) else ():
        if key in PROPERTY_OF and packet not in PROPERTY_OF[key] and packet in {one for of in PROPERTY_OF.values() for one in of}:
            yield Fault(("properties", key), f"is not a property of {packet}", f"it goes with {' or '.join(PROPERTY_OF[key])}")


def _version_faults(given: Mapping[str, object]) -> Iterable[Fault]:
    if given.get("version") != "3.1.1":
        return
    for key in ("properties", "session_expiry", "no_local", "retain_as_published", "retain_handling"):
        if key in given:
            yield Fault((key,), "came with MQTT 5, and the step says 3.1.1", 'write "version": "5", or remove it')


def _message_faults(given: JsonMapping, method: str) -> Iterable[Fault]:
    for position, entry in enumerate(given.get("assertions") or ()):
        if isinstance(entry, dict) and str(entry.get("type")).lower() in OF_A_MESSAGE:
            text = f"looks at a message, and the method {method!r} gets none"
            yield Fault(("assertions", position, "type"), text, "put it into a step with the method receive")
    if given.get("extract"):
        yield Fault(("extract",), f"takes values of a message, and the method {method!r} gets none", "put it into a receive step")
