"""One value that a response returned: where it was, and how a step can take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loadflow.engine.base.pattern import compile_pattern

__all__ = ["Found", "tried"]


@dataclass(frozen=True, slots=True)
class Found:
    """One value in one response. `extract` is what a step says to take it, None where the script has no way to."""

    position: int
    kind: Literal["json", "header", "cookie", "html", "link", "text"]
    name: str
    extract: Mapping[str, str] | None = None
    is_number: bool = False
    inside: str = ""  # the header that the value is only a part of

    def __str__(self) -> str:
        match self.kind:
            case "json":
                return f"json_path {self.extract['path']}" if self.extract else f"JSON {self.name}"
            case "cookie":
                return f"Set-Cookie {self.name}"
            case "header" if self.inside:
                return f"{self.name} in header {self.inside}" if self.name else f"part of header {self.inside}"
            case "header":
                return f"header {self.name}"
            case "html":
                return f"HTML field {self.name}"
            case "link":
                return f"HTML link {self.name}".rstrip()
            case "text" if self.name:
                return f"{self.name} in the body's text"
        return "text of the body"


def tried(extract: Mapping[str, str], text: str, value: str) -> Mapping[str, str] | None:
    """`extract`, if the first match of its pattern in the recorded text is the value; None for any other, and for no pattern."""
    pattern = extract["pattern"]
    if not pattern or "${" in pattern:
        return None
    try:
        found = compile_pattern(pattern).find(text, 1)
    except ValueError:  # e.g. too long
        return None
    return extract if found == value else None
