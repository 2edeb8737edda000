from __future__ import annotations

import json

from benchmarks.compare import install
from benchmarks.compare.peer import Load, Peer, Said, Unreadable, first_version

VERSION = "0.0.79"
# its users wait 0.1 to 0.2 s after each pass over the tasks, so a pass is made long
LOAD = """
import json, sys
from je_load_density import start_test
from je_load_density.utils.generate_report.generate_summary_report import build_summary
url, seconds, users = sys.argv[1:]
task = {"method": "get", "request_url": url, "name": "one", "assertions": [{"type": "status_code", "value": 200}]}
start_test({"user": "fast_http_user"}, user_count=int(users), spawn_rate=1000, test_time=int(seconds), tasks=[task] * 500)
print("\\n" + json.dumps(build_summary()))
"""


class LoadDensity(Peer):
    """Python, wraps Locust's users; no rate."""

    name = "LoadDensity fast_http_user"
    source = "PyPI: je_load_density"

    def install(self) -> None:
        install.python_env("load_density", f"je_load_density=={VERSION}")

    def version(self) -> str:
        show = "import importlib.metadata; print(importlib.metadata.version('je_load_density'))"
        return first_version([install.python_of("load_density"), "-c", show])

    def command(self, load: Load) -> list[str]:
        return [str(install.python_of("load_density")), "-c", LOAD, load.url, str(load.seconds), str(load.connections)]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output.rstrip().splitlines()[-1])
            totals, latency = found["totals"], found["latency_overall"]
            return Said(totals["requests"], totals["failures"], latency["p99_ms"], latency["max_ms"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Unreadable(f"no summary in the last line: {error}") from error
