"""How much a target can bear, as a page of Prefect's: the answer, its curves as pictures, and every probe."""

from __future__ import annotations

from loadflow.engine.history.capacity_result import CapacityResult
from loadflow.engine.history.capacity_words import capacity_sentences
from loadflow.engine.reports.capacity_page import capacity_charts, probe_heads, probe_row
from loadflow.flows.pictures import image
from loadflow.flows.safe_text import safe

__all__ = ["capacity_markdown"]

TEXT = 300


def capacity_markdown(result: CapacityResult) -> str:
    said = "\n".join(f"- {safe(one, TEXT)}" for one in capacity_sentences(result))
    rows = [[safe(text, TEXT) for text in probe_row(one)] for one in result["probes"]]
    lines = [list(probe_heads), ["---", *["--:"] * 3, "---", "---"], *rows]
    parts = [
        f"# Capacity of {safe(result['label'], TEXT)}",
        said,
        *map(image, capacity_charts(result)),
        "\n".join(f"| {' | '.join(cells)} |" for cells in lines),
        f"The page: {safe(result['page'], TEXT)}",
    ]
    return "\n\n".join(parts)
