"""JSON objects as Python holds them, where their keys are the business of who wrote them: a script, a message, a file.

A value that is taken out must have been checked before, by a model or by `typed`, or is checked where it is taken. A shape that is known
and read in several places has a TypedDict of its own (`history/judgement.py`), and what is only handed on is `dict[str, object]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["JsonMapping", "JsonObject"]

JsonObject: TypeAlias = dict[str, Any]
JsonMapping: TypeAlias = Mapping[str, Any]  # one that is only read
