"""The engine process: `python -P -m loadflow.engine.entry.locust`, started by the supervisor and by nothing else.

It reads its job from standard input, compiles the plan, says `ready`, waits for `go`, makes the load with Locust, and says
`tick` every second and `done` at the end. The end of its input means that the supervisor is gone: it then stops by itself.
"""

from gevent import monkey

from loadflow.engine.base.json_value import JsonObject

monkey.patch_all()

import json  # noqa: E402  nothing may be imported before the patch
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import IO  # noqa: E402

__all__ = ["main"]


def main() -> int:
    # the job comes first: the supervisor waits until all of it is taken
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    job = json.loads(line)
    from loadflow.engine.generator.engine_process import allow_many_sockets, opened, reporting

    messages = opened()
    with reporting(job, messages) as outcome:
        allow_many_sockets()
        _run(job, messages)
    return outcome.exit_code


def _run(job: JsonObject, messages: IO[str]) -> None:
    # user types and stubs of one's own are found where the parent found them, behind everything else
    sys.path += [path for path in job["paths"] if path not in sys.path]
    from loadflow.engine.generator.locust.generate import Generator
    from loadflow.engine.plan.plan import Plan

    paths = {name: Path(job[name]) for name in ("hits", "names", "samples", "spans")}
    generator = Generator(Plan.from_json(job["plan"]), job["shard"], job["shards"], paths, messages)
    generator.run()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # greenlets and threads of libraries must not keep a finished engine alive
    os._exit(code)
