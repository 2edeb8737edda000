"""`mqtt_user`: MQTT 3.1.1 and 5, one connection per user and broker, opened by the first step that needs it."""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass, field, replace

import gevent
import paho.mqtt.client as paho
from paho.mqtt import MQTTException

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_path import MISSING, value_at
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.mqtt.delivery import PROPERTY, Deliveries
from loadflow.engine.protocols.mqtt.reply import MqttReply, Received
from loadflow.engine.protocols.mqtt.request import Broker, Link, MqttRequest, MqttStep, Trust, receives
from loadflow.engine.protocols.mqtt.wire import Connection
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.seam import HitFailure, UserContext, UserProtocol, Watch
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.template import text_of

__all__ = ["MQTT", "MqttClient"]

MOST_WAITING = 1_000  # messages that came and that no step has asked for yet
SWEEP_S = 0.25
PLAIN_LINK = Link("3.1.1", None, None, None, "", 60, True, None, None)
TLS_LINK = replace(PLAIN_LINK, trust=Trust(True, None))


@dataclass(slots=True)
class _Shared:
    """What the users of one plan share in this process; it goes when the last of them has."""

    plan: Plan  # held, so that no other plan gets its id
    deliveries: Deliveries = field(default_factory=Deliveries)
    users: int = 0
    sweeper: gevent.Greenlet | None = None

    def sweep(self, watch: Watch) -> None:
        """One greenlet for all users gives up what is due."""
        if self.sweeper is None:
            self.sweeper = gevent.spawn(self._sweep, watch)

    def leave(self) -> None:
        self.users -= 1
        if not self.users:
            del _shared[id(self.plan)]
            if self.sweeper is not None:
                self.sweeper.kill(block=False)

    def _sweep(self, watch: Watch) -> None:
        while True:
            gevent.sleep(SWEEP_S)
            self.deliveries.sweep(watch.now_ns())


_shared: dict[int, _Shared] = {}


def _join(plan: Plan) -> _Shared:
    shared = _shared.setdefault(id(plan), _Shared(plan))
    shared.users += 1
    return shared


class _Inbox:
    """Received messages that no step has taken yet. Bounded; dropped messages are counted and reported."""

    def __init__(self, most_bytes: int) -> None:
        self._messages: deque[paho.MQTTMessage] = deque()
        self._most_bytes = most_bytes
        self._bytes = 0
        self.arrived = 0
        self.dropped = 0

    def put(self, message: paho.MQTTMessage) -> None:
        self._messages.append(message)
        self.arrived += 1
        self._bytes += len(message.payload)
        while len(self._messages) > MOST_WAITING or (self._bytes > self._most_bytes and len(self._messages) > 1):
            self._bytes -= len(self._messages.popleft().payload)
            self.dropped += 1

    def take(self, topic: str, after: int = 0) -> paho.MQTTMessage | None:
        """The oldest message whose topic matches the filter; "" takes any. `after`: how many had arrived when none of them matched."""
        new = self.arrived - after
        for position in range(max(0, len(self._messages) - new), len(self._messages)):
            message = self._messages[position]
            if not topic or paho.topic_matches_sub(topic, message.topic):
                del self._messages[position]
                self._bytes -= len(message.payload)
                return message
        return None


class MqttClient:
    """One virtual user's connections, subscriptions and messages."""

    def __init__(self, user: UserContext) -> None:
        self._user = user
        self._connections: dict[Broker, Connection] = {}
        self._links: dict[Broker, tuple[Link, JsonMapping]] = {}
        self._subscriptions: dict[Broker, dict[str, MqttRequest]] = {}
        self._inboxes: dict[Broker, _Inbox] = {}
        self._keeps = receives(user.plan)
        self._shared = _join(user.plan)
        self._deliveries = self._shared.deliveries
        # the same for all connections of the user; not over 23 characters, which every broker must take (3.1.1 section 3.1.3.1)
        self._client_id = f"loadflow-{os.urandom(6).hex()}"

    def perform(self, request: MqttRequest) -> MqttReply:
        """Raises HitFailure; socket errors pass through for the protocol's table."""
        with within(request.timeout_s, lambda: f"{WAITS_FOR[request.method]} within {request.timeout_s:g} s"):
            return ACTIONS[request.method](self, request)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.disconnect()
        self._connections.clear()
        self._deliveries.forget(self._user.watch)
        self._shared.leave()

    def _connect(self, request: MqttRequest) -> MqttReply:
        """Always a new connection: one that is open is ended first, and a clean start forgets its subscriptions."""
        old = self._connections.pop(request.broker, None)
        if old is not None:
            old.disconnect()
        if request.link is not None and request.link.clean_start:
            self._subscriptions.pop(request.broker, None)
        self._open(request)
        return MqttReply()

    def _disconnect(self, request: MqttRequest) -> MqttReply:
        connection = self._connections.pop(request.broker, None)
        if connection is None or connection.lost is not None:
            raise HitFailure(Outcome.CLOSED, "there is no connection to end")
        if request.abrupt:
            connection.drop()
        else:
            connection.disconnect()
        return MqttReply()

    def _publish(self, request: MqttRequest) -> MqttReply:
        message, tracked = request.message, request.tracked
        assert message is not None
        connection = self._connected(request)
        if tracked is None:
            connection.publish(message)
            return MqttReply(len(message.payload))
        token = tracked.token
        if token is None:
            if connection.link.version != "5":
                raise HitFailure(Outcome.TEMPLATE, "delivery without a path needs a connection of MQTT 5; nothing was sent")
            token = self._deliveries.new_token()
            pairs = [*message.properties.get("user", ()), (PROPERTY, token)]
            message = replace(message, properties={**message.properties, "user": pairs})
        if tracked.required:
            self._shared.sweep(self._user.watch)
        self._deliveries.sent(tracked, token, self._user.watch)
        try:
            connection.publish(message)
        except BaseException:
            self._deliveries.not_sent(tracked, token)
            raise
        return MqttReply(len(message.payload))

    def _subscribe(self, request: MqttRequest) -> MqttReply:
        self._connected(request).subscribe(request)
        held = self._subscriptions.setdefault(request.broker, {})
        for topic in request.topics:
            held[topic] = replace(request, topics=(topic,))
        return MqttReply()

    def _unsubscribe(self, request: MqttRequest) -> MqttReply:
        self._connected(request).unsubscribe(request)
        for topic in request.topics:
            self._subscriptions.get(request.broker, {}).pop(topic, None)
        return MqttReply()

    def _receive(self, request: MqttRequest) -> MqttReply:
        topic = request.topics[0] if request.topics else ""
        inbox = self._inbox(request.broker)
        seen = 0
        while (message := self._taken(inbox, topic, seen)) is None:
            seen = inbox.arrived
            self._connected(request).wait_for_message()
        received = Received(message.topic, bytes(message.payload), message.qos, message.retain, _user_properties(message))
        reply = MqttReply(0, received)
        if request.expect is not None and request.expect not in reply.text():
            raise HitFailure(Outcome.ASSERTION, f"expected {request.expect[:200]!r} in the message on {message.topic}", reply)
        return reply

    def _taken(self, inbox: _Inbox, topic: str, seen: int) -> paho.MQTTMessage | None:
        if inbox.dropped:
            dropped, inbox.dropped = inbox.dropped, 0
            raise HitFailure(Outcome.TOO_LARGE, f"{counted(dropped, 'message')} dropped: no step received them in time")
        return inbox.take(topic, seen)

    def _connected(self, request: MqttRequest) -> Connection:
        connection = self._connections.get(request.broker)
        if connection is not None and connection.lost is None:
            return connection
        return self._open(request)

    def _open(self, request: MqttRequest) -> Connection:
        """By what the step says, else as this user's last connection to the broker was opened; subscriptions are made again."""
        broker = request.broker
        if request.link is not None:
            self._links[broker] = (request.link, request.properties if request.method == "connect" else {})
        link, properties = self._links.get(broker) or (TLS_LINK if broker.tls else PLAIN_LINK, {})
        if not link.client_id:
            link = replace(link, client_id=self._client_id)
        connection = Connection(
            broker,
            link,
            properties,
            lambda message: self._take(broker, message),
            self._lost,
            self._user.plan.max_body_bytes,
        )
        connection.open(request.timeout_s)
        try:
            for one in () if connection.session_present else self._subscriptions.get(broker, {}).values():
                connection.subscribe(one)
        except BaseException:
            connection.drop()  # else later steps would wait for messages that never come
            raise
        self._connections[broker] = connection
        return connection

    def _inbox(self, broker: Broker) -> _Inbox:
        return self._inboxes.setdefault(broker, _Inbox(self._user.plan.max_body_bytes))

    def _take(self, broker: Broker, message: paho.MQTTMessage) -> None:
        """In the reader's greenlet: it may not wait."""
        watch, deliveries = self._user.watch, self._deliveries
        for key, token in _user_properties(message):
            if key == PROPERTY:
                deliveries.received("", token, self._user.number, watch, len(message.payload))
        if deliveries.paths:
            self._find_tokens(message)
        if self._keeps:
            self._inbox(broker).put(message)

    def _find_tokens(self, message: paho.MQTTMessage) -> None:
        try:
            data = read_json(message.payload)
        except (ValueError, HitFailure):
            return  # not one of those that are measured
        for path in self._deliveries.paths:
            token = value_at(data, path)
            if token is not MISSING:
                self._deliveries.received(path, text_of(token), self._user.number, self._user.watch, len(message.payload))

    def _lost(self, how: tuple[Outcome, str]) -> None:
        """A connection ended while no step waited for it."""
        watch = self._user.watch
        now_ns = watch.now_ns()
        watch.observed("MQTT", "connection", now_ns, now_ns, 0, how)


def _user_properties(message: paho.MQTTMessage | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = getattr(getattr(message, "properties", None), "UserProperty", [])
    return found


ACTIONS = {
    "connect": MqttClient._connect,
    "disconnect": MqttClient._disconnect,
    "publish": MqttClient._publish,
    "subscribe": MqttClient._subscribe,
    "unsubscribe": MqttClient._unsubscribe,
    "receive": MqttClient._receive,
}
WAITS_FOR = {
    "connect": "no CONNACK",
    "disconnect": "not disconnected",
    "publish": "not acknowledged",
    "subscribe": "no SUBACK",
    "unsubscribe": "no UNSUBACK",
    "receive": "no message",
}

MQTT = UserProtocol(
    user="mqtt_user",
    prepare=MqttStep,
    new_client=MqttClient,
    errors=(
        (socket.gaierror, Outcome.DNS),
        (UnicodeError, Outcome.DNS),
        (ssl.SSLError, Outcome.TLS),
        (ConnectionRefusedError, Outcome.CONNECT),
        (TimeoutError, Outcome.TIMEOUT),
        (ConnectionError, Outcome.CLOSED),
        (OSError, Outcome.CONNECT),
        (MQTTException, Outcome.PROTOCOL),
    ),
    fails=lambda reply: None,
)
