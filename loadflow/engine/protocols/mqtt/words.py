"""How topics, connections and brokers of MQTT are written in a script."""

from __future__ import annotations

import re

__all__ = ["BROKER", "CONNECTION_KEYS", "SCHEMES", "broker_trouble", "topic_trouble"]

# read when a connection is opened, and only then
CONNECTION_KEYS = ("version", "tls", "username", "password", "client_id", "keepalive", "clean_start", "session_expiry", "will")


def topic_trouble(topic: str, method: str) -> str:
    """Why a broker would refuse it (MQTT 5 section 4.7); "" where it would not."""
    if "\0" in topic or len(topic.encode("utf-8", "surrogatepass")) > 65_535:
        return "holds a null character or is over 65,535 bytes"
    if method == "publish":
        return "holds a wildcard; only subscriptions may" if re.search(r"[+#]", topic) else ""
    levels = topic.split("/")
    wrong_hash = any("#" in level and (level != "#" or position < len(levels) - 1) for position, level in enumerate(levels))
    wrong_plus = any("+" in level and level != "+" for level in levels)
    return "has a wildcard in a wrong place: + is a whole level, # the whole last one" if wrong_hash or wrong_plus else ""


# mqtt:// and mqtts:// are what brokers' vendors write; a host may be an IPv6 address in brackets
BROKER = re.compile(r"(?:(mqtts?)://)?(\[[0-9A-Fa-f:.%\w]+\]|[\w.~-]+)(?::([0-9]{1,5}))?/?", re.IGNORECASE)


# how other clients write a broker, and what is supported in its place
SCHEMES = {
    "ws": (
        "asks for MQTT over WebSocket, which is not supported",
        "write the broker's TCP port: mqtt://host:1883, with TLS mqtts://host:8883",
    ),
    "tcp": ("has an unknown scheme", "write mqtt:// for MQTT over TCP"),
    "ssl": ("has an unknown scheme", "write mqtts:// for MQTT over TLS"),
    "unix": ("asks for a socket file, which is not supported", "write mqtt:// and a host"),
}


SCHEMES |= {"wss": SCHEMES["ws"], "tls": SCHEMES["ssl"], "mqtt+ssl": SCHEMES["ssl"], "mqtt+unix": SCHEMES["unix"]}


def broker_trouble(broker: str) -> tuple[str, str] | None:
    """What is wrong with the address of a broker, and the way out; None where it is right."""
    scheme = broker.partition("://")[0].lower() if "://" in broker else ""
    if scheme in SCHEMES:
        return SCHEMES[scheme]
    found = BROKER.fullmatch(broker)
    if found is None or (found[3] is not None and not 0 < int(found[3]) < 65_536):
        return "is not a broker", 'write host:port, for example "broker.example:1883", or mqtts://broker.example for TLS'
    return None
