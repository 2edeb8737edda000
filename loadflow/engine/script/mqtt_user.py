"""The MQTT user, as a script knows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.mqtt_step import MqttStep
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.user_type import Form, UserType

__all__ = ["BROKER", "MQTT_USER", "broker_trouble"]

# mqtt:// and mqtts:// are what brokers' vendors write; a host may be an IPv6 address in brackets
BROKER = re.compile(r"(?:(mqtts?)://)?(\[[0-9A-Fa-f:.%\w]+\]|[\w.~-]+)(?::([0-9]{1,5}))?/?", re.IGNORECASE)


def broker_trouble(broker: str) -> tuple[str, str] | None:
    found = BROKER.fullmatch(broker)
    if found is None or (found[3] is not None and not 0 < int(found[3]) < 65_536):
        return "is no broker", 'write host:port, for example "broker.example:1883", or mqtts://broker.example for TLS'
    return None


def _faults(step: Mapping[str, Any], hosted: bool) -> Iterable[Fault]:
    key = "broker" if step.get("broker") is not None else "host"
    broker = step.get(key)
    if isinstance(broker, str) and not has_placeholder(broker) and (trouble := broker_trouble(broker)):
        yield Fault((key,), *trouble)


MQTT_USER = UserType(
    "mqtt_user",
    Form(MqttStep),
    "loadflow.engine.load.mqtt_request:MqttStep",
    "loadflow.engine.load.mqtt:MQTT",
    broker_trouble,
    _faults,
)
