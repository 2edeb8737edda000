"""A campaign as a page of Prefect's: the heat map as a picture, and a row for each cell."""

from __future__ import annotations

from loadflow.engine.history.campaign_result import CampaignResult
from loadflow.engine.reports.campaign_page import campaign_heads, campaign_row, campaign_words
from loadflow.engine.reports.heat_map import heat_chart, heat_map_of
from loadflow.flows.pictures import image
from loadflow.flows.safe_text import safe

__all__ = ["campaign_markdown"]

TEXT = 200
MOST_ROWS = 200


def campaign_markdown(result: CampaignResult) -> str:
    cells = result["cells"]
    rows = [[safe(text, TEXT) for text in campaign_row(one)] for one in cells[:MOST_ROWS]]
    lines = [list(campaign_heads), ["---", *["--:"] * 5, "---"], *rows]
    parts = [
        f"# Campaign {safe(result['label'], TEXT)}",
        campaign_words(result),
        image(heat_chart(heat_map_of(cells), result["metric"], f"{result['metric']} of each cell")),
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
        *([f"{len(cells) - MOST_ROWS:,} more are on the page."] if len(cells) > MOST_ROWS else []),
        f"The page: {safe(result['page'], TEXT)}",
    ]
    return "\n\n".join(parts)
