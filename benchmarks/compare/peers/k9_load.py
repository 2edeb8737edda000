from __future__ import annotations

import json

from benchmarks.compare import install
from benchmarks.compare.peer import PEERS_DIR, Load, Peer, Said, Unreadable, first_version
from benchmarks.compare.peers.k6 import scenario

VERSION = "0.1.0"
PROGRAM = PEERS_DIR / "k9_load" / "bin" / "k9"


class K9Load(Peer):
    """Rust behind Python; a declarative plan here, the fastest of its three ways. Its scenarios are named like k6's."""

    name = "K9-load"
    source = "PyPI: k9-load"
    rate_mode = "overall, drops beyond the users"
    times = "when due (a second metric)"

    def install(self) -> None:
        install.python_env("k9_load", f"k9-load=={VERSION}")

    def version(self) -> str:
        return first_version([PROGRAM, "version"])

    def command(self, load: Load) -> list[str]:
        step = {"request": {"url": load.url, "checks": {"status is 200": {"status": 200}}}}
        options = {"discardResponseBodies": True, "scenarios": {"one": scenario(load)}, "summaryTrendStats": ["p(99)", "max"]}
        plan, summary = load.folder / "plan.json", load.folder / "summary.json"
        plan.write_text(json.dumps({"options": options, "flows": {"default": [step]}}))
        return [str(PROGRAM), "run", "--quiet", "--no-color", "--summary-export", str(summary), str(plan)]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads((load.folder / "summary.json").read_text())["metrics"]
            # with a rate it also counts from when an iteration was due, in a metric of its own
            took = found.get("iteration_duration_corrected", found["http_req_duration"])
            return Said(int(found["http_reqs"]["count"]), int(found["checks"]["fails"]), took["p(99)"], took["max"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"no such JSON: {error}") from error
