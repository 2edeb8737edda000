"""How a channel of gRPC is made: nothing between the script and the server but what the script says."""

from __future__ import annotations

from typing import Any

import grpc

from loadflow.engine.load.grpc_target import Security

__all__ = ["new_channel"]

# https://github.com/grpc/grpc/blob/master/include/grpc/impl/channel_arg_names.h
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.use_local_subchannel_pool", 1),  # else channels with one target share one connection, whatever the script says
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),  # a DNS record must not add retries and hedges
    ("grpc.primary_user_agent", "loadflow"),
    # a target that is back is asked again soon: the default waits up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def new_channel(target: str, security: Security | None, *, max_message_bytes: int) -> Any:
    """A channel of its own; it connects at the first call. -1: messages of any size. Raises OSError for files that are gone."""
    options = (*OPTIONS, ("grpc.max_receive_message_length", max_message_bytes), ("grpc.max_send_message_length", -1))
    if security is None:
        return grpc.insecure_channel(target, options)
    if security.server_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", security.server_name))
    ca, key, chain = security.files()
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, chain), options)
