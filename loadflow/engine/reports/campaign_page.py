"""A campaign as one page: the heat map, and every cell with its numbers, its verdict and the way to its report."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import latency_text, percent_text, rate_text, utc_text
from loadflow.engine.history.campaign_result import CampaignCell, CampaignResult
from loadflow.engine.reports.heat_map import SIGNS, heat_chart, heat_map_of
from loadflow.engine.reports.plain_page import figure, plain_page, report_link, table, write_page

__all__ = ["campaign_heads", "campaign_page", "campaign_row", "campaign_words", "write_campaign_page"]

campaign_heads = ("Cell", "Rate", "p50", "p95", "p99", "Failed", "Verdict")


def write_campaign_page(result: CampaignResult, path: Path) -> Path:
    """Raises RunError where it can't be written."""
    return write_page(path, campaign_page(result))


def campaign_page(result: CampaignResult) -> str:
    cells = result["cells"]
    measured = utc_text(max(float(one["at"]) for one in cells))
    return plain_page(
        f"Campaign {result['label']}",
        [
            Markup("<p>{}</p>").format(campaign_words(result)),
            figure(heat_chart(heat_map_of(cells), result["metric"], f"{result['metric']} of each cell")),
            table(campaign_heads, map(_row, cells)),
            Markup('<p class="muted">Last measured {}. The reports are in the folders of the runs, beside this page.</p>').format(measured),
        ],
    )


def campaign_words(result: CampaignResult) -> str:
    """In one sentence: how many cells passed, and how many were kept."""
    cells = result["cells"]
    counts = {kind: sum(one["verdict"] == kind for one in cells) for kind in SIGNS}
    verdicts = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    kept = sum(one["kept"] for one in cells)
    return f"{counted(len(cells), 'cell')}: {verdicts}{f'; {kept:,} kept from before' if kept else ''}."


def campaign_row(one: CampaignCell) -> list[str]:
    """As texts, in the order of `campaign_heads`."""
    times = [latency_text(ms) if ms is not None else "–" for ms in (one["p50"], one["p95"], one["p99"])]
    rate = f"{rate_text(one['rate'])}/s" if one["rate"] is not None else "–"
    failed = percent_text(one["failure_rate"]) if one["failure_rate"] is not None else "–"
    why = f": {one['reason']}" if one["reason"] and one["verdict"] != "passed" else ""
    return [one["name"], rate, *times, failed, f"{SIGNS.get(one['verdict'], '')} {one['verdict']}{why}"]


def _row(one: CampaignCell) -> list[str]:
    name, *rest = campaign_row(one)
    place = report_link(one["run"], name) if one["run"] else name
    kept = Markup(' <span class="muted">kept</span>') if one["kept"] else ""
    return [Markup("{}{}").format(place, kept), *rest]
