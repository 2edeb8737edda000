"""Log-ins of test accounts whose names a database has: one query before the load, a row for each user.

export LOADFLOW_SECRET_SHOP_DATABASE=postgresql://loadtest:password@db.example/shop     (or sqlite:///data/shop.db)
loadflow run examples/scenarios/accounts.py --target http://127.0.0.1:8000
"""

from __future__ import annotations

from loadflow import LoadClient, VUser, rows, scenario, task

accounts = rows(
    database="${secret.shop_database}",
    query="SELECT login, password FROM accounts WHERE is_test ORDER BY login",
)


@scenario(rps=20, duration="30s", users=20, thresholds={"error_rate": 1})
class LogIns(VUser):
    @task
    def log_in(self, client: LoadClient) -> None:
        answer = client.post("/login", json={"user": accounts.login, "password": accounts.password}, name="log in")
        assert answer.status_code == 200
