"""A step of `redis_user`, compiled, and the command that it gives per hit."""

from __future__ import annotations

from dataclasses import dataclass

from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.running.filling import PEER_PARTS, filled, hit_name, payload_text, peer_files, seconds
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Tls
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text, text_of

__all__ = ["RedisRequest", "RedisServer", "RedisStep"]

DEFAULT_SERVER = "127.0.0.1:6379"
DEFAULT_TIMEOUT_S = 5.0
PARTS = ("command", "database", "username", "password", "timeout", *PEER_PARTS)


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Whom a connection is to, and as whom: a user has one for each."""

    host: str
    port: int
    database: int
    username: str | None
    password: str | None
    tls: Tls | None


@dataclass(frozen=True, slots=True)
class RedisRequest:
    server: RedisServer
    words: tuple[str, ...]
    timeout_s: float


class RedisStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit."""

    method = "REDIS"

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        server = config.get("server") or plan.host or DEFAULT_SERVER
        self.place = known_text(server, compiler)
        self.name, self.render_name = hit_name(config, compiler, str(config["command"][0]).upper())
        self._has_tls = bool(config.get("tls"))
        self._server = compiler(server)
        self._parts = {key: compiler(config[key]) for key in PARTS if config.get(key) is not None}
        is_fixed = self._server.is_static and all(part.is_static for part in self._parts.values())
        self._fixed = self._build(None) if is_fixed else None

    def render(self, scope: Scope) -> RedisRequest:
        return self._fixed if self._fixed is not None else self._build(scope)

    def sample(self, request: RedisRequest) -> JsonObject:
        server = request.server
        shown = f"[{server.host}]" if ":" in server.host else server.host
        url = f"{'rediss' if server.tls else 'redis'}://{shown}:{server.port}/{server.database}"
        return {"method": self.method, "url": url, "body": " ".join(request.words)}

    def _build(self, scope: Scope | None) -> RedisRequest:
        written = text_of(filled(self._server, scope))
        place = host_and_port(written)
        if place is None:
            raise HitFailure(Outcome.TEMPLATE, f"{written[:100]!r} is not a host:port")
        values = {key: filled(part, scope) for key, part in self._parts.items()}
        try:
            database = int(values.get("database") or 0)
        except (TypeError, ValueError):
            raise HitFailure(Outcome.TEMPLATE, f"database {values['database']!r} is not a whole number") from None
        server = RedisServer(
            *place,
            database=database,
            username=text_of(values["username"]) if "username" in values else None,
            password=text_of(values["password"]) if "password" in values else None,
            tls=peer_files(values) if self._has_tls else None,
        )
        words = tuple(payload_text(word) for word in values["command"])
        return RedisRequest(server, words, seconds(values.get("timeout"), DEFAULT_TIMEOUT_S))
