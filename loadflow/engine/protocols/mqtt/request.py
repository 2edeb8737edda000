"""An MQTT step, compiled, and the request it gives per hit."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_path import MISSING, value_at
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.values import shown
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.mqtt.words import BROKER, CONNECTION_KEYS, broker_trouble, topic_trouble
from loadflow.engine.protocols.running.filling import filled, flag, payload_text, peer_files, seconds
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Certificate
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text, text_of

__all__ = ["PORT", "TLS_PORT", "Broker", "Link", "Message", "MqttRequest", "MqttStep", "Tracked", "Trust", "receives"]

DEFAULT_BROKER = "127.0.0.1:1883"
DEFAULT_TIMEOUT_S = 5.0
PORT, TLS_PORT = 1883, 8883
MOST_TEXT = 65_535  # bytes of any text but a payload: MQTT 5 section 1.5.4
# properties that are whole numbers, and their bounds; the others but `user` are text
NUMBERS = {
    "message_expiry": (0, 2**32 - 1),
    "will_delay": (0, 2**32 - 1),
    "subscription_identifier": (1, 268_435_455),
    "receive_maximum": (1, 65_535),
    "maximum_packet_size": (1, 268_435_455),
}
PARTS = ("topic", "payload", "payload_hex", "payload_base64", "qos", "retain", "properties", "expect", "timeout", *CONNECTION_KEYS)


@dataclass(frozen=True, slots=True)
class Broker:
    """Whom to connect to. `tls` is asked for by the scheme mqtts."""

    host: str  # without brackets
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Trust:
    """TLS: what `load_files` takes."""

    verify: bool | str
    cert: Certificate


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: JsonMapping


@dataclass(frozen=True, slots=True)
class Link:
    """How a connection is opened. `client_id` "" and `username` None: not said."""

    version: str
    trust: Trust | None
    username: str | None
    password: str | None
    client_id: str
    keepalive_s: int
    clean_start: bool
    session_expiry_s: int | None
    will: Message | None


@dataclass(frozen=True, slots=True)
class Tracked:
    """How the delivery of one message is measured. `token` None: loadflow makes one, and the message carries it in a property."""

    path: str
    token: str | None
    timeout_s: float
    subscribers: int
    required: bool
    name: str


@dataclass(frozen=True, slots=True)
class MqttRequest:
    """What one hit does. `link` None: it says nothing about the connection, so that of an earlier step stands."""

    method: str
    broker: Broker
    link: Link | None
    timeout_s: float
    topics: Sequence[str]
    message: Message | None
    tracked: Tracked | None
    qos: int
    properties: JsonMapping
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    expect: str | None
    abrupt: bool


class MqttStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit; without one, topics stand as they are written.

    `fixed` is the request where every hit has the same; `written`: what makes a request, by its keys, as it stands in the step.
    """

    method = "MQTT"

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        self._config = config
        self._kind: str = config["method"]
        written = {key: config[key] for key in PARTS if config.get(key) is not None}
        self.written = {"broker": config.get("broker") or plan.host or DEFAULT_BROKER, **written}
        self._parts = {key: compiler(value) for key, value in self.written.items()}
        self._linked = self._kind == "connect" or any(key in self._parts for key in CONNECTION_KEYS)
        self._name = compiler(config["name"]) if config.get("name") is not None else None
        topic = config.get("topic") or ""
        self._topic_name = ",".join(known_text(one, compiler) for one in (topic if isinstance(topic, list) else [topic]))
        default_name = f"{self._kind}:{self._topic_name}"
        self.name: str | None = default_name if self._name is None else text_of(self._name.value) if self._name.is_static else None
        self.place = known_text(self.written["broker"], compiler)
        self._refuse_old_version(plan)
        # no placeholder anywhere: what is wrong with it is wrong with every hit, and raised before the load starts
        self.fixed = self._build(None) if all(part.is_static for part in self._parts.values()) else None

    def render(self, scope: Scope) -> MqttRequest:
        return self.fixed if self.fixed is not None else self._build(scope)

    def render_name(self, scope: Scope) -> str:
        return self.name if self.name is not None else text_of(filled(self._name, scope))

    def sample(self, request: MqttRequest) -> JsonObject:
        shown: dict[str, object] = {"method": request.method, "broker": f"{request.broker.host}:{request.broker.port}"}
        if request.topics:
            shown["topic"] = ", ".join(request.topics)
        if request.link is not None:
            shown |= {"client_id": request.link.client_id, "username": request.link.username, "password": request.link.password}
        if request.message is not None:
            shown |= {"qos": request.message.qos, "body": request.message.payload.decode("utf-8", "backslashreplace")}
        return shown

    def _refuse_old_version(self, plan: Plan) -> None:
        """What only MQTT 5 has, where no step of the plan asks for MQTT 5."""
        delivery = self._config.get("delivery")
        new = [key for key in ("properties", "session_expiry", "no_local", "retain_as_published", "retain_handling") if key in self._config]
        if (self._config.get("will") or {}).get("properties"):
            new.append("will.properties")
        if delivery is not None and not delivery.get("path"):
            new.append("delivery without path")
        version = self._config.get("version")
        if new and version != "5" and (version or not any("call" in step or step.get("version") == "5" for step in plan.steps)):
            raise HitFailure(Outcome.TEMPLATE, f'{new[0]} needs MQTT 5: write "version": "5" into the step that connects')

    def _build(self, scope: Scope | None) -> MqttRequest:
        return self.made_of({key: filled(part, scope) for key, part in self._parts.items()})

    def made_of(self, values: StepValues, later: Collection[str] = ()) -> MqttRequest:
        """The request of these values, by the keys of `written`; those of `later` are filled in where it is sent. Raises HitFailure where
        they make none."""
        try:
            return self._assemble(values, later)
        except UnicodeError as error:
            raise HitFailure(Outcome.TEMPLATE, f"a value holds a character that can't be sent: {error}") from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # a variable of the wrong kind
            raise HitFailure(Outcome.TEMPLATE, f"the values of this hit make no request: {error}") from None

    def _assemble(self, values: StepValues, later: Collection[str]) -> MqttRequest:
        config = self._config
        place = _broker(text_of(values["broker"]))
        topic = values.get("topic")
        topics = tuple(text_of(one) for one in (topic if isinstance(topic, list) else [] if topic is None else [topic]))
        for one in topics:
            _refuse_topic(one, self._kind)
        message = _message(values, topics[0]) if self._kind == "publish" else None
        return MqttRequest(
            method=self._kind,
            broker=place,
            link=_link(values, place) if self._linked else None,
            timeout_s=seconds(values.get("timeout"), DEFAULT_TIMEOUT_S),
            topics=topics,
            message=message,
            tracked=self._tracked(None if "payload" in later else message) if config.get("delivery") is not None else None,
            qos=_qos(values),
            properties=_properties(values),
            no_local=bool(config.get("no_local")),
            retain_as_published=bool(config.get("retain_as_published")),
            retain_handling=config.get("retain_handling") or 0,
            expect=text_of(values["expect"]) if "expect" in values else None,
            abrupt=bool(config.get("abrupt")),
        )

    def _tracked(self, message: Message | None) -> Tracked:
        """`message` None: its payload is not known yet."""
        delivery = self._config["delivery"]
        path = delivery.get("path") or ""
        token = None
        if path and message is not None:
            try:
                found = value_at(json.loads(message.payload), path)
            except ValueError:
                found = MISSING
            if found is MISSING:
                raise HitFailure(Outcome.TEMPLATE, f"delivery: the payload is not JSON with something at the path {path}")
            token = text_of(found)
        return Tracked(
            path,
            token,
            float(delivery.get("timeout", 10.0)),
            delivery.get("subscribers", 1),
            bool(delivery.get("required")),
            f"deliver:{self._topic_name}",
        )


def _broker(written: str) -> Broker:
    found = BROKER.fullmatch(written)
    trouble = broker_trouble(written)
    if trouble is not None or found is None:
        raise HitFailure(Outcome.TEMPLATE, f"{written[:100]!r} {'; '.join(trouble or ('is not a broker', 'write host:port'))}")
    tls = (found[1] or "").lower() == "mqtts"
    return Broker(found[2].strip("[]"), int(found[3]) if found[3] else 0, tls)


def _link(values: StepValues, broker: Broker) -> Link:
    username, password = values.get("username"), values.get("password")
    will = values.get("will")
    expiry = values.get("session_expiry")
    link = Link(
        version=str(values.get("version", "3.1.1")),
        trust=_trust(values.get("tls"), broker),
        username=None if username is None else text_of(username),
        password=None if password is None else text_of(password),
        client_id=text_of(values.get("client_id", "")),
        keepalive_s=_whole(values.get("keepalive", 60), "keepalive", 65_535),
        clean_start=flag(values.get("clean_start", True)),
        session_expiry_s=None if expiry is None else _whole(expiry, "session_expiry", 2**32 - 1),
        will=_message(will, text_of(will["topic"])) if will is not None else None,
    )
    if link.will is not None:
        _refuse_topic(link.will.topic, "publish")
        _refuse_long("the will", link.will.payload)
    for name, text in (("username", link.username), ("password", link.password), ("client_id", link.client_id)):
        _refuse_long(name, (text or "").encode())
    if link.password is not None and link.username is None and link.version != "5":
        raise HitFailure(Outcome.TEMPLATE, "a password without a username came with MQTT 5")
    if link.trust is None and broker.tls:
        raise HitFailure(Outcome.TEMPLATE, "the scheme mqtts asks for TLS, and tls says false")
    if not link.clean_start and not link.client_id:
        raise HitFailure(Outcome.TEMPLATE, "clean_start false needs a client_id: it names the session that goes on")
    return link


def _trust(tls: object, broker: Broker) -> Trust | None:
    if tls is False or (tls is None and not broker.tls):
        return None
    return Trust(*peer_files(tls if isinstance(tls, Mapping) else {}))


def _message(values: StepValues, topic: str) -> Message:
    return Message(topic, _payload(values), _qos(values), flag(values.get("retain", False)), _properties(values))


def _properties(values: StepValues) -> dict[str, object]:
    """Those of a packet: numbers in their bounds, text that fits, and `user` as pairs."""
    found: JsonObject = {}
    for key, value in (values.get("properties") or {}).items():
        if key == "user":
            pairs = value.items() if isinstance(value, Mapping) else value
            found[key] = [(text_of(one), text_of(other)) for one, other in pairs]
        elif key == "payload_is_text":
            found[key] = flag(value)
        elif key in NUMBERS:
            found[key] = _whole(value, key, *reversed(NUMBERS[key]))
        else:
            found[key] = text_of(value)
    for key, value in found.items():
        for text in [value] if isinstance(value, str) else [text for pair in value for text in pair] if key == "user" else ():
            _refuse_long(f"the property {key}", text.encode())
    if (answer := found.get("response_topic")) is not None:
        _refuse_topic(answer, "publish")
    return found


def _refuse_topic(topic: str, method: str) -> None:
    if trouble := topic_trouble(topic, method) or ("" if topic else "is empty"):
        raise HitFailure(Outcome.TEMPLATE, f"the topic {topic[:100]!r} {trouble}")


def _refuse_long(what: str, text: bytes) -> None:
    if len(text) > MOST_TEXT:
        raise HitFailure(Outcome.TEMPLATE, f"{what} has {counted(len(text), 'byte')}, and MQTT sends {MOST_TEXT:,} at most")


def _payload(values: StepValues) -> bytes:
    if "payload_hex" in values:
        return bytes.fromhex(text_of(values["payload_hex"]))
    if "payload_base64" in values:
        return base64.b64decode(text_of(values["payload_base64"]), validate=True)
    return payload_text(values.get("payload", "")).encode()


def _qos(values: Mapping[str, object]) -> int:
    return _whole(values.get("qos", 0), "qos", 2)


def _whole(value: Any, what: str, most: int, least: int = 0) -> int:
    number = int(value)
    if not least <= number <= most:
        raise HitFailure(Outcome.TEMPLATE, f"{what} {shown(value)} is not a whole number from {least} to {most:,}")
    return number


def receives(plan: Plan) -> bool:
    """Whether anything asks for messages."""
    return any("call" in step or step["method"] == "receive" for step in plan.steps)
