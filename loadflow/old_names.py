"""Names of je_load_density that are not here, and what to write in their place."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["OLD_NAMES", "missing_name"]

_SESSION = "variables belong to a session: register_variable(…), or with use_session(Session(variables={…})): …"
_RECORDS = "every hit is in the run folder: Run.open(summary['run_dir']).hits(), or fetch_run_records(…) of a store"
_MIGRATE = "the class is ScriptError; `except LoadflowError` catches all"
_FILES = "use pathlib and json; `loadflow run-dir DIR` runs all scripts below a folder"

OLD_NAMES: dict[str, str] = {
    # running scripts
    "executor": "use execute_action(script); its commands are current_session().commands",
    "Executor": "use execute_action(script) within use_session(Session())",
    "callback_executor": "call what you want after execute_action(script); its Results say what each command returned",
    "CallbackExecutor": "call what you want after execute_action(script); its Results say what each command returned",
    "package_manager": "use add_package_to_executor(name), after allow_packages(name)",
    "set_allow_arbitrary_packages": "name the packages: allow_packages('package', …)",
    "start_load_density_socket_server": "use start_socket_server(…)",
    "run_async_load": "use start_test(…): its Rust core needs no other engine",
    "AsyncRunHandle": "use start_test(…) with an Observer in the session",
    "prepare_env": "use start_test(…)",
    "create_env": "use start_test(…)",
    "locust_wrapper_proxy": "users are isolated; use start_test(…), or add_user_type(…) for one of your own",
    # variables
    "parameter_resolver": _SESSION,
    "ParameterResolver": _SESSION,
    "get_resolver": "use current_session().variables",
    "use_resolver": "use use_session(Session(variables={…}))",
    "resolve": "placeholders are filled in when a script runs; " + _SESSION,
    "register_variables_from_dict": "use register_variables({…})",
    # records and reports
    "test_record_instance": _RECORDS,
    "TestRecord": _RECORDS,
    "build_summary": "use summary()",
    "generate_summary": "use summary()",
    "report_path": "give the report command a path; relative ones go below the session's report_dir",
    "diff_run_records": "use diff_runs(…)",
    "trend_runs": "use `loadflow history`, or diff_runs(…)",
    "calibrate_sla": "write limits with assert_sla([…]), from what summary() says",
    "canary_verdict": "use diff_runs(…), or assert_sla([…])",
    "find_breaking_point": "use a ramp: start_test(…, rate={…}), see docs/pace.md",
    "persist_test_records": "use persist_records(…)",
    # reliability
    "run_with_watchdog": "use with_watchdog(…)",
    # recordings
    "import_har": "use har_to_action_json(load_har(path))",
    # projects and files
    "create_project_dir": "use `loadflow init PATH`",
    "get_dir_files_as_list": _FILES,
    "read_action_json": _FILES,
    "write_action_json": _FILES,
    "format_code": _FILES,
    "reformat_json": _FILES,
    "load_density_logger": "use logging.getLogger('loadflow')",
    # exceptions
    "LoadDensityTestException": _MIGRATE.replace("ScriptError", "LoadflowError"),
    "LoadDensityTestJsonException": _MIGRATE,
    "LoadDensityTestExecuteException": _MIGRATE,
    "LoadDensityAddCommandException": _MIGRATE,
    "LoadDensityAssertException": "the class is ThresholdsNotMet",
    "LoadDensityTestAssertException": "the class is ThresholdsNotMet",
    "LoadDensityHTMLException": "the class is CommandError",
    "LoadDensityGenerateJsonReportException": "the class is CommandError",
    "LocustNotFoundException": "`loadflow doctor` says what is missing",
    "CallbackExecutorException": _MIGRATE,
    "XMLException": "the class is CommandError",
    "XMLTypeException": "the class is CommandError",
}


def missing_name(name: str, known: Collection[str]) -> str:
    """What to say of a name that loadflow does not have.

    >>> missing_name("build_summary", [])
    "module 'loadflow' has no attribute 'build_summary', a name of LoadDensity; use summary()"
    >>> missing_name("sumary", ["summary"])
    "module 'loadflow' has no attribute 'sumary'; did you mean 'summary'?"
    """
    text = f"module 'loadflow' has no attribute {name!r}"
    if name in OLD_NAMES:
        return f"{text}, a name of LoadDensity; {OLD_NAMES[name]}"
    close = difflib.get_close_matches(name, known, n=1) if not name.startswith("_") else ()
    return f"{text}; did you mean {close[0]!r}?" if close else text
