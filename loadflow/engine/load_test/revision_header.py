"""What is wrong with `revision_header`: found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.values import shown
from loadflow.engine.load_test.speaking import own_type
from loadflow.engine.load_test.user_types import known_user_types, user_type_of
from loadflow.engine.protocols.http.request import FIELD_NAME
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.visit import steps_of_test

__all__ = ["header_faults", "header_name"]


def header_name(name: str) -> str:
    """`name`, if a header field can be called that, or may when its placeholders are filled in."""
    if not has_placeholder(name) and not FIELD_NAME.fullmatch(name):
        raise wrong(f"{shown(name)} is not a name of a header field", 'write the name alone, for example "X-Revision"')
    return name


def header_faults(test: dict[str, object]) -> Iterable[Fault]:
    """Of `LD_start_test`, as it was written: a user whose answers have no header fields, and a field whose values are masked."""
    name = test.get("revision_header")
    if not isinstance(name, str):
        return
    own = own_type(test)
    spoken = (user_type_of(step.get("user")) for _, step in steps_of_test(test))
    if own is not None and not own.has_fields and not any(one is not None and one.has_fields for one in spoken):
        users = [one.name for one in known_user_types() if one.has_fields]
        text = f"has no meaning for user {own.name!r}: its answers have no header fields"
        yield Fault(("revision_header",), text, f"it is for {' and '.join(users)}; for others, write revision")
    redact = test.get("redact")
    names = [one for one in redact if isinstance(one, str)] if isinstance(redact, list) else []
    if Redactor(names).is_secret(name):
        yield Fault(("revision_header",), f"{shown(name)} holds a secret, which is written nowhere", "name the header that says the build")
