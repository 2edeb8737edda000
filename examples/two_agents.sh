#!/bin/sh
# A load and its two agents on one machine: `sh examples/two_agents.sh http://127.0.0.1:8000/`
# Elsewhere the agents run on other machines, with the address of this one and the token of both in LOADFLOW_WORKER_TOKEN.
set -e
export url="$1"
PORT="${PORT:-5557}"
loadflow agent --nats-url "nats://127.0.0.1:$PORT" --slots 1 --once &
loadflow agent --nats-url "nats://127.0.0.1:$PORT" --slots 1 --once &
loadflow run-str --direct '[["LD_start_test", {
  "user_detail_dict": {"user": "fast_http_user"},
  "runner_mode": "master", "master_bind_port": '"$PORT"', "expected_workers": 2,
  "user_count": 20, "spawn_rate": 20, "test_time": 60, "iterations": 50,
  "tasks": [{"method": "get", "request_url": "${env.url}"}]
}]]'
wait
