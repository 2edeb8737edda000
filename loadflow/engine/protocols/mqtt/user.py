"""The MQTT user, as a script knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loadflow.engine.protocols.model.user_type import Form, UserType
from loadflow.engine.protocols.mqtt.step import MqttStep
from loadflow.engine.protocols.mqtt.words import broker_trouble
from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["MQTT_USER"]


def _faults(step: Mapping[str, object], hosted: bool) -> Iterable[Fault]:
    key = "broker" if step.get("broker") is not None else "host"
    broker = step.get(key)
    if isinstance(broker, str) and not has_placeholder(broker) and (trouble := broker_trouble(broker)):
        yield Fault((key,), *trouble)


MQTT_USER = UserType(
    "mqtt_user",
    Form(MqttStep),
    "loadflow.engine.protocols.mqtt.request:MqttStep",
    "loadflow.engine.protocols.mqtt.client:MQTT",
    broker_trouble,
    _faults,
    whom=("broker", "host"),
)
