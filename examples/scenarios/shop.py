"""The shop of the demo as a Python scenario: the load of examples/shop.json, written as code.

python examples/shop/server.py --port 8000          (in another terminal)
loadflow check examples/scenarios/shop.py           (how each function runs)
loadflow run examples/scenarios/shop.py --target http://127.0.0.1:8000
"""

from __future__ import annotations

from typing import Any

from loadflow import LoadClient, VUser, csv, rand, scenario, sleep, task

accounts = csv("examples/users.csv")  # a row for each user


@scenario(rps=40, duration="10s", ramp_up="2s", thresholds={"p99_ms": 1000, "error_rate": 1})
class Shop(VUser):
    token: str

    def on_start(self, client: LoadClient) -> None:
        answer = client.post("/login", json={"user": accounts.user, "password": accounts.password}, name="log in")
        assert answer.status_code == 200
        self.token = answer.json()["token"]

    @task(weight=10)
    def list_products(self, client: LoadClient) -> None:
        client.get("/products", params={"page": rand.int(1, 10)})

    def check_list_products(self, status: int, body: Any) -> None:
        assert status == 200
        assert body["items"]

    @task(weight=6)
    def search(self, client: LoadClient) -> None:
        found = client.get("/search", params={"q": "lamp"})
        assert found.json()["count"] == 10
        sleep(0.05, 0.2)

    @task(weight=8)
    def one_product(self, client: LoadClient) -> None:
        answer = client.get(f"/products/{rand.int(1, 100)}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.elapsed_ms < 2000

    @task(weight=3)
    def buy(self, client: LoadClient) -> None:
        found = client.get("/search", params={"q": "lamp"}, name="search before buying")
        order = {"product": found.json()["items"][0]["id"], "quantity": 1}
        bought = client.post("/orders", json=order, headers={"Authorization": f"Bearer {self.token}"})
        assert bought.status_code == 201

    @task
    def recommendations(self, client: LoadClient) -> None:
        client.get("/recommendations", timeout=5)
