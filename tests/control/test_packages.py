"""LD_add_package_to_executor and add_command_to_executor."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.control.client import ControlError
from loadflow.engine.session.execute import execute_action, load_script
from loadflow.engine.session.own_commands import add_command_to_executor
from loadflow.engine.session.packages import add_package_to_executor, allow_packages
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, ScriptError
from tests.control.serving import client_of, serving

ADD = "LD_add_package_to_executor"
SHOP = '''
from os.path import join
from shop_demo.inner import greet
from functools import partial

IMPORTED = True

def price(cents: int) -> float:
    """Euros."""
    return cents / 100

def max(values): return "ours"
def _hidden(): pass
class Shop: pass
half = partial(price)
'''


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`shop_demo` with a submodule, one that breaks, one that lacks a library."""
    shop = tmp_path / "shop_demo"
    shop.mkdir()
    (shop / "__init__.py").write_text(SHOP)
    (shop / "inner.py").write_text("def greet(name: str) -> str:\n    return f'hello {name}'\n")
    (shop / "breaks.py").write_text("raise RuntimeError('broken on purpose')\n")
    (shop / "lacks.py").write_text("import no_such_library_at_all\n")
    (shop / "empty.py").write_text("from os.path import join\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LOADFLOW_ALLOWED_PACKAGES", raising=False)
    yield
    for name in [name for name in sys.modules if name.startswith("shop_demo")]:
        del sys.modules[name]


@pytest.fixture
def session(packages: None) -> Iterator[Session]:
    with use_session(Session(allowed_packages=["shop_demo"])) as session:
        yield session


def test_public_functions_that_are_defined_there_become_commands(session: Session) -> None:
    assert add_package_to_executor("shop_demo") == ["greet", "price", "shop_demo.max"]
    assert session.own_commands["price"].summary == "Euros."
    assert execute_action([["max", [1, 2]], ["shop_demo.max", [[1]]]]).results[1].value == "ours"


def test_loading_twice_changes_nothing(session: Session) -> None:
    assert add_package_to_executor("shop_demo") == add_package_to_executor("shop_demo")
    assert sorted(session.own_commands) == ["greet", "price", "shop_demo.max"]


def test_nothing_is_replaced(session: Session) -> None:
    add_command_to_executor({"price": lambda: "mine"})
    assert "shop_demo.price" in add_package_to_executor("shop_demo")
    assert session.own_commands["price"].function() == "mine"
    session.own_commands.clear()
    add_command_to_executor({"price": lambda: "mine", "shop_demo.price": lambda: "mine, too"})
    with pytest.raises(CommandError, match="are commands already"):
        add_package_to_executor("shop_demo")
    assert sorted(session.own_commands) == ["price", "shop_demo.price"]


def test_a_package_is_denied_unless_allowed_and_not_imported(packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with use_session(Session()):
        with pytest.raises(
            CommandError, match=r"not allowed.*LOADFLOW_ALLOWED_PACKAGES=shop_demo, or loadflow.allow_packages\('shop_demo'\)"
        ):
            add_package_to_executor("shop_demo.inner")
        assert "shop_demo" not in sys.modules
        allow_packages("shop_demo.inner")
        assert add_package_to_executor("shop_demo.inner") == ["greet"]
        with pytest.raises(CommandError, match="not allowed"):
            add_package_to_executor("shop_demo")
    with use_session(Session()):
        monkeypatch.setenv("LOADFLOW_ALLOWED_PACKAGES", "other, shop_demo ,")
        assert add_package_to_executor("shop_demo.inner") == ["greet"]
        with pytest.raises(CommandError, match="not allowed"):
            add_package_to_executor("shop_demonstration")


@pytest.mark.parametrize("name", ["", "shop demo", "shop-demo", ".shop_demo", "shop_demo.", "shop_demo..inner", "shöp", "1shop", "os;x", 3])
def test_what_is_no_dotted_name_is_refused(session: Session, name: Any) -> None:
    with pytest.raises(CommandError, match="is not a name of a package"):
        add_package_to_executor(name)
    with pytest.raises(CommandError, match="is not a name of a package"):
        allow_packages(name)


BROKEN = [
    ("shop_demo.gone", "there is no package 'shop_demo.gone'"),
    ("shop_demo.breaks", "can't be imported: RuntimeError: broken on purpose"),
    ("shop_demo.lacks", "needs 'no_such_library_at_all'"),
    ("shop_demo.empty", "defines no public functions"),
]


@pytest.mark.parametrize(("name", "message"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_package_that_can_not_be_loaded_is_a_mistake_at_its_place(session: Session, name: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        add_package_to_executor(name)
    with pytest.raises(ScriptError) as refused:
        load_script([["print", ["x"]], [ADD, {"package": name}]])
    (mistake,) = refused.value.mistakes
    assert mistake.place == "actions[1].package"
    assert message in mistake.message


def test_a_script_that_loads_a_package_and_uses_it_is_checked_whole(session: Session) -> None:
    results = execute_action([[ADD, ["shop_demo"]], ["price", {"cents": 250}], ["LD_execute_action", [[["greet", ["ann"]]]]]])
    results.raise_for_failure()
    assert results.results[1].value == 2.5
    with pytest.raises(ScriptError) as refused:
        load_script([[ADD, ["shop_demo"]], ["price", {"cent": 250}]], session=Session(allowed_packages=["shop_demo"]))
    assert ("actions[1].cent", "did you mean 'cents'?") in [(one.place, one.hint) for one in refused.value.mistakes]


def test_checking_a_script_registers_nothing(session: Session) -> None:
    load_script([[ADD, ["shop_demo"]], ["price", [1]]])
    assert session.own_commands == {}


def test_a_command_before_its_package_is_a_mistake(session: Session) -> None:
    with pytest.raises(ScriptError, match=r"actions\[0\]: 'price' is loaded only after this action"):
        load_script([["price", [1]], [ADD, ["shop_demo"]]])


def test_a_package_that_is_not_allowed_is_a_mistake_before_anything_runs(packages: None) -> None:
    with pytest.raises(ScriptError, match=r"actions\[0\].arguments\[0\]: the package 'shop_demo' is not allowed"):
        load_script([[ADD, ["shop_demo"]]], session=Session())
    assert "shop_demo" not in sys.modules


def test_a_package_loaded_in_a_nested_script_is_known_after_it(session: Session) -> None:
    results = execute_action([["LD_execute_action", {"action_list": {"load_density": [[ADD, ["shop_demo"]]]}}], ["price", [100]]])
    results.raise_for_failure()
    assert results.results[1].value == 1.0


def test_clients_load_packages_only_where_the_server_says_so(packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[ADD, ["shop_demo.inner"]], ["greet", ["ann"]], ["LD_execute_action", [[["greet", ["bob"]]]]]]
    host = Session(runs_dir=tmp_path, allowed_packages=["shop_demo"])
    with serving(tmp_path, session=host) as server, client_of(server) as client, pytest.raises(ControlError, match=f"{ADD} is not open"):
        client.start(script[:1])
    assert "shop_demo" not in sys.modules
    allowed = {"session": host, "allow_commands": [ADD]}
    with serving(tmp_path, **allowed) as server, client_of(server) as client, pytest.raises(ControlError, match="not allowed"):
        client.start(script[:1])
    with serving(tmp_path, session=host, allow_commands=[ADD], allow_packages=["shop_demo"]) as server, client_of(server) as client:
        _, first, nested = client.follow(client.start(script))["actions"]
    assert first["value"] == "hello ann"
    assert nested["value"][0]["value"] == "hello bob"


# -- add_command_to_executor


class Notify:
    def __call__(self, message: str) -> str:
        return f"called {message}"

    def method(self, message: str) -> str:
        return f"method {message}"


CALLABLES = [
    ("a function", lambda message: message, "hi"),
    ("a bound method", Notify().method, "method hi"),
    ("an object that can be called", Notify(), "called hi"),
    ("a partial", functools.partial(lambda first, message: f"{first} {message}", "part"), "part hi"),
    ("a class", type("Word", (), {"__init__": lambda self, message: None, "__eq__": lambda self, other: other == "hi"}), "hi"),
]


@pytest.mark.parametrize(("what", "function", "value"), CALLABLES, ids=[row[0] for row in CALLABLES])
def test_any_callable_with_a_readable_signature_is_a_command(what: str, function: Any, value: str) -> None:
    with use_session(Session()):
        add_command_to_executor({"LD_slack_notify": function})
        results = execute_action([["LD_slack_notify", {"message": "hi"}]])
        results.raise_for_failure()
        assert results.results[0].value == value
        with pytest.raises(ScriptError, match="mesage"):
            execute_action([["LD_slack_notify", {"mesage": "hi"}]])


REFUSED = [
    ("text", {"LD_x": "text"}, "str can't be called"),
    ("a builtin that says nothing", {"LD_x": min}, "wrap it in a function with named parameters"),
    ("a command of the table", {"LD_summary": lambda: None}, "is a command already"),
    ("a builtin command", {"len": lambda: None}, "is a command already"),
    ("a blocked name", {"eval": lambda: None}, "can't be the name of a command"),
    ("no name", {"": lambda: None}, "can't be the name of a command"),
    ("a number", {3: lambda: None}, "can't be the name of a command"),
]


@pytest.mark.parametrize(("what", "commands", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_can_be_no_command_is_refused_and_nothing_added(what: str, commands: Any, message: str) -> None:
    with use_session(Session()) as session, pytest.raises(CommandError, match=message):
        add_command_to_executor({"LD_fine": lambda: None, **commands})
    assert session.own_commands == {}
