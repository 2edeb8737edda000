"""Programs of the plain client libraries: as much as their users would write, without templates, assertions or records."""

from __future__ import annotations

__all__ = ["LOADFLOW", "LOAD_DENSITY", "gevent", "k6", "threads"]

# what takes part: the `user_detail_dict`, the step, whom, seconds, users, engine
LOADFLOW = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
user, step, target, seconds, users, engine = sys.argv[1:]
with use_session(Session(runs_dir="runs")):
    often = {"user_count": int(users), "spawn_rate": 1000, "test_time": float(seconds)}
    summary = start_test({**json.loads(user), "engine": engine}, **often, host=target, tasks=[json.loads(step)])
totals = summary["totals"]
assert totals["failures"] == 0, totals
print(totals["requests"] / float(seconds))
"""
# its users wait 0.1 to 0.2 s after each pass, so a pass is made long
LOAD_DENSITY = """
import json, sys
from je_load_density import start_test
from je_load_density.utils.test_record.test_record_class import test_record_instance
user, step, seconds, users = sys.argv[1:]
start_test({"user": user}, user_count=int(users), spawn_rate=1000, test_time=float(seconds), tasks=[json.loads(step)] * 500)
failed = len(test_record_instance.error_record_list)
sys.exit(f"{failed} failures" if failed else 0)
"""
# `user` makes exchanges until the end and returns how many
PLAIN = """
%s
import sys, time
target, seconds, users = sys.argv[1:]
host, port = target.rpartition("/")[2].rsplit(":", 1)
end = time.monotonic() + float(seconds)
%s
print(together(user, int(users)) / float(seconds))
"""
GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
def together(user, users):
    jobs = [gevent.spawn(user) for _ in range(users)]
    gevent.joinall(jobs, raise_error=True)
    return sum(job.value for job in jobs)
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
def together(user, users):
    with ThreadPoolExecutor(users) as pool:
        return sum(job.result() for job in [pool.submit(user) for _ in range(users)])
"""
K6_WEBSOCKET = """
import ws from 'k6/ws';
import { check } from 'k6';
const text = '{"id": 1, "text": "hello"}', milliseconds = %(milliseconds)d;
export const options = { vus: %(users)d, iterations: %(users)d };
export default function () {
  const end = Date.now() + milliseconds;
  ws.connect('%(target)s', {}, (socket) => {
    socket.on('open', () => socket.send(text));
    socket.on('message', (data) => {
      check(data, { 'hello came back': (came) => came.includes('hello') });
      if (Date.now() < end) socket.send(text); else socket.close();
    });
  });
}
"""


def gevent(user: str) -> str:
    return PLAIN % (GEVENT, user)


def threads(user: str) -> str:
    return PLAIN % (THREADS, user)


def k6(target: str, users: int, seconds: float) -> str:
    return K6_WEBSOCKET % {"target": target, "users": users, "milliseconds": round(seconds * 1000)}
