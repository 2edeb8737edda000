"""How a channel of gRPC is made: nothing between the script and the server but what the script says."""

from __future__ import annotations

import grpc

from loadflow.engine.plan.target import host_of
from loadflow.engine.protocols.grpc.target import Security
from loadflow.engine.protocols.http.answer_reader import MAX_HEAD_BYTES

__all__ = ["LONGEST_CONNECT_S", "new_channel"]

LONGEST_CONNECT_S = 20.0  # gRPC's own limit

# https://github.com/grpc/grpc/blob/master/include/grpc/impl/channel_arg_names.h
OPTIONS: tuple[tuple[str, object], ...] = (
    ("grpc.use_local_subchannel_pool", 1),  # else channels with one target share one connection, whatever the script says
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),  # a DNS record must not add retries and hedges
    ("grpc.primary_user_agent", "loadflow"),
    # a target that is back is asked again soon: the default waits up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # of metadata, as of header fields over HTTP; the usual bound is drawn by lot between a soft one and a hard one
    ("grpc.max_metadata_size", MAX_HEAD_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_HEAD_BYTES),
)


def new_channel(
    target: str,
    security: Security | None,
    *,
    max_message_bytes: int,
    addresses: str = "",
    connect_s: float = LONGEST_CONNECT_S,
) -> grpc.Channel:
    """A channel of its own; it connects at the first call. -1: messages of any size. Raises OSError for files that are gone.

    `addresses`: what is connected to in the place of `target`, which stays the name of the server; "": gRPC resolves it.
    `connect_s`: how long an attempt to connect lasts at most. gRPC's library goes on with one that is not waited for any more, even if
    its channel is closed; a server that sends TLS without end then keeps threads of all channels busy.
    """
    options = (*OPTIONS, ("grpc.min_reconnect_backoff_ms", round(connect_s * 1_000)))  # gRPC's name for this limit
    options = (*options, ("grpc.max_receive_message_length", max_message_bytes), ("grpc.max_send_message_length", -1))
    if addresses:
        options = (*options, ("grpc.default_authority", target))
    if security is None:
        return grpc.insecure_channel(addresses or target, options)
    if security.server_name is not None or addresses:
        options = (*options, ("grpc.ssl_target_name_override", security.server_name or host_of(target)))
    ca, key, chain = security.files()
    return grpc.secure_channel(addresses or target, grpc.ssl_channel_credentials(ca, key, chain), options)
