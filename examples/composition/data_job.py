"""A data job around a load: seed accounts, run the load as a subflow, join its hit log with the shop's access log, publish a table.

    pip install 'loadflow[examples]'
    python examples/shop/server.py --port 8000 --access-log access.csv
    python examples/composition/data_job.py http://127.0.0.1:8000 access.csv 10

The table has a row per name and stretch of time: how long the shop says it took, and how long its users waited.
"""

from __future__ import annotations

import csv
import secrets
import sys
from pathlib import Path
from typing import Any

import duckdb
import requests
from prefect import flow, task
from prefect.artifacts import create_table_artifact

from loadflow import Run, load_of, run_script, same_verdict
from loadflow.engine.records.hitlog import read_header

# what the hit log calls a request, and what the access log does, with numbers in paths written {id}
ROUTES = {
    "log in": ("POST", "/login"),
    "search": ("GET", "/search"),
    "one product": ("GET", "/products/{id}"),
    "recommendations": ("GET", "/recommendations"),
}
BUCKET_S = 5
CLOCKS_S = 1  # by so much may the two machines' clocks differ at the ends of the load

JOIN = """
WITH load AS (
    SELECT min(unix_s) AS first_s, max(unix_s + ms / 1e3) AS last_s FROM hits
), client AS (
    SELECT name, CAST(floor((unix_s - first_s) / $bucket_s) * $bucket_s AS BIGINT) AS from_s,
           count(*) AS requests, count(*) FILTER (failed) AS failed, quantile_cont(ms, 0.95) AS p95_ms
    FROM hits, load GROUP BY ALL
), served AS (
    SELECT unix_s, ms, method, regexp_replace(path, '/[0-9]+', '/{id}', 'g') AS route FROM read_csv($log)
), server AS (
    SELECT name, CAST(floor((unix_s - first_s) / $bucket_s) * $bucket_s AS BIGINT) AS from_s,
           count(*) AS requests, quantile_cont(ms, 0.95) AS p95_ms
    FROM served JOIN routes USING (method, route), load
    WHERE unix_s BETWEEN first_s - $clocks_s AND last_s + $clocks_s GROUP BY ALL
)
SELECT name, from_s, coalesce(client.requests, 0) AS requests, coalesce(failed, 0) AS failed, coalesce(server.requests, 0) AS served,
       round(client.p95_ms, 3) AS client_p95_ms, round(server.p95_ms, 3) AS server_p95_ms
FROM client FULL JOIN server USING (name, from_s) ORDER BY ALL
"""


@task
def seed(base: str, folder: Path, count: int) -> Path:
    """Accounts with new passwords: registered at the shop, and in a file that the script reads them from."""
    accounts = [{"user": f"seeded-{number}", "password": secrets.token_hex(8)} for number in range(count)]
    for account in accounts:
        requests.post(f"{base}/accounts", json=account, timeout=10).raise_for_status()
    path = folder / "users.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, ["user", "password"])
        rows.writeheader()
        rows.writerows(accounts)
    return path


def script(base: str, users_csv: Path, seconds: float) -> list[Any]:
    """Each user logs in with a seeded account, and then looks around."""
    log_in = {"json": {"user": "${csv.accounts.user}", "password": "${csv.accounts.password}"}}
    more = {"log in": log_in, "one product": {"request_url": "/products/${randint(1, 100)}"}}
    steps = [{"name": name, "method": method, "request_url": path, **more.get(name, {})} for name, (method, path) in ROUTES.items()]
    test = {
        "user_detail_dict": {"user": "fast_http_user"},
        "host": base,
        "user_count": 4,
        "spawn_rate": 4,
        "test_time": seconds,
        "wait_time": 0.05,
        "csv_sources": [{"name": "accounts", "file_path": str(users_csv)}],
        "tasks": {"mode": "sequence", "tasks": steps},
    }
    return [["LD_start_test", test]]


@task
def compare(run_dir: Path, access_log: Path) -> list[dict[str, Any]]:
    """The hit log and the access log side by side, of the time of the load; more served than requests: somebody else was there too."""
    with duckdb.connect() as database:
        database.execute("CREATE TABLE routes (name TEXT, method TEXT, route TEXT)")
        database.executemany("INSERT INTO routes VALUES (?, ?, ?)", [[name, *route] for name, route in ROUTES.items()])
        database.execute("CREATE TABLE hits (name TEXT, unix_s DOUBLE, ms DOUBLE, failed BOOLEAN)")
        load_hits(database, Run.open(run_dir))
        found = database.execute(JOIN, {"bucket_s": BUCKET_S, "clocks_s": CLOCKS_S, "log": str(access_log)})
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def load_hits(database: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Chunk by chunk, with names for the ids. From the start of a request: what it waited for its turn is not the server's."""
    database.execute("CREATE TABLE names (series UINTEGER, name TEXT)")
    database.executemany("INSERT INTO names VALUES (?, ?)", [[series, one.name] for series, one in run.names().series.items()])
    for shard, rows in run.iter_hits():
        unix_s = (rows["start_ns"] + read_header(run.hits_path(shard)).origin_unix_ns) / 1e9
        took_ms = (rows["end_ns"] - rows["start_ns"]) / 1e6
        database.register("chunk", {"series": rows["series"], "unix_s": unix_s, "ms": took_ms, "failed": rows["outcome"] != 0})
        database.execute("INSERT INTO hits SELECT name, unix_s, ms, failed FROM chunk JOIN names USING (series)")


@task
def publish(rows: list[dict[str, Any]]) -> None:
    create_table_artifact(rows, key="client-and-server", description="p95 per name: what users waited, and what the shop says.")


@flow(name="data-job", persist_result=False)
def data_job(base: str, access_log: Path, folder: Path = Path("data-job"), seconds: float = 10) -> Any:
    """The load is a subflow; its verdict is this flow's, and the table is published either way."""
    folder.mkdir(parents=True, exist_ok=True)
    users_csv = seed(base, folder.resolve(), 20)
    state = run_script(script=script(base, users_csv, seconds), label="data-job", return_state=True)
    load = load_of(state)  # raises where there is none: nothing to compare; one that did not pass is compared too
    publish(compare(Path(load.folder), access_log))
    return same_verdict(state)


if __name__ == "__main__":
    data_job(sys.argv[1], Path(sys.argv[2]), seconds=float(sys.argv[3]))
