"""The native engine process with a mistake in the plan of its last shard: its first step asks for a throttle that is not there.

No plan of a script can hold that. A core that meets it panics, as it would by a mistake of ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from loadflow.engine.entry import native as native_worker
from loadflow.engine.generator.native import plan as native_plan
from loadflow.engine.generator.native.plan import NativePlan
from loadflow.engine.plan.plan import Plan

NO_SUCH_THROTTLE = 99
compile_plan = native_plan.compile_plan


def poisoned(plan: Plan, shard: int, shards: int, env: Mapping[str, str], *read: Any) -> NativePlan:
    made = compile_plan(plan, shard, shards, env, *read)
    if shard != shards - 1:
        return made
    whole = json.loads(made.json)
    whole["steps"][0]["throttles"] = [NO_SUCH_THROTTLE]
    return NativePlan(json.dumps(whole).encode(), made.tables, made.steps, made.tls, made.data)


if __name__ == "__main__":
    native_plan.compile_plan = poisoned
    code = native_worker.main()
    sys.stderr.flush()
    os._exit(code)
