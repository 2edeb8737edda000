"""Values that steps of several protocols hold."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import AfterValidator, Field, ValidatorFunctionWrapHandler, WrapValidator

from loadflow.engine.script.mistakes import wrong
from loadflow.engine.script.part import A_FLAG, A_NUMBER, BY_KIND, NULL, TEXT, Flag, Name, Number, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["Base64", "CertAndKey", "Pair", "Scalar", "WrittenNumber"]


def _as_written(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Checked as a number, and kept: 2 must not become 2.0 on its way into a query."""
    handler(value)
    return value


# One value of a query, a form, a header or a cookie: JSON scalars, sent as text.
WrittenNumber = Annotated[Number, WrapValidator(_as_written)]


Scalar = Annotated[
    Annotated[Text, TEXT] | Annotated[WrittenNumber, A_NUMBER] | Annotated[Flag, A_FLAG] | Annotated[None, NULL],
    BY_KIND,
]


Pair = Annotated[list[Scalar], Field(min_length=2, max_length=2)]


def _base64(text: str) -> str:
    if not has_placeholder(text):
        try:
            base64.b64decode(text, validate=True)
        except ValueError:
            raise wrong("is not Base64", "encode the bytes of the body, for example with the command base64") from None
    return text


_BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$|\$\{"  # RFC 4648 section 4, or text with a placeholder


Base64 = Annotated[Text, AfterValidator(_base64), Field(json_schema_extra={"pattern": _BASE64})]


CertAndKey = Annotated[list[Name], Field(min_length=2, max_length=2)]
