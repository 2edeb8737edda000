"""Which class speaks for which `user_detail_dict.user`; imported by the engine process only."""

from __future__ import annotations

from collections.abc import Mapping

from loadflow.engine.load.classic_http import HTTP
from loadflow.engine.load.fast_http import FAST_HTTP
from loadflow.engine.load.protocol import UserProtocol

__all__ = ["PROTOCOLS"]

PROTOCOLS: Mapping[str, UserProtocol] = {protocol.user: protocol for protocol in (FAST_HTTP, HTTP)}
