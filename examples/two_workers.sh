#!/bin/sh
# Two workers and their master on one machine: `sh examples/two_workers.sh http://127.0.0.1:8000/`
# Elsewhere the workers run on other machines, with --master HOST and the token of the master in LOADFLOW_WORKER_TOKEN.
set -e
export url="$1"
PORT="${PORT:-5557}"
loadflow worker --master "127.0.0.1:$PORT" --once &
loadflow worker --master "127.0.0.1:$PORT" --once &
loadflow run-str --direct '[["LD_start_test", {
  "user_detail_dict": {"user": "fast_http_user"},
  "runner_mode": "master", "master_bind_port": '"$PORT"', "expected_workers": 2,
  "user_count": 20, "spawn_rate": 20, "test_time": 60, "iterations": 50,
  "tasks": [{"method": "get", "request_url": "${env.url}"}]
}]]'
wait
