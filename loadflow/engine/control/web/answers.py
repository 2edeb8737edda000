"""What the answers over HTTP look like."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from loadflow.engine.control.envelope import ErrorKind, Refused, encode_json, error_json

__all__ = ["HEADERS", "json_answer", "refused_answer"]

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
STATUS: Mapping[ErrorKind, HTTPStatus] = {
    ErrorKind.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorKind.SCRIPT: HTTPStatus.BAD_REQUEST,
    ErrorKind.UNAUTHORISED: HTTPStatus.UNAUTHORIZED,
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorKind.BUSY: HTTPStatus.CONFLICT,
    ErrorKind.SHUTTING_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


def json_answer(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(value) + b"\n", status, {**HEADERS, **(headers or {})}, "application/json")


def refused_answer(refused: Refused, **more: object) -> Response:
    status = STATUS.get(refused.kind, HTTPStatus.BAD_REQUEST)
    closing = {"Connection": "close"} if refused.kind in (ErrorKind.UNAUTHORISED, ErrorKind.TOO_LARGE, ErrorKind.SHUTTING_DOWN) else {}
    asks = {"WWW-Authenticate": "Bearer"} if refused.kind is ErrorKind.UNAUTHORISED else {}
    return json_answer({"error": error_json(refused), **more}, status, {**closing, **asks})
