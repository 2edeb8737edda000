"""The words of LoadDensity's scripts, and whether a script has no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.load_test.model import StartTest, UserDetail
from loadflow.engine.load_test.user_types import user_type_of
from loadflow.engine.protocols.model.assertion import ASSERTIONS, SOURCES
from loadflow.engine.protocols.model.condition import OPERATORS as CONDITIONS
from loadflow.engine.script.placeholders import SECRET, scan, texts
from loadflow.engine.script.visit import every_action, steps_of

__all__ = [
    "HTTP_USERS",
    "OPERATORS",
    "SCENARIO_KEYS",
    "STEP_KEYS",
    "TEST_KEYS",
    "looks_like_loaddensity",
    "step_words",
    "user_of",
]

HTTP_USERS = ("fast_http_user", "http_user")
TEST_KEYS = frozenset(
    """
    user_detail_dict user_count spawn_rate test_time web_ui_dict runner_mode load_shape shape_config tasks variables csv_sources db_sources
    host master_bind_host master_bind_port master_host master_port expected_workers worker_startup_timeout worker_heartbeat_interval
    worker_lost_timeout worker_startup_policy
    """.split()  # noqa: SIM905  words, not code
)
# what LoadDensity reads of a scenario's steps, with HTTP users alone
SCENARIO_KEYS = frozenset({"weight", "run_if", "skip_if", "think_time", "throttle", "retry", "assertions", "extract"})
_WORDS = {
    "http_user": "method request_url url name params headers json data files allow_redirects cookies timeout verify cert client_cert auth",
    "websocket_user": "method request_url url payload expect timeout name",
    "grpc_user": "target host stub_path request_path method rpc payload metadata timeout name",
    "mqtt_user": "method broker host topic payload qos retain timeout username password client_id keepalive name",
    "socket_user": "protocol target host payload expect_bytes expect_substring timeout name",
}
STEP_KEYS: Mapping[str, frozenset[str]] = {
    user: frozenset(words.split()) | (SCENARIO_KEYS if user == "http_user" else frozenset()) for user, words in _WORDS.items()
}
OPERATORS = ("equals", "not_equals", "in", "truthy")
_ASSERTIONS = frozenset({"status_code", "contains", "not_contains", "json_path", "header"})
_SOURCES = frozenset({"json_path", "header", "status_code"})


def looks_like_loaddensity(document: object) -> bool:
    """Whether a script has no word that loadflow knows and LoadDensity does not: then it may have been written for LoadDensity.

    >>> looks_like_loaddensity([["LD_start_test", {"user_detail_dict": {}, "tasks": []}]])
    True
    >>> looks_like_loaddensity([["LD_start_test", {"user_detail_dict": {}, "tasks": [], "wait_time": 0}]])
    False
    """
    return next(_own_words(document), None) is None


def _own_words(document: object) -> Iterator[str]:
    if isinstance(document, dict) and "$schema" in document:
        yield "$schema"
    for _, text, _ in texts(document):
        if any(token.kind == "var" and token.parts[0].startswith(SECRET) for token in scan(text)):
            yield "secret"
    for action in every_action(document):
        if len(action.elements) > 2:
            yield "policy"
        if action.name == "LD_start_test" and isinstance(action.payload, dict):
            yield from _words_of_test(action.payload)


def _words_of_test(test: dict[str, object]) -> Iterator[str]:
    yield from (test.keys() & set(StartTest.keys())) - TEST_KEYS
    detail = test.get("user_detail_dict")
    if isinstance(detail, dict):
        yield from (detail.keys() & set(UserDetail.keys())) - {"user", "host"}
    user = user_of(test)
    for _, step in steps_of(test.get("tasks")):
        yield from (step.keys() & step_words(user)) - STEP_KEYS.get(_family(user), frozenset())
        yield from _inner_words(step)


def _inner_words(step: JsonObject) -> Iterator[str]:
    for key, word, ours in (("assertions", "type", set(ASSERTIONS) - _ASSERTIONS), ("extract", "from", set(SOURCES) - _SOURCES)):
        entries = step.get(key)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and str(entry.get(word)).lower() in ours:
                yield str(entry[word])
    for key in ("run_if", "skip_if"):
        if isinstance(step.get(key), dict):
            yield from (step[key].keys() & set(CONDITIONS)) - set(OPERATORS)
    files = step.get("files")
    if isinstance(files, dict) and any(isinstance(one, dict) for one in files.values()):
        yield "files"


def step_words(user: str) -> frozenset[str]:
    """The keys that loadflow knows of this user's steps; none where it does not know the user."""
    user_type = user_type_of(user)
    return frozenset(user_type.form.step.keys()) if user_type is not None else frozenset()


def user_of(test: dict[str, object]) -> str:
    detail = test.get("user_detail_dict")
    user = detail.get("user", "fast_http_user") if isinstance(detail, dict) else "fast_http_user"
    return user if isinstance(user, str) else ""


def _family(user: str) -> str:
    return "http_user" if user in HTTP_USERS else user
