"""A flow that another one follows: it emits the event shop.deployed, which starts the deployment smoke-after-deploy of prefect.yaml.

    prefect deploy --name smoke-after-deploy && prefect worker start --pool load
    python examples/composition/announce.py http://127.0.0.1:8000

The address travels in the event: the deployment's trigger makes it the variable `base` of examples/smoke.json.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from prefect import flow, task
from prefect.events import emit_event


@task
def announce(base: str) -> None:
    emit_event("shop.deployed", resource={"prefect.resource.id": f"shop.{urlsplit(base).netloc}"}, payload={"base": base})


@flow(name="deploy-shop")
def deploy_shop(base: str) -> None:
    """Stands for a deploy; the last thing it does is to say so."""
    announce(base)


if __name__ == "__main__":
    deploy_shop(sys.argv[1])
