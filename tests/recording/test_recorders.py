"""Recordings in the manner of each recorder, written by hand: what each does its own way."""

from __future__ import annotations

from typing import Any

from tests.recording.build import converted, har

FORM = "application/x-www-form-urlencoded"


def pairs(**fields: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in fields.items()]


def steps(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    assert har(*entries)["log"]["entries"]
    return converted(*entries).tasks


def test_chrome_has_pseudo_headers_encoded_params_and_marks_sockets() -> None:
    """Cookies and Authorization are not in an export without sensitive data; a form has both its text and params, still encoded."""
    post = {"mimeType": f"{FORM};charset=UTF-8", "text": "q=a%20b&q=c", "params": pairs(q="a%20b")}
    headers = [
        *({"name": f":{name}", "value": value} for name, value in (("authority", "shop.example"), ("method", "POST"), ("path", "/s"))),
        *pairs(accept_encoding="gzip, br", content_type=f"{FORM};charset=UTF-8", sec_fetch_mode="cors"),
    ]
    search = {
        "_initiator": {"type": "script"},
        "_priority": "High",
        "_resourceType": "fetch",
        "cache": {},
        "connection": "443",
        "pageref": "page_1",
        "request": {"method": "POST", "url": "https://shop.example/s", "httpVersion": "http/2.0", "headers": headers, "postData": post},
        "response": {"status": 200, "headers": pairs(content_type="application/json"), "content": {"size": 2, "text": "{}"}},
        "startedDateTime": "2026-03-01T10:00:00.123Z",
        "time": 12.5,
    }
    blocked = {
        **search,
        "request": {"method": "GET", "url": "https://ads.example/x", "headers": []},
        "response": {"status": 0, "headers": [], "content": {}, "_error": "net::ERR_BLOCKED_BY_CLIENT"},
    }
    socket = {**search, "_resourceType": "websocket", "_webSocketMessages": [], "request": {"method": "GET", "url": "wss://shop.example/"}}
    made = converted(search, blocked, socket)
    assert made.tasks[0] == {
        "method": "post",
        "request_url": "https://shop.example/s",
        "name": "/s",
        "headers": {"content-type": f"{FORM};charset=UTF-8", "sec-fetch-mode": "cors"},
        "data": [["q", "a b"], ["q", "c"]],
        "assertions": [{"type": "status_code", "value": 200}],
    }
    assert [made.tasks[1]["name"], made.tasks[1].get("assertions"), len(made.report.left_out)] == ["ads.example/x", None, 1]


def test_firefox_writes_local_times_and_cookies_twice() -> None:
    request = {
        "method": "GET",
        "url": "https://shop.example/cart",
        "headers": pairs(Host="shop.example", Cookie="theme=dark", Connection="keep-alive", TE="trailers"),
        "cookies": pairs(theme="dark"),
        "headersSize": 500,
    }
    later = {
        "startedDateTime": "2026-03-01T11:00:02.000+01:00",
        "request": request,
        "response": {"status": 304, "statusText": "Not Modified", "headers": [], "content": {"mimeType": "text/html", "size": 0}},
        "timings": {"blocked": -1},
        "time": 31,
    }
    earlier = {**later, "startedDateTime": "2026-03-01T10:00:01.000+00:00", "request": {**request, "url": "https://shop.example/"}}
    first, second = steps(later, earlier)
    assert (first["name"], second["name"]) == ("/", "/cart")
    assert second["cookies"] == {"theme": "dark"}
    assert "headers" not in second
    assert second["assertions"] == [{"type": "status_code", "value": [200, 304]}]


def test_safari_leaves_out_what_it_does_not_know() -> None:
    """No postData text for uploads, a status of 0 for what the cache answered, no cookies."""
    upload = {
        "pageref": "page_0",
        "startedDateTime": "2026-03-01T10:00:00.000Z",
        "time": 80.1,
        "request": {
            "method": "POST",
            "url": "https://shop.example/upload",
            "headers": pairs(Content_Type="multipart/form-data; boundary=----WebKit", Content_Length="9"),
            "bodySize": 9,
            "cookies": [],
        },
        "response": {"status": 200, "content": {"text": "aGk=", "encoding": "base64", "mimeType": "text/plain"}},
    }
    cached = {"startedDateTime": "2026-03-01T10:00:01.000Z", "request": {"method": "GET", "url": "https://shop.example/"}, "response": {}}
    made = converted(upload, cached)
    assert [one.get("assertions") is None for one in made.tasks] == [False, True]
    assert made.report.notes == ("step 0 (/upload): the recording does not hold its body: it is sent without",)


def test_mitmproxy_writes_microseconds_and_tunnels() -> None:
    tunnel = {"request": {"method": "CONNECT", "url": "https://shop.example:443/"}, "response": {"status": 200}}
    call = {
        "startedDateTime": "2026-03-01T10:00:00.123456+00:00",
        "time": 9,
        "serverIPAddress": "192.0.2.1",
        "request": {
            "method": "PUT",
            "url": "https://shop.example/api/items/9",
            "headers": pairs(content_type="application/json", content_length="7"),
            "cookies": [],
            "postData": {"mimeType": "application/json", "text": '{"n":1}', "params": []},
        },
        "response": {"status": 204, "headers": [], "content": {"size": 0, "mimeType": "", "text": ""}, "redirectURL": ""},
    }
    made = converted(tunnel, call)
    assert [(one["name"], one["json"]) for one in made.tasks] == [("/api/items/{id}", {"n": 1})]
    assert [one.reason.split()[0] for one in made.report.left_out] == ["CONNECT"]


def test_charles_has_redirect_urls_and_base64_bodies() -> None:
    login = {
        "startedDateTime": "2026-03-01T10:00:00.000+01:00",
        "request": {
            "method": "POST",
            "url": "http://shop.example/login",
            "headers": pairs(Content_Type=FORM),
            "postData": {"mimeType": FORM, "text": "dXNlcj1hbm4=", "encoding": "base64"},
        },
        "response": {"_charlesStatus": "COMPLETE", "status": 303, "headers": [], "redirectURL": "http://shop.example/home"},
    }
    home = {
        "startedDateTime": "2026-03-01T10:00:00.050+01:00",
        "request": {"method": "GET", "url": "http://shop.example/home", "headers": []},
        "response": {"status": 200, "headers": []},
    }
    (one,) = steps(login, home)
    assert (one["data"], one["assertions"]) == ([["user", "ann"]], [{"type": "status_code", "value": 200}])
