"""Methods of HTTP requests: any token (RFC 9110 section 9.1), and those that are known in whatever case they are written."""

from __future__ import annotations

import re

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from loadflow.engine.script.mistakes import kind_of, shorten, suggest, wrong

__all__ = ["METHODS", "AnyMethod", "is_method"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# the rest of the IANA HTTP Method Registry that a client may send to a target, and what caches know beside it
OTHERS = (
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR"),
    *("MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "QUERY", "REBIND", "REPORT", "SEARCH"),
    *("TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL", "PURGE", "BAN"),
)
KNOWN = frozenset({*METHODS, *OTHERS})
OWN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]+")
TUNNEL = "CONNECT"


def is_method(text: str) -> bool:
    """Whether a request can have it, as it is written."""
    return OWN.fullmatch(text) is not None and text != TUNNEL


class AnyMethod:
    """For `Annotated[str, AnyMethod()]`: a known method in any case, which is given in upper case, or another one in upper case."""

    @staticmethod
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise wrong(f"must be text, not {kind_of(value)}", f"for example {', '.join(METHODS)}")
        if value.upper() in KNOWN:
            return value.upper()
        if is_method(value):
            return value
        if value.upper() == TUNNEL:
            raise wrong("CONNECT makes a tunnel through a proxy", "name the proxy in user_detail_dict, and write the method for the target")
        near = suggest(value.upper(), METHODS)
        hint = near if near.startswith("did you mean") else "write a method of your own in upper case, as PURGE"
        raise wrong(f"{shorten(value)} is not an HTTP method", hint)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        letters = ("".join(f"[{c.lower()}{c}]" if c.isalpha() else c for c in word) for word in sorted(KNOWN))
        # the plain words come first because editors offer them; the patterns take every other spelling
        return {
            "type": "string",
            "anyOf": [{"enum": list(METHODS)}, {"pattern": f"^({'|'.join(letters)})$"}, {"pattern": f"^{OWN.pattern}$"}],
            "not": {"pattern": "^[Cc][Oo][Nn][Nn][Ee][Cc][Tt]$"},
        }
