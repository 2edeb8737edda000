"""Proxies of the environment, which loadflow does not use, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.plan.proxies import unused_proxies
from tests.load.harness import load

PROXY = "http://user:pw@proxy.example:3128"


@pytest.mark.parametrize(
    ("target", "env", "found"),
    [
        ("https://shop.example", {}, ()),
        ("https://shop.example", {"HTTPS_PROXY": PROXY}, ("HTTPS_PROXY",)),
        ("https://shop.example", {"https_proxy": PROXY}, ("https_proxy",)),
        ("https://shop.example", {"HTTPS_PROXY": ""}, ()),
        ("https://shop.example", {"HTTP_PROXY": PROXY}, ()),
        ("http://shop.example:8080/x", {"HTTP_PROXY": PROXY}, ("HTTP_PROXY",)),
        ("ws://shop.example/feed", {"http_proxy": PROXY}, ("http_proxy",)),
        ("wss://shop.example/feed", {"ALL_PROXY": PROXY}, ("ALL_PROXY",)),
        ("shop.example:1883", {"ALL_PROXY": PROXY}, ()),
        ("https://shop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "shop.example"}, ()),
        ("https://a.shop.example", {"HTTPS_PROXY": PROXY, "no_proxy": "x,.shop.example"}, ()),
        ("https://shop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ()),
        ("https://shop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*.shop.example other.example"}, ()),
        ("https://xshop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "shop.example"}, ("HTTPS_PROXY",)),
        ("https://shop.example:8443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "shop.example:443"}, ("HTTPS_PROXY",)),
        ("https://shop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "shop.example:443"}, ()),
        ("https://10.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, ()),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": PROXY, "NO_PROXY": "2001:db8::/32"}, ()),
        ("https://11.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,nonsense/8,[x"}, ("HTTPS_PROXY",)),
        ("https://shop.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example"}, ("HTTPS_PROXY",)),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": PROXY}, ()),
        ("http://localhost", {"HTTP_PROXY": PROXY}, ()),
        ("http://[::1]:80", {"HTTP_PROXY": PROXY}, ()),
        ("${var.base}/x", {"HTTP_PROXY": PROXY}, ()),
    ],
)
def test_a_proxy_for_the_target_is_found(target: str, env: dict[str, str], found: tuple[str, ...]) -> None:
    assert unused_proxies([target], env) == found


@pytest.mark.processes
@pytest.mark.parametrize("variable", ["HTTP_PROXY", pytest.param("HTTPS_PROXY", marks=pytest.mark.long)])
def test_a_run_says_that_it_used_no_proxy(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, PROXY)
    steps = [{"method": "connect", "request_url": "ws://shop.invalid/"}]
    done = load(tmp_path, steps, user="websocket_user", user_count=1, iterations=1)
    said = [one["message"] for one in done.summary["warnings"] if one["code"] == "proxy-not-used"]
    wanted = "HTTP_PROXY names a proxy for the target, and these users connected to the target itself: only HTTP users go by a proxy, "
    wanted += "and not over HTTP/3."
    assert said == ([wanted] if variable == "HTTP_PROXY" else [])
    assert "pw@proxy" not in str(done.summary)
