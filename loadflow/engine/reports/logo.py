"""loadflow's sign, for pages of others: it opens where reports are served, or put."""

from __future__ import annotations

import os
from importlib.resources import files

from loadflow.engine.reports.links import REPORTS_URL_VARIABLE, is_web

__all__ = ["LOGO", "logo", "logo_url"]

LOGO = "logo.png"  # its name beside the folders of runs


def logo() -> bytes:
    """A square PNG."""
    return (files("loadflow.engine.reports") / LOGO).read_bytes()


def logo_url() -> str | None:
    """Where browsers find it; None where LOADFLOW_REPORTS_URL is not an address of the web."""
    base = os.environ.get(REPORTS_URL_VARIABLE, "").rstrip("/")
    return f"{base}/{LOGO}" if is_web(base) else None
