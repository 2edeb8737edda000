"""The run folders as a site: a page that lists the runs, and of each run the files that are for reading.

A run that is going on has its live page where its report will be. Nothing can be changed; with a `Stopper`, the load can be
ended, and its rate changed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from loadflow.cli.live_pages import REPORT, LivePages
from loadflow.cli.runs import newest
from loadflow.cli.stopper import Stopper
from loadflow.engine.base.own_name import is_own_name
from loadflow.engine.reports.logo import LOGO, logo

__all__ = ["FILES", "report_site"]

# logs, samples of failures and the hits themselves stay on the machine
FILES = {REPORT: "text/html; charset=utf-8", "summary.json": "application/json"}
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
.running { color: #0b68cb }
@media (prefers-color-scheme: dark) { .passed { color: #3dd68c } .failed, .error { color: #ff8589 }
.running { color: #70b8ff } }
</style></head><body>
<h1>Load tests</h1>
{% if runs %}<table><thead><tr><th>Started</th><th>Run</th><th>Revision</th><th>Verdict</th>
<th class="n">Requests</th><th class="n">failed</th><th class="n">per second</th><th class="n">p95</th></tr></thead><tbody>
{% for run in runs %}<tr><td>{{ run.started }}</td><td><a href="{{ run.id }}/report.html">{{ run.label }}</a></td>
<td>{{ run.revision[:40] or "–" }}</td>
<td class="{{ run.verdict }}">{{ run.verdict }}</td><td class="n">{{ "{:,}".format(run.hits) }}</td>
<td class="n">{{ "{:,}".format(run.failures) }}</td><td class="n">{{ "{:,.1f}".format(run.rate_per_s) }}</td>
<td class="n">{{ "{:,.1f} ms".format(run.p95_ms) }}</td></tr>
{% endfor %}</tbody></table>
{% else %}<p>There is no run yet.</p>{% endif %}
</body></html>
"""
)


def report_site(runs_dir: Path, names: Collection[str] = (), stopper: Stopper | None = None) -> Starlette:
    """The application; `runs_dir` is looked at for each request, so new runs show at once.

    `names`: what it may be called besides its addresses and localhost; requests for another name are refused.
    `stopper`: of the process that serves, where it makes the load, too. `state.live` of what is returned are its `LivePages`.
    """
    known = frozenset(name.rstrip(".").lower() for name in names)

    def index(request: Request) -> Response:
        runs = [{**entry, "id": Path(entry["run"]).name} for entry in newest(runs_dir, MOST_RUNS)]
        return HTMLResponse(_PAGE.render(runs=runs), headers=HEADERS)

    async def file(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        path = runs_dir / run / name
        # a run is a folder right below, so that no name leads anywhere else
        if name not in FILES or run.startswith(".") or not (runs_dir / run / "run.json").is_file():
            raise HTTPException(404, "there is no such report")
        if not path.is_file():
            if name == REPORT and (page := await live.page(run)):
                return page
            raise HTTPException(404, "there is no such report; if the run was cut off, make it with `loadflow report RUN_DIR`")
        live.taken(name)
        return FileResponse(path, media_type=FILES[name], headers=HEADERS)

    def sign(request: Request) -> Response:
        return Response(logo(), media_type="image/png", headers=HEADERS)

    live = LivePages(runs_dir, HEADERS, stopper)
    routes: list[BaseRoute] = [Route("/", index), Route(f"/{LOGO}", sign), Route("/{run}/live", live.events), Route("/{run}/{name}", file)]
    if stopper is not None:
        routes[1:1] = [Route("/{run}/stop", live.stop, methods=["POST"]), Route("/{run}/rate", live.rate, methods=["POST"])]
    site = Starlette(routes=routes, middleware=[Middleware(_OwnNames, known=known)])
    site.state.live = live
    return site


class _OwnNames:
    """Answers only what was asked of this server by a name of its own."""

    def __init__(self, app: ASGIApp, known: frozenset[str]) -> None:
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_own_name(Headers(scope=scope).getlist("host"), self._known):
            text = "this server does not accept this host name; start it with --allow-host to allow it\n"
            await PlainTextResponse(text, 421, headers=HEADERS)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
