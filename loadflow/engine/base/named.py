"""Code that is named as text and imported when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load_named"]


def load_named(name: str) -> Any:
    """What `name`, as in "package.module:NAME", stands for. Raises ImportError or AttributeError."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
