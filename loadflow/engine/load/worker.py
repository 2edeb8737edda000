"""The engine process: `python -P -m loadflow.engine.load.worker`, started by the supervisor and by nothing else.

It reads its job from standard input, compiles the plan, says `ready`, waits for `go`, makes the load with Locust, and says
`tick` every second and `done` at the end. The end of its input means that the supervisor is gone: it then stops by itself.
By its job's role it may also be a master, which leads workers on other machines, or such a worker: see `loadflow.engine.cluster`.
"""

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402  nothing may be imported before the patch
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

__all__ = ["main"]


def main() -> int:
    # the job comes first: the supervisor waits until all of it is taken
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    job = json.loads(line)
    # messages have the pipe for themselves; what libraries print goes to the log
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    from loadflow.engine.load.messages import Failed, encode
    from loadflow.errors import RunError

    try:
        _run(job, messages)
    except Exception as error:  # noqa: BLE001  the outermost loop: what got here ends this process
        mask = _mask_of(job)
        print(mask(traceback.format_exc()), file=sys.stderr)
        text = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        print(encode(Failed(job["shard"], mask(text))), file=messages, flush=True)
        return 1
    return 0


def _allow_many_sockets() -> None:
    """Each user has one or more; shells often allow no more than 1,024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS says "unlimited" and means less
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _mask_of(job: dict[str, Any]) -> Callable[[str], str]:
    """A worker of a master has no plan in its job, and masks what it says by itself."""
    from loadflow.engine.plan.plan import Plan
    from loadflow.engine.plan.secrets import redactor_of

    return redactor_of(Plan.from_json(job["plan"]), os.environ).text if "plan" in job else str


def _run(job: dict[str, Any], messages: Any) -> None:
    _allow_many_sockets()
    # user types of one's own are found where the parent found them, behind everything else
    sys.path += [path for path in job["paths"] if path not in sys.path]
    match job["role"]:
        case "load":
            _make_load(job, messages)
        case "master":
            from loadflow.engine.cluster.master import lead_workers

            lead_workers(job, messages)
        case "worker":
            from loadflow.engine.cluster.working import work

            work(job, messages)


def _make_load(job: dict[str, Any], messages: Any) -> None:
    from loadflow.engine.load.generate import Generator
    from loadflow.engine.plan.plan import Plan

    paths = {name: Path(job[name]) for name in ("hits", "names", "samples")}
    generator = Generator(Plan.from_json(job["plan"]), job["shard"], job["shards"], paths, messages)
    generator.run()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # greenlets and threads of libraries must not keep a finished engine alive
    os._exit(code)
