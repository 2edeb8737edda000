"""A small command table, as the tests of the script language need it."""

from __future__ import annotations

from typing import Any

from loadflow.engine.load_test.model import StartTest
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.script.command import Command


def start_test(
    user_detail_dict: dict[str, Any],
    user_count: int = 50,
    spawn_rate: float = 10,
    test_time: float | None = 60,
    web_ui_dict: dict[str, Any] | None = None,
    runner_mode: str = "local",
    load_shape: str | None = None,
    shape_config: dict[str, Any] | None = None,
    **kwargs: Any,
) -> None: ...


def execute_action(action_list: list[Any] | dict[str, Any]) -> None: ...
def execute_files(execute_files_list: list[str]) -> None: ...
def register_variable(name: str, value: Any) -> None: ...
def register_variables(variables: dict[str, Any]) -> None: ...
def register_csv_source(name: str, file_path: str, cycle: bool = True) -> None: ...
def register_csv_sources(sources: list[dict[str, Any]]) -> None: ...
def clear_resolver() -> None: ...
def summary(limit: int | float | None = None, label: str | list[str] = "", *, json: bool = False) -> None: ...
def own(anything: object, *more: object, **named: object) -> None: ...
def add_package_to_executor(package: str) -> None: ...


COMMANDS: dict[str, Command] = {
    **BUILTINS,
    **{
        command.name: command
        for command in (
            Command("LD_start_test", start_test, "Run a load test", model=StartTest, loads=True),
            Command("LD_execute_action", execute_action, "Run actions", nested="actions"),
            Command("LD_execute_files", execute_files, "Run files", nested="files"),
            Command("LD_register_variable", register_variable, "Set a variable"),
            Command("LD_register_variables", register_variables, "Set variables"),
            Command("LD_register_csv_source", register_csv_source, "Name a file of rows"),
            Command("LD_register_csv_sources", register_csv_sources, "Name files of rows"),
            Command("LD_clear_resolver", clear_resolver, "Forget variables"),
            Command("LD_summary", summary, "Sum up"),
            Command("LD_add_package_to_executor", add_package_to_executor, "Load a package"),
            Command("own", own, "Somebody's command"),
        )
    },
}


def load_test(**changes: Any) -> list[Any]:
    """A right LD_start_test action, with `changes` to its arguments."""
    step = {"method": "get", "request_url": "http://shop.example/"}
    return ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step], **changes}]


def with_step(**keys: Any) -> list[Any]:
    """An LD_start_test action of one step with `keys` besides method and URL."""
    return load_test(tasks=[{"method": "get", "request_url": "http://shop.example/", **keys}])
