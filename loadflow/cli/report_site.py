"""The run folders as a site: a page that lists the runs, and of each run the files that are for reading. Nothing can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from loadflow.cli.runs import newest

__all__ = ["FILES", "report_site"]

# logs, samples of failures and the hits themselves stay on the machine
FILES = {"report.html": "text/html; charset=utf-8", "summary.json": "application/json"}
MOST_RUNS = 500
# the reports bring their own, stricter policy along
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "SAMEORIGIN"}

_PAGE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Load tests</title>
<style>
:root { color-scheme: light dark } body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #8884 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } .passed { color: #18794e } .failed, .error { color: #c62a2f }
@media (prefers-color-scheme: dark) { .passed { color: #3dd68c } .failed, .error { color: #ff8589 } }
</style></head><body>
<h1>Load tests</h1>
{% if runs %}<table><thead><tr><th>Started</th><th>Run</th><th>Verdict</th>
<th class="n">Requests</th><th class="n">failed</th><th class="n">per second</th><th class="n">p95</th></tr></thead><tbody>
{% for run in runs %}<tr><td>{{ run.started }}</td><td><a href="{{ run.id }}/report.html">{{ run.label }}</a></td>
<td class="{{ run.verdict }}">{{ run.verdict }}</td><td class="n">{{ "{:,}".format(run.hits) }}</td>
<td class="n">{{ "{:,}".format(run.failures) }}</td><td class="n">{{ "{:,.1f}".format(run.rate_per_s) }}</td>
<td class="n">{{ "{:,.1f} ms".format(run.p95_ms) }}</td></tr>
{% endfor %}</tbody></table>
{% else %}<p>There is no run yet.</p>{% endif %}
</body></html>
"""
)


def report_site(runs_dir: Path) -> Starlette:
    """The application; `runs_dir` is looked at for each request, so new runs show at once."""

    def index(request: Request) -> Response:
        runs = [{**entry, "id": Path(entry["run"]).name} for entry in newest(runs_dir, MOST_RUNS)]
        return HTMLResponse(_PAGE.render(runs=runs), headers=HEADERS)

    def file(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        path = runs_dir / run / name
        # a run is a folder right below, so that no name leads anywhere else
        if name not in FILES or run.startswith(".") or not (runs_dir / run / "run.json").is_file() or not path.is_file():
            raise HTTPException(404, "there is no such report")
        return FileResponse(path, media_type=FILES[name], headers=HEADERS)

    routes: list[Any] = [Route("/", index), Route("/{run}/{name}", file)]
    return Starlette(routes=routes)
