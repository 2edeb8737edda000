"""Who leads a process that makes load: the parent, on its pipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import gevent
import gevent.event
import gevent.os

from loadflow.engine.generator.engine_process import orders
from loadflow.engine.plan.shape import Stage

__all__ = ["ParentLead", "run_stages"]


class ParentLead:
    """The supervisor at the other end of standard input; its end means that the supervisor is gone."""

    def wait_for_go(self, end: gevent.event.AsyncResult) -> tuple[int, int] | None:
        reader = gevent.spawn(gevent.os.tp_read, 0, 65_536)
        gevent.wait([reader, end], count=1)
        if not reader.ready():
            return None
        line = reader.get()
        if not line:
            raise EOFError("the supervisor is gone")
        word, monotonic_ns, unix_ns = line.decode().split()[:3]
        assert word == "go"
        return int(monotonic_ns), int(unix_ns)

    def watch(self, stop: Callable[[str], None], faster: Callable[[float, int], None]) -> None:
        """`stop` is given why the load must end early; "" where its time is over. `faster`: see `Engine.faster`."""
        for words in orders(partial(gevent.os.tp_read, 0, 4_096)):
            if words[0] == "faster":
                faster(float(words[1]), int(words[2]))
            else:
                stop("")
        stop("the supervisor is gone")


def run_stages(stages: Sequence[Stage], now_ns: Callable[[], int], start: Callable[[int, float], None]) -> None:
    """Tell the runner each stage's users at its border. Locust's own shapes look once a second, and not while ramping."""
    begins_s = 0.0
    users = 0
    for stage in stages:
        gevent.sleep(max(0.0, begins_s - now_ns() / 1e9))
        if stage.users or users:
            start(stage.users, max(stage.spawn_rate, 0.01))
        users = stage.users
        begins_s += stage.duration_s or 0.0
