"""The URL behind a name: a table of steps, names, and what is known of them."""

from typing import Any

import pytest

from loadflow.engine.records.names import SeriesName
from loadflow.engine.resolve.request_urls import RequestUrls

HOST = "http://shop.test"


@pytest.mark.parametrize(
    ("steps", "name", "url"),
    [
        ([{"request_url": "/items", "name": "all"}], "all", "http://shop.test/items"),
        ([{"request_url": "http://a.test/items?page=2#top", "name": None}], "/items", "http://a.test/items?page=2#top"),
        ([{"request_url": "http://a.test", "name": None}], "/", "http://a.test"),
        ([{"request_url": "http://a.test/x", "name": None}], "a.test/x", "http://a.test/x"),
        ([{"request_url": "/items/${csv.items.id}", "name": None}], "/items/${csv.items.id}", "http://shop.test/items/${csv.items.id}"),
        ([{"request_url": "/${var.known}/${session.id}", "name": None}], "/v1/7", "http://shop.test/${var.known}/${session.id}"),
        ([{"request_url": "/${var.known}", "name": "a ${faker.name} b"}], "a Jane Roe b", "http://shop.test/v1"),
        ([{"request_url": "${var.base}/x", "name": None}], "/x", "http://base.test/x"),
        ([{"request_url": "http://me:pw@a.test/x", "name": "x"}], "x", "http://a.test/x"),
        ([{"request_url": "/a", "name": "x"}, {"request_url": "/b", "name": "x"}], "x", "x"),
        ([{"request_url": "/a", "name": "x"}, {"request_url": "/b", "name": "${faker.word}"}], "x", "http://shop.test/a"),
        ([{"request_url": "/a", "name": "n ${faker.word}"}, {"request_url": "/b", "name": "${var.known}"}], "n 1", "http://shop.test/a"),
        ([{"request_url": "/a", "name": "x", "method": "POST"}], "x", "x"),
        ([{"request_url": "/a", "name": "ab${faker.word}ba"}], "aba", "aba"),
        ([{"request_url": "${var.***", "name": "x"}], "x", "${var.***"),
        ([{"name": "x"}], "x", "x"),
        ([], "(other)", "(other)"),
    ],
)
def test_url_of_a_name(steps: list[dict[str, Any]], name: str, url: str) -> None:
    plan = {"host": HOST, "variables": {"known": "v1", "base": "http://base.test"}, "steps": [{"method": "GET", **step} for step in steps]}
    assert RequestUrls(plan).url(SeriesName("GET", name)) == url


def test_a_plan_that_says_nothing_gives_the_name() -> None:
    assert RequestUrls({}).url(SeriesName("GET", "/items")) == "/items"
