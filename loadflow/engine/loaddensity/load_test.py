"""A load test of LoadDensity, written so that it means the same here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.load_test.model import StartTest, UserDetail
from loadflow.engine.load_test.scenario import MODES
from loadflow.engine.loaddensity.placeholders import AS_TEXT, Known, Variable
from loadflow.engine.loaddensity.steps import is_sent, migrate_step
from loadflow.engine.loaddensity.words import HTTP_USERS, TEST_KEYS, step_words, user_of
from loadflow.engine.script.mistakes import place_of
from loadflow.engine.script.placeholders import scan, texts
from loadflow.engine.script.visit import steps_of

__all__ = ["Before", "migrate_test"]

Say = Callable[..., None]  # a key of the test, the key of a difference, what was done, and the keys that hold the first

WAIT = {"min": 0.1, "max": 0.2}
SHAPE_S = {  # the parts of a shape, with the seconds that they last where nothing is written
    "spike": {"pre_seconds": 30, "spike_seconds": 30, "post_seconds": 30},
    "soak": {"ramp_seconds": 60, "hold_seconds": 600, "cooldown_seconds": 60},
}
TEST_TIME_S = 60


class Before(Protocol):
    """What the script has done before a test, and the function that receives changes. `file`: that it is in, as in `Change`."""

    file: str
    registered: dict[str, Variable]
    of_tests: dict[str, object]
    sources: dict[str, object]

    def say(self, place: str, difference: str, message: str, file: str | None = None) -> None: ...


def migrate_test(test: dict[str, object], place: str, before: Before) -> None:
    """Change the arguments of an LD_start_test where they would mean something else here."""
    if test.get("runner_mode") == "worker":
        return  # it does what its master says

    def say(key: str, difference: str, message: str, *inside: str) -> None:
        before.say(place_of(place, (*inside, key)), difference, message)

    user = user_of(test)
    _keys(test, say)
    if step_words(user):  # of the steps of an unknown user nothing is known
        _tasks(test, user, place, before)
    known = _known(test, place, before)
    for loc, step in steps_of(test.get("tasks"), ("tasks",)) if step_words(user) else ():
        at = place_of(place, loc)
        migrate_step(step, user, known, lambda loc, key, text, at=at: before.say(place_of(at, loc), key, text))  # type: ignore[misc]
    _host(test, user, say)
    _variables(test, known, before)
    _time(test, say)
    if test.get("runner_mode") == "master" and test.get("master_bind_host") is None:
        test["master_bind_host"] = "*"
        say("master_bind_host", "master-address", "all addresses, as in LoadDensity; set a token")


def _keys(test: JsonObject, say: Say) -> None:
    if test.get("engine") in ("asyncio", "locust"):
        engine = test.pop("engine")
        say("engine", "asyncio", f"removed: {engine} is an engine of LoadDensity's own")
    for key in [key for key in test if key not in TEST_KEYS | set(StartTest.keys())]:
        del test[key]
        say(key, "test-keys", "removed: LoadDensity ignores it")
    detail = test.get("user_detail_dict")
    if isinstance(detail, dict):
        for key in [key for key in detail if key not in set(UserDetail.keys())]:
            del detail[key]
            say(key, "test-keys", "removed: LoadDensity reads user only", "user_detail_dict")
    for key, kind in (("variables", dict), ("csv_sources", list)):
        if key in test and not isinstance(test[key], kind):
            del test[key]
            say(key, "wrong-kind", "removed: LoadDensity ignores it")
    sources = test.get("csv_sources")
    for source in [one for one in sources or () if not _is_source(one)]:
        test["csv_sources"].remove(source)
        say("csv_sources", "wrong-kind", "removed one: LoadDensity passes over a source without name or file_path")


def _is_source(source: object) -> bool:
    return isinstance(source, dict) and all(isinstance(source.get(key), str) and source[key] for key in ("name", "file_path"))


def _tasks(test: dict[str, object], user: str, place: str, before: Before) -> None:
    """The mode, and the steps for which anything is sent."""
    holder, key, at = test, "tasks", place_of(place, ("tasks",))
    tasks = test.get("tasks")
    if isinstance(tasks, dict) and ("mode" in tasks or "tasks" in tasks):
        mode = tasks.get("mode")
        if user not in HTTP_USERS and "mode" in tasks:
            del tasks["mode"]
            before.say(f"{at}.mode", "other-users", f"removed: LoadDensity ignores it for a {user}")
        elif "mode" in tasks and str(mode).lower() not in MODES:
            tasks["mode"] = "sequence"
            before.say(f"{at}.mode", "mode", "sequence, which every unknown mode is in LoadDensity")
        holder, key, at = tasks, "tasks", place_of(at, ("tasks",))
    steps = holder.get(key)
    if isinstance(steps, list):
        gone = [index for index, step in enumerate(steps) if not (is_sent(step) if user in HTTP_USERS else isinstance(step, dict))]
        kept: object = [step for index, step in enumerate(steps) if index not in gone]
    elif isinstance(steps, dict) and user in HTTP_USERS:
        gone = [method for method, step in steps.items() if not is_sent(step, str(method))]
        kept = {method: step for method, step in steps.items() if method not in gone}
    else:
        return
    for one in gone:
        before.say(place_of(at, (one,)), "dropped-steps", "removed: LoadDensity sends nothing for it")
    if gone:
        holder[key] = kept


def _known(test: JsonObject, place: str, before: Before) -> Known:
    """What the steps see; variables and sources of the tests before are written into this one where it uses them."""
    variables = test.get("variables", {})
    sources = test.get("csv_sources", [])
    used = {(token.kind, token.parts[0]) for _, text, _ in texts(test.get("tasks")) for token in scan(text) if token.parts}
    extracted = {str(entry["var"]) for entry in _extracts(test)}
    for name, value in before.of_tests.items():
        if ("var", name) in used and name not in variables and name not in extracted and name not in before.registered:
            variables = test.setdefault("variables", {})
            variables[name] = value
            before.say(place_of(place, ("variables", name)), "variables-stay", "repeated from a test before, as LoadDensity keeps it")
    named = {source["name"] for source in sources}
    for name, source in before.sources.items():
        if ("csv", name) in used and name not in named:
            test.setdefault("csv_sources", []).append(source)
            before.say(
                place_of(place, ("csv_sources",)), "variables-stay", f"{name!r} repeated from a test before, as LoadDensity keeps it"
            )
    before.of_tests.update(variables)
    before.sources.update({source["name"]: source for source in test.get("csv_sources", [])})
    own = {name: Variable(variables, name, place_of(place, ("variables", name)), before.file) for name in variables}
    return Known({**before.registered, **own}, extracted)


def _extracts(test: dict[str, object]) -> Iterator[dict[str, object]]:
    for _, step in steps_of(test.get("tasks")):
        entries = step.get("extract")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("var"), str):
                yield entry


def _host(test: dict[str, object], user: str, say: Say) -> None:
    """LoadDensity's HTTP users know no host, and relative URLs ask this machine."""
    if user not in HTTP_USERS:
        return
    urls = [step.get("request_url") or step.get("url") for _, step in steps_of(test.get("tasks"))]
    relative = any(isinstance(url, str) and not url.startswith("${") and "://" not in url.split("?", 1)[0] for url in urls)
    detail = test.get("user_detail_dict")
    inner = detail.get("host") if isinstance(detail, dict) else None
    if not relative or "http://localhost" in (test.get("host"), None if test.get("host") else inner):
        return
    if isinstance(detail, dict):
        detail.pop("host", None)
    test["host"] = "http://localhost"
    say("host", "host", "http://localhost, which relative URLs ask in LoadDensity")


def _variables(test: JsonObject, known: Known, before: Before) -> None:
    for name, difference in known.shown.items():
        variable = known.variables[name]
        variable.holder[variable.key] = str(variable.value)
        before.say(variable.place, difference, f"now the text {variable.value!r}, which it is in LoadDensity", variable.file)
    if known.as_text:
        test.setdefault("variables", {}).setdefault(AS_TEXT, "")


def _time(test: dict[str, object], say: Say) -> None:
    shape = test.get("load_shape")
    if shape is not None and "test_time" not in test and _lasts_s(shape, test.get("shape_config")) > TEST_TIME_S:
        test["test_time"] = TEST_TIME_S
        say("test_time", "shape-cut", f"{TEST_TIME_S}, the default that cuts a shape in LoadDensity")
    if "wait_time" not in test and test.get("rate") is None:
        test["wait_time"] = dict(WAIT)
        say("wait_time", "no-wait", "0.1 to 0.2 s after each pass, as in LoadDensity")


def _lasts_s(shape: object, config: object) -> float:
    if not isinstance(config, dict):
        return 0
    if isinstance(shape, str) and shape in SHAPE_S:
        parts: list[object] = [config.get(key, default) for key, default in SHAPE_S[shape].items()]
    else:
        stages = config.get("stages")
        parts = [stage.get("duration", 0) if isinstance(stage, dict) else 0 for stage in (stages if isinstance(stages, list) else ())]
    return sum(part for part in parts if isinstance(part, int | float))
