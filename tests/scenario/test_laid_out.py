"""A request of a function is the same whether the core lays it out or Python makes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.generator.native.asked import Asked, Asking
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.generator.native.functions import Functions
from loadflow.engine.generator.native.plan import compile_plan
from loadflow.engine.plan.plan import Plan, Stage
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.scenario.client import VERBS
from tests.examples import examples
from tests.services import need

FILE = """
from loadflow import VUser, scenario, task

@scenario(rps=1)
class Shop(VUser):
    @task
    async def one(self, client):
        await client.get("/")
"""
TEXTS = st.text(st.sampled_from("aZ9/?&=%#+ ~.:äß€😀\t\r\n\x7f\ud800"), max_size=6)
NAMES = st.sampled_from(["X-A", "accept", "User-Agent", "Content-Type", "authorization", "Cookie", "Host", "Connection", "a b", ""]) | TEXTS
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "headers": st.dictionaries(NAMES, TEXTS | st.integers() | st.none(), max_size=3),
        "json": JSON,
        "data": TEXTS | st.binary(max_size=5) | st.dictionaries(TEXTS, SCALARS, max_size=2),
        "params": st.dictionaries(TEXTS, SCALARS, max_size=3) | st.lists(st.tuples(TEXTS, TEXTS), max_size=2),
        "timeout": st.floats() | st.integers(-1, 5) | st.just("2"),
        "allow_redirects": st.booleans() | st.just("no"),
        "cookies": st.dictionaries(TEXTS, TEXTS, max_size=1),
    },
)
PATHS = st.sampled_from(["/", "/a/b?c=d", "//x", "a", "/a b", "/%41%zz", "http://other.example/x", "/ü", "/a?", "/a#b"]) | TEXTS.map(
    lambda text: f"/{text}"
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    need(is_built(), "the native core is not built")
    file = tmp_path_factory.mktemp("laid") / "shop.py"
    file.write_text(FILE)
    return [made_of(file, host) for host in ("http://shop.example:8080", "https://shop.example/base/")]


def made_of(file: Path, host: str) -> Any:
    step = {"call": f"{file}:Shop.one", "name": "one"}
    plan = Plan(
        protocol="python_user", speaker="", mode="sequence", steps=(step,), stages=(Stage(1.0, 1, 1.0),), duration_s=None, host=host
    )
    compiled = compile_plan(plan, 0, 1, {})
    call = json.loads(compiled.json)["steps"][0]["request"]["call"]
    functions = Functions(plan, compiled.steps, compiled.data, compiled.tls)
    return SimpleNamespace(call=json.dumps(call), step=compiled.steps[0], functions=functions, scope=Scope({}, Data()))


@settings(max_examples=examples(120), deadline=None)
@given(st.sampled_from(range(len(VERBS))), PATHS, OPTIONS, st.booleans())
def test_the_core_lays_out_what_python_makes(both: Any, verb: int, path: str, options: dict[str, Any], based: bool) -> None:
    from loadflow import _native

    one = both[based]
    laid = _native.rules.laid(one.call, one.functions, Asked(Asking(1000), verb, path, options or None))
    if laid is None:
        return
    head, body, name, limits = bytes(laid[0]), bytes(laid[1]), laid[2], laid[3]
    try:
        made, named = one.step.request(VERBS[verb], path, options, one.scope)
    except HitFailure as error:
        pytest.fail(f"Python makes no request of it: {error}")
    assert (head, body, name) == (made.head, made.body, named)
    assert (made.connect_timeout_s, made.timeout_s, made.allow_redirects, made.cookies) == (*limits, "")


def test_usual_requests_are_laid_out_by_the_core(both: Any) -> None:
    from loadflow import _native

    usual: list[tuple[int, str, dict[str, Any]]] = [
        (0, "/a?b=c", {}),
        (0, "/a", {"headers": {"Authorization": "Bearer x"}, "name": "a", "params": {"q": "x y", "n": 1}}),
        (1, "/a", {"json": {"a": [1, None, "ü"]}, "timeout": 5}),
        (1, "/a", {"data": "text", "allow_redirects": False}),
    ]
    for verb, path, options in usual:
        asked = Asked(Asking(1000), verb, path, options or None)
        assert _native.rules.laid(both[0].call, both[0].functions, asked) is not None, (path, options)
