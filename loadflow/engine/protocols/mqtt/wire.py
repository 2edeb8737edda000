"""One MQTT connection under gevent: paho's client, driven by the greenlet of the step and one small reader.

paho starts no thread here. What a step sends is written by the step's own greenlet; the reader takes what comes, lets paho
acknowledge it, and keeps the connection alive. A connection that is lost stays lost: the next one is a new object, so that
nothing is sent twice behind the script's back.
"""

from __future__ import annotations

import logging
import ssl
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gevent
import gevent.socket
import gevent.ssl
import paho.mqtt.client as paho
from gevent.event import AsyncResult
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.protocols.mqtt.request import PORT, TLS_PORT, Broker, Link, Message, MqttRequest, Trust
from loadflow.engine.protocols.running.connecting import client_context
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_stream import Socket, TlsStream, bounded
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.records.outcome import Outcome

__all__ = ["Connection", "properties_of"]

MOST_UNACKNOWLEDGED = 20  # messages, paho's own limit; a broker that owes more is given up
LOOK_AFTER_S = 5.0  # how often the reader looks after the connection at least
RETRY_WRITE_S = 0.05
MOST_PROPERTY_BYTES = 32 * 1024  # of one packet of MQTT 5: paho copies all that is left for each property
MOST_UNRELEASED = 1_000  # messages of QoS 2 that the broker has sent and not released
HEAD_BYTES = 128 * 1024  # topic and properties of a message, beside its payload
# what paho raises for bytes that are no MQTT
NO_MQTT = (MQTTException, ValueError, LookupError, TypeError, struct.error)
FAILURE = 0x80  # MQTT 5 section 2.4: reason codes from here on
PROTOCOL_ERROR = 0x82
OLD_PROTOCOL = 1  # MQTT 3.1.1 section 3.2.2.3

# keys of `properties` in a script, and what paho calls them
NAMES = {
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "message_expiry": "MessageExpiryInterval",
    "will_delay": "WillDelayInterval",
    "subscription_identifier": "SubscriptionIdentifier",
    "receive_maximum": "ReceiveMaximum",
    "maximum_packet_size": "MaximumPacketSize",
}


PUBLISH = 0x30

# what a step waits for: by its name, by a message's id, by an answer's name and its packet's id
_Awaited = int | str | tuple[str, int | None] | None


class _Idle(Exception):
    """Nothing came for a while."""


class _Wire(paho.Client):
    """paho's client, and what it leaves out."""

    def is_over(self, most_bytes: int) -> bool:
        """Whether the packet that is coming in is larger."""
        return self._in_packet["remaining_length"] > most_bytes

    def __init__(self, most_bytes: int, *args: Any, **options: Any) -> None:
        self._most_bytes = most_bytes
        self.tls_error: ssl.SSLError | None = None  # what ended the connection; paho only logs it
        super().__init__(*args, **options)

    def want_write(self) -> bool:
        """Also for what paho has given to TLS, and TLS not to the socket yet."""
        return super().want_write() or (isinstance(self._sock, TlsStream) and self._sock.has_unsent())

    def _packet_write(self) -> MQTTErrorCode:
        if isinstance(self._sock, TlsStream):
            try:
                self._sock.flush()
            except BlockingIOError:
                return MQTTErrorCode.MQTT_ERR_AGAIN
            except OSError:
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return super()._packet_write()

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(bufsize)
        except ssl.SSLError as error:
            self.tls_error = error
            raise

    def _packet_handle(self) -> MQTTErrorCode:
        """Raises MQTTException for a packet that paho would be busy with for long, or keep without end."""
        packet, kind = self._in_packet["packet"], self._in_packet["command"] & 0xF0
        if self._protocol == paho.MQTTv5 and property_bytes(self._in_packet["command"], packet) > MOST_PROPERTY_BYTES:
            raise MQTTException(f"over {MOST_PROPERTY_BYTES:,} bytes of properties")
        if kind == PUBLISH:
            packet[2 : 2 + int.from_bytes(packet[:2], "big")].decode()  # a topic that is not UTF-8 would fail the step that looks at it
        if kind == PUBLISH and self._in_messages:
            held = sum(len(message.payload) for message in self._in_messages.values())
            if len(self._in_messages) >= MOST_UNRELEASED or held + len(packet) > self._most_bytes + HEAD_BYTES:
                raise MQTTException(
                    f"more than {counted(len(self._in_messages), 'message')} of QoS 2 ({counted(held, 'byte')}) without PUBREL"
                )
        return super()._packet_handle()

    def _handle_connack(self) -> MQTTErrorCode:
        """A broker that does not speak MQTT 3.1.1 refuses the connection; paho 2.2 would call that invalid, as it does not try MQTT 3.1."""
        packet = bytes(self._in_packet["packet"])
        tell: Any = self.on_connect
        if self._protocol != paho.MQTTv5 and len(packet) == 2 and packet[1] == OLD_PROTOCOL:
            reason = ReasonCode(PacketTypes.CONNACK, "Unsupported protocol version")
            tell(self, None, paho.ConnectFlags(session_present=False), reason, None)
            return MQTTErrorCode.MQTT_ERR_CONN_REFUSED
        return super()._handle_connack()

    def _handle_pubrec(self) -> MQTTErrorCode:
        """A PUBREC that refuses is the end of its message (MQTT 5 section 4.3.3); paho 2.2 would go on with PUBREL."""
        packet = bytes(self._in_packet["packet"])
        if self._protocol == paho.MQTTv5 and len(packet) > 2 and packet[2] >= FAILURE:
            mid = int.from_bytes(packet[:2], "big")
            with self._out_message_mutex:
                if mid in self._out_messages:
                    reason = ReasonCode(PacketTypes.PUBREC, identifier=packet[2])
                    return self._do_on_publish(mid, reason, properties_of(PacketTypes.PUBREC, {}))
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._handle_pubrec()


class Connection:
    """`lost` is None while it can be used, else how it ended. Every wait is bounded by the caller's gevent.Timeout."""

    def __init__(
        self,
        broker: Broker,
        link: Link,
        properties: JsonMapping,
        on_message: Callable[[paho.MQTTMessage], None],
        on_lost: Callable[[tuple[Outcome, str]], None],
        most_bytes: int,
    ) -> None:
        self.link = link
        self.lost: tuple[Outcome, str] | None = None
        self.session_present = False
        self._broker = broker
        self._properties = properties
        self._take = on_message
        self._tell = on_lost
        self._most_bytes = most_bytes
        self._waiting: dict[_Awaited, AsyncResult] = {}
        self._unacknowledged: set[int] = set()
        self._most_unacknowledged = MOST_UNACKNOWLEDGED
        self._reader: gevent.Greenlet | None = None
        self._watchers: list[Any] = []
        self._connected = False
        self._wire = self._new_wire()

    def open(self, timeout_s: float) -> None:
        """Connect and wait for CONNACK. Raises HitFailure or a socket's own error, and is closed then."""
        wire, link = self._wire, self.link
        # the caller's timeout ends this; paho's own must not come first
        wire.connect_timeout = timeout_s + 1
        answered = self._waiting["CONNACK"] = AsyncResult()
        port = self._broker.port or (TLS_PORT if link.trust is not None else PORT)
        try:
            if link.version == "5":
                asked = properties_of(PacketTypes.CONNECT, self._properties)
                if link.session_expiry_s is not None:
                    asked.SessionExpiryInterval = link.session_expiry_s
                wire.connect(self._broker.host, port, link.keepalive_s, clean_start=link.clean_start, properties=asked)
            else:
                wire.connect(self._broker.host, port, link.keepalive_s)
            self._start_reader()
            self._flush()
            answered.get()
        except BaseException:
            self.drop()
            raise
        finally:
            self._waiting.pop("CONNACK", None)
        self._connected = True

    def publish(self, message: Message) -> None:
        """QoS 0: until it is written; 1 and 2: until it is acknowledged."""
        properties = properties_of(PacketTypes.PUBLISH, message.properties) if self.link.version == "5" else None
        info = self._wire.publish(message.topic, message.payload, message.qos, message.retain, properties)
        self._check(info.rc)
        if message.qos == 0:
            self._flush()
            return
        self._unacknowledged.add(info.mid)
        try:
            self._wait(info.mid)
        except gevent.Timeout:
            if len(self._unacknowledged) >= self._most_unacknowledged:
                self.drop()  # paho would send no further one; the next step connects anew
            raise

    def subscribe(self, request: MqttRequest) -> None:
        if self.link.version == "5":
            options = SubscribeOptions(request.qos, request.no_local, request.retain_as_published, request.retain_handling)
            asked = properties_of(PacketTypes.SUBSCRIBE, request.properties)
            rc, mid = self._wire.subscribe([(topic, options) for topic in request.topics], properties=asked)
        else:
            rc, mid = self._wire.subscribe([(topic, request.qos) for topic in request.topics])
        self._check(rc)
        self._refusals(self._wait(("SUBACK", mid)), request, "subscription to")

    def unsubscribe(self, request: MqttRequest) -> None:
        asked = properties_of(PacketTypes.UNSUBSCRIBE, request.properties) if self.link.version == "5" else None
        rc, mid = self._wire.unsubscribe(list(request.topics), properties=asked)
        self._check(rc)
        self._refusals(self._wait(("UNSUBACK", mid)), request, "end of the subscription to")

    def wait_for_message(self) -> None:
        self._wait("message")

    def disconnect(self) -> None:
        """Say good-bye, as far as that can be written at once, and close."""
        self.lost = self.lost or (Outcome.CLOSED, "disconnected")
        if self._wire.socket() is not None:
            self._wire.disconnect()
        self.drop()

    def drop(self) -> None:
        """Close without DISCONNECT, as a user whose machine dies. Never waits."""
        self.lost = self.lost or (Outcome.CLOSED, "dropped")
        for watcher in self._watchers:
            gevent.socket.cancel_wait(watcher)
        self._watchers.clear()
        if self._reader is not None and self._reader is not gevent.getcurrent():
            self._reader.kill(block=False)
        self._reader = None
        socket = self._wire.socket()
        if socket is not None:
            socket.close()

    def _new_wire(self) -> _Wire:
        link = self.link
        version = paho.MQTTv5 if link.version == "5" else paho.MQTTv311
        wire = _Wire(
            self._most_bytes,
            CallbackAPIVersion.VERSION2,
            client_id=link.client_id,
            clean_session=None if link.version == "5" else link.clean_start,
            protocol=version,
            reconnect_on_failure=False,
        )
        wire.max_inflight_messages_set(MOST_UNACKNOWLEDGED)
        if link.username is not None or link.password is not None:
            wire.username_pw_set(link.username or "", link.password)
        if link.will is not None:
            will = link.will
            properties = properties_of(PacketTypes.WILLMESSAGE, will.properties) if link.version == "5" else None
            wire.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        if link.trust is not None:
            wire.tls_set_context(_tls_context(link.trust))  # paho calls its wrap_socket
        wire.on_socket_open = _no_delay
        wire.on_connect = self._on_connect
        wire.on_disconnect = self._on_disconnect
        wire.on_publish = self._on_publish
        wire.on_subscribe = self._on_suback
        wire.on_unsubscribe = self._on_unsuback
        wire.on_message = self._on_message
        return wire

    def _wait(self, key: _Awaited) -> Any:
        """What a callback has for `key`; it can't come before the greenlet lets the reader run."""
        if self.lost is not None:
            raise HitFailure(*self.lost)
        result = self._waiting[key] = AsyncResult()
        try:
            self._flush()
            return result.get()
        finally:
            self._waiting.pop(key, None)

    def _flush(self) -> None:
        """Until all is written that paho holds. Raises HitFailure where the connection ends meanwhile."""
        wire = self._wire
        while wire.want_write() and wire.socket() is not None and self._watchers:
            try:
                gevent.socket.wait(self._watchers[1])
            except OSError:  # closed by the reader
                break
            wire.loop_write()
        if self.lost is not None:
            raise HitFailure(*self.lost)

    def _check(self, rc: int) -> None:
        if self.lost is not None:
            raise HitFailure(*self.lost)
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise HitFailure(Outcome.PROTOCOL, f"nothing was sent: {paho.error_string(MQTTErrorCode(rc))}")

    def _refusals(self, reasons: list[ReasonCode], request: MqttRequest, what: str) -> None:
        refused = [f"{topic}: {_reason(code)}" for topic, code in zip(request.topics, reasons, strict=False) if code.value >= FAILURE]
        if refused or (len(reasons) < len(request.topics) and self.link.version == "5"):
            raise HitFailure(Outcome.STATUS, f"the broker refused the {what} {', '.join(refused) or 'some of the topics'}")

    def _start_reader(self) -> None:
        socket: Any = self._wire.socket()
        if socket is None:
            return
        loop = gevent.get_hub().loop
        self._watchers[:] = [loop.io(socket.fileno(), 1), loop.io(socket.fileno(), 2)]
        # a socket that paho closes may lend its number to another one
        self._wire.on_socket_close = lambda *_: self._stop_watching()
        self._reader = gevent.spawn(self._read, socket)

    def _stop_watching(self) -> None:
        for watcher in self._watchers:
            gevent.socket.cancel_wait(watcher)

    def _read(self, socket: Socket) -> None:
        wire, readable = self._wire, self._watchers[0]
        pending: Callable[[], bool] = socket.has_more if isinstance(socket, TlsStream) else lambda: False
        turns = Turns()
        every_s = min(LOOK_AFTER_S, max(0.25, self.link.keepalive_s / 4)) if self.link.keepalive_s else LOOK_AFTER_S
        try:
            while wire.socket() is not None and self._reader is not None:
                try:
                    if pending():  # in TLS, where a wait for the socket would not see it
                        turns.taken()
                    else:
                        gevent.socket.wait(readable, RETRY_WRITE_S if wire.want_write() else every_s, _Idle())
                except _Idle:
                    wire.loop_misc()
                else:
                    wire.loop_read()
                    if wire.is_over(self._most_bytes + HEAD_BYTES):
                        self._lose((Outcome.TOO_LARGE, f"a message is over max_body_bytes ({self._most_bytes:,})"))
                        self.drop()
                if wire.want_write() and wire.socket() is not None:
                    wire.loop_write()
        except NO_MQTT as error:
            self._lose((Outcome.PROTOCOL, f"the broker sent invalid MQTT: {type(error).__name__}: {error}"))
            self.drop()
        except OSError as error:
            self._lose((Outcome.CLOSED, f"the connection was lost: {error}"))

    def _lose(self, how: tuple[Outcome, str]) -> None:
        """Runs once. Fails every pending request; with none pending, records the loss as a hit of its own."""
        if self.lost is not None:
            return
        self.lost = how
        waiting = [result for result in self._waiting.values() if not result.ready()]
        for result in waiting:
            result.set_exception(HitFailure(*how))
        if not waiting and self._connected:
            self._tell(how)

    def _on_connect(
        self, client: object, userdata: object, flags: paho.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        answered = self._waiting.get("CONNACK")
        if answered is None:
            return
        if reason.value >= FAILURE:
            how = (Outcome.CONNECT, f"the broker refused the connection: {_reason(reason)}")
            self.lost = how
            answered.set_exception(HitFailure(*how))
            return
        self.session_present = bool(flags.session_present)
        self._most_unacknowledged = min(MOST_UNACKNOWLEDGED, getattr(properties, "ReceiveMaximum", MOST_UNACKNOWLEDGED))
        answered.set(None)

    def _on_disconnect(self, client: object, userdata: object, flags: paho.DisconnectFlags, reason: ReasonCode, properties: object) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lose((Outcome.CLOSED, f"the broker ended the connection: {_reason(reason)}"))
        elif reason.value == PROTOCOL_ERROR:
            self._lose((Outcome.PROTOCOL, "the broker sent invalid MQTT"))
        elif self._wire.tls_error is not None:
            self._lose((Outcome.TLS, self._wire.tls_error.strerror or str(self._wire.tls_error)))
        else:
            self._lose((Outcome.CLOSED, f"the connection was lost: {reason}"))

    def _on_publish(self, client: object, userdata: object, mid: int, reason: ReasonCode, properties: object) -> None:
        self._unacknowledged.discard(mid)
        result = self._waiting.get(mid)
        if result is None:
            return
        if reason.value >= FAILURE:
            result.set_exception(HitFailure(Outcome.STATUS, f"the broker refused the message: {_reason(reason)}"))
        else:
            result.set(reason)

    def _on_suback(self, client: object, userdata: object, mid: int, reasons: object, properties: object) -> None:
        self._answered(("SUBACK", mid), reasons)

    def _on_unsuback(self, client: object, userdata: object, mid: int, reasons: object, properties: object) -> None:
        self._answered(("UNSUBACK", mid), reasons)

    def _answered(self, key: _Awaited, reasons: Any) -> None:
        result = self._waiting.get(key)
        if result is not None:
            result.set(list(reasons))

    def _on_message(self, client: object, userdata: object, message: paho.MQTTMessage) -> None:
        self._take(message)
        result = self._waiting.get("message")
        if result is not None and not result.ready():
            result.set(None)


def property_bytes(command: int, packet: bytes | bytearray) -> int:
    """How long the properties of a packet of MQTT 5 say that they are; for packets other than PUBLISH the whole packet, whose other parts
    are small.
    """
    if command & 0xF0 != PUBLISH:
        return len(packet)
    at = 2 + int.from_bytes(packet[:2], "big") + (2 if command & 0x06 else 0)
    length = 0
    for position, byte in enumerate(packet[at : at + 4]):
        length |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            break
    return length


def properties_of(packet: int, written: JsonMapping) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for key, value in written.items():
        if key in NAMES:
            setattr(properties, NAMES[key], value)
        elif key == "correlation_data":
            properties.CorrelationData = value.encode()
        elif key == "payload_is_text":
            properties.PayloadFormatIndicator = int(value)
        elif key == "user":
            properties.UserProperty = list(value)
    return properties


def _reason(code: ReasonCode) -> str:
    return f"{code} (0x{code.value:02x})"


def _no_delay(client: object, userdata: object, socket: Any) -> None:
    socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)


@lru_cache(maxsize=64)
def _tls_context(trust: Trust) -> Any:
    return bounded(client_context(trust.verify, trust.cert))


logging.getLogger("paho").setLevel(logging.WARNING)
