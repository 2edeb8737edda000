"""rich's console, for which a text is one line and says nothing to the terminal: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from loadflow.engine.base.visible import visible

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """Every text passes `render`, whatever table, panel or group it is in; styles are ours, and become codes after that."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = Text(renderable)
        if isinstance(renderable, Text) and (plain := visible(renderable.plain)) != renderable.plain:
            renderable = renderable.copy()
            renderable.plain = plain  # as long as before, so that its styles stay where they are
        return super().render(renderable, options)
