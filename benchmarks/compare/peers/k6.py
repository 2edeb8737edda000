from __future__ import annotations

import json
from typing import Any

from benchmarks.compare import install
from benchmarks.compare.install import BIN
from benchmarks.compare.peer import Load, Peer, Said, Unreadable

VERSION = "v1.8.1"
SCRIPT = """
import http from "k6/http";
import { check } from "k6";
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ["p(99)", "max"],
  scenarios: { one: %(scenario)s },
};
export default function () {
  check(http.get("%(url)s"), { "status is 200": (answer) => answer.status === 200 });
}
export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
"""


class K6(Peer):
    """Go, with JavaScript for each iteration; bodies are discarded, as its manual advises for throughput."""

    name = "k6"
    source = "Go module: go.k6.io/k6"
    rate_mode = "overall, drops beyond the users"

    def install(self) -> None:
        install.go(f"go.k6.io/k6@{VERSION}")

    def version(self) -> str:
        return install.go_version("k6")

    def command(self, load: Load) -> list[str]:
        script = load.folder / "script.js"
        script.write_text(SCRIPT % {"scenario": json.dumps(scenario(load)), "url": load.url})
        return [str(BIN / "k6"), "run", "--quiet", "--no-usage-report", "--no-color", "--address", "", str(script)]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output)
            requests, checks, took = found["http_reqs"]["values"], found["checks"]["values"], found["http_req_duration"]["values"]
            return Said(int(requests["count"]), int(checks["fails"]), took["p(99)"], took["max"])
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"no such JSON: {error}") from error


def scenario(load: Load) -> dict[str, Any]:
    """Names are k6's; K9-load takes the same ones."""
    if load.rate is None:
        return {"executor": "constant-vus", "vus": load.connections, "duration": f"{load.seconds}s"}
    pool = {"preAllocatedVUs": load.connections, "maxVUs": load.connections}
    return {"executor": "constant-arrival-rate", "rate": load.rate, "timeUnit": "1s", "duration": f"{load.seconds}s", **pool}
