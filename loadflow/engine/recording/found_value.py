"""One value that a response returned: where it was, and how a step can take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """One value in one response. `extract` is what a step says to take it, None where the script has no way to."""

    position: int
    kind: Literal["json", "header", "cookie", "html", "link", "text"]
    name: str
    extract: Mapping[str, str] | None = None
    is_number: bool = False

    def __str__(self) -> str:
        match self.kind:
            case "json":
                return f"json_path {self.extract['path']}" if self.extract else f"JSON {self.name}"
            case "cookie":
                return f"Set-Cookie {self.name}"
            case "header":
                return f"header {self.name}" if self.extract else f"part of header {self.name}"
            case "html":
                return f"HTML field {self.name}"
            case "link":
                return f"HTML link {self.name}".rstrip()
        return "text of the body"
