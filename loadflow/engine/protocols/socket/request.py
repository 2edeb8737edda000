"""A step of `socket_user`, compiled, and the exchange it gives per hit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from loadflow.engine.base.counted import counted
from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.running.filling import PEER_PARTS, filled, hit_name, payload_text, peer_files, seconds
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Tls
from loadflow.engine.protocols.socket.framing import Counted, Framing, framing_of
from loadflow.engine.protocols.socket.words import bytes_of
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text, text_of

__all__ = ["SocketRequest", "SocketStep"]

DEFAULT_TARGET = "127.0.0.1:9000"  # LoadDensity's
DEFAULT_TIMEOUT_S = 5.0
MAX_DATAGRAM_BYTES = 65_507  # RFC 768 over IPv4: 65,535 less both headers
PARTS = ("payload", "expect_bytes", "expect_substring", "timeout", *PEER_PARTS)


@dataclass(frozen=True, slots=True)
class SocketRequest:
    """`framing` None: nothing ends the answer but `expected`, or nothing is read at all."""

    udp: bool
    host: str
    port: int
    data: bytes
    framing: Framing | None
    expected: bytes  # b"": whatever comes is right
    timeout_s: float
    keep: bool
    tls: Tls | None

    @property
    def reads(self) -> bool:
        return self.framing is not None or bool(self.expected)


class SocketStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit; `fixed` is the request where none has.

    `written`: what makes a request, by its keys, as it stands in the step.
    """

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        self.method = config["protocol"].upper()
        target = config.get("target") or plan.host or DEFAULT_TARGET
        self.place = known_text(target, compiler)
        self.name, self.render_name = hit_name(config, compiler, f"{config['protocol']}:{self.place}")
        self._config = config
        self.written = {"target": target, **{key: config[key] for key in PARTS if config.get(key) is not None}}
        self._parts = {key: compiler(value) for key, value in self.written.items()}
        self._framing = framing_of(config["framing"]) if config.get("framing") is not None else None
        self.fixed = self._build(None) if all(part.is_static for part in self._parts.values()) else None

    def render(self, scope: Scope) -> SocketRequest:
        return self.fixed if self.fixed is not None else self._build(scope)

    def sample(self, request: SocketRequest) -> JsonObject:
        shown = f"[{request.host}]" if ":" in request.host else request.host
        return {"method": self.method, "url": f"{shown}:{request.port}", "body": request.data.decode("utf-8", "backslashreplace")}

    def _build(self, scope: Scope | None) -> SocketRequest:
        return self.made_of({key: filled(part, scope) for key, part in self._parts.items()})

    def made_of(self, values: StepValues, later: Collection[str] = ()) -> SocketRequest:
        """The request of these values, by the keys of `written`; those of `later` are filled in where it is sent. Raises HitFailure where
        they make none."""
        target = text_of(values["target"])
        place = host_and_port(target)
        if place is None:
            raise HitFailure(Outcome.TEMPLATE, f"{target[:100]!r} is not a host:port")
        framing = self._framing
        try:
            data = bytes_of(payload_text(values.get("payload", "")))
            count = int(values.get("expect_bytes") or 0)
            data = data if framing is None else framing.wrap(data)
        except (TypeError, ValueError) as error:  # also of an encoding
            raise HitFailure(Outcome.TEMPLATE, f"the values of this hit make no message: {error}") from None
        udp = self.method == "UDP"
        if udp and len(data) > MAX_DATAGRAM_BYTES:
            raise HitFailure(
                Outcome.TEMPLATE, f"{counted(len(data), 'byte')} do not fit into one datagram (at most {MAX_DATAGRAM_BYTES:,})"
            )
        return SocketRequest(
            udp=udp,
            host=place[0],
            port=place[1],
            data=data,
            framing=framing or (Counted(count) if count > 0 else None),
            expected=text_of(values.get("expect_substring", "")).encode(),
            timeout_s=seconds(values.get("timeout"), DEFAULT_TIMEOUT_S),
            keep=bool(self._config.get("keep")),
            tls=peer_files(values) if self._config.get("tls") else None,
        )
