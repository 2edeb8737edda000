"""Values that the arguments of several exporters hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loadflow.engine.script.part import Int

__all__ = ["Port", "SeriesCap"]

Port = Annotated[Int, Field(ge=0, le=65535)]


SeriesCap = Annotated[Int, Field(ge=1, le=100_000)]
