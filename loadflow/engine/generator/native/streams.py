"""What a step, or a request of a function, says of its stream of events, for the core."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.generator.native.cut import cut_of

__all__ = ["stream_of"]


def stream_of(config: JsonMapping) -> JsonObject:
    return {**config, "tokens": cut_of(config["tokens"]) if config.get("tokens") is not None else None}
