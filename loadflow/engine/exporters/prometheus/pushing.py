"""For a Prometheus that can't scrape this machine: push what it would scrape to a Pushgateway, or write it remotely."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request

from loadflow.engine.exporters.prometheus.remote_write import HEADERS, snappy_block, write_request
from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.posting import Post
from loadflow.engine.exporters.shared.trouble import trouble_of, unreachable, without_user
from loadflow.engine.plan.target import HostLists

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["gateway_push", "remote_write"]


def gateway_push(url: str, job: str, registry: CollectorRegistry, timeout_s: float, lists: HostLists = ()) -> Callable[[], None]:
    """A function that replaces what the gateway has of `job` by what is so now. Raises Unreachable or Refused."""
    from prometheus_client import push_to_gateway

    bare, shown, user = without_user(url)
    sending = way.opener(str(urlsplit(bare).hostname), lists)
    known = [("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")] if user else []

    def handler(url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes) -> Callable[[], None]:
        request = Request(url, data, dict([*headers, *known]), method=method)
        return lambda: sending.open(request, timeout=timeout).close()

    def push() -> None:
        try:
            push_to_gateway(bare, job=job, registry=registry, timeout=timeout_s, handler=handler)
        except HTTPError as error:
            raise trouble_of(shown, error.code, dict(error.headers), error.read().decode("utf-8", "replace")) from None
        except OSError as error:
            raise unreachable(shown, error) from None

    return push


def remote_write(
    url: str,
    job: str,
    registry: CollectorRegistry,
    timeout_s: float,
    *,
    headers: Mapping[str, str],
    ca_file: str | None,
    lists: HostLists = (),
) -> Callable[[], None]:
    """A function that writes the value that each series has now, labelled with `job`. Raises Unreachable or Refused."""
    post = Post(url, {**headers, **HEADERS}, timeout_s, ca_file, lists)

    def write() -> None:
        samples = ((one.name, {**one.labels, "job": job}, one.value) for family in registry.collect() for one in family.samples)
        post(snappy_block(write_request(samples, time.time_ns() // 1_000_000)))

    return write
