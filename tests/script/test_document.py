# ruff: noqa: E501  # a row and its golden text stay on one line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.load_test.user_types import known_user_types
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import ActionPolicy, parse_script, read_script
from loadflow.errors import ScriptError
from tests.examples import examples
from tests.script.table import COMMANDS, load_test


def mistakes(document: object, **options: Any) -> list[str]:
    with pytest.raises(ScriptError) as caught:
        parse_script(document, commands=COMMANDS, **options)
    return [str(mistake) for mistake in caught.value.mistakes]


RIGHT: list[tuple[str, Any]] = [
    ("a bare list", [["LD_clear_resolver"]]),
    ("a list under load_density", {"load_density": [["LD_clear_resolver"]]}),
    ("a schema and a description beside it", {"$schema": "x", "description": "y", "load_density": [["print"]]}),
    ("arguments by name", [["LD_register_variable", {"name": "a", "value": None}]]),
    ("arguments by position", [["LD_register_variable", ["a", [1]]]]),
    ("null arguments with a policy", [["LD_clear_resolver", None, {"retries": 2}]]),
    ("an empty policy", [["LD_clear_resolver", {}, {}]]),
    ("any number of arguments where a function takes them", [["own", [1, 2, 3]], ["own", {"anything": 1, "x": 2}], ["print", [1, 2, 3]]]),
    ("a union of types", [["LD_summary", [1.5, ["a"]]], ["LD_summary", {"limit": None, "label": "x", "json": True}]]),
    ("a nested list", [["LD_execute_action", {"action_list": [["LD_clear_resolver"]]}]]),
    ("a nested document by position", [["LD_execute_action", [{"load_density": [["LD_clear_resolver"]]}]]]),
    ("files", [["LD_execute_files", [["a.json", "b.json"]]]]),
    ("a load test", [load_test()]),
    ("a load test by position", [["LD_start_test", [{}]]]),
]


@pytest.mark.parametrize("document", [row[1] for row in RIGHT[:-1]], ids=[row[0] for row in RIGHT[:-1]])
def test_accepts(document: Any) -> None:
    script = parse_script(document, commands=COMMANDS)
    entries = document if isinstance(document, list) else document["load_density"]
    assert [action.name for action in script.actions] == [entry[0] for entry in entries]
    assert script.actions[0].place == ("actions[0]" if isinstance(document, list) else "load_density[0]")


FORMS = 'write ["name"], ["name", {…}], ["name", […]] or ["name", arguments, {policy}]'
WRONG: list[tuple[str, Any, list[str]]] = [
    ("no actions", [], ['the script has no actions; write at least one, such as ["LD_summary"]']),
    (
        "no list at all",
        5,
        ["a script is a list of actions or an object with the key 'load_density', not a number; "
         'write {"load_density": [["LD_start_test", {…}]]}'],
    ),
    (
        "another key at the top",
        {"load_densty": [], "x": 1},
        [
            "load_densty: 'load_densty' is not a key of a script; did you mean 'load_density'?",
            "x: 'x' is not a key of a script; allowed: load_density, $schema, description, variables",
            "load_density: is missing; it holds the list of actions",
        ],
    ),
    ("an empty list in the object", {"load_density": []},
     ['load_density: the script has no actions; write at least one, such as ["LD_summary"]']),
    ("no action", ["print"], [f"actions[0]: an action is a list, not text; {FORMS}"]),
    ("an empty action", [[]], [f"actions[0]: an action has 1 to 3 elements, not 0; {FORMS}"]),
    ("a fourth element", [["print", [], {}, 1]], [f"actions[0]: an action has 1 to 3 elements, not 4; {FORMS}"]),
    ("a name that is none", [[1]], [f"actions[0]: an action starts with the name of a command, not with a number; {FORMS}"]),
    ("a text as arguments", [["print", "abc"]], [f"actions[0]: arguments are an object, a list or null, not text; {FORMS}"]),
    ("an unknown command", [["LD_register_varable", ["a", 1]]], ["actions[0]: 'LD_register_varable' is not a command; "
                                                              "did you mean 'LD_register_variable'?"]),
    (
        "an unknown policy key and wrong values",
        [["LD_clear_resolver", None, {"retrys": 1, "retries": -1, "on_error": "go", "timeout_seconds": 0}]],
        [
            "actions[0].policy.retrys: 'retrys' is not a key of a policy; did you mean 'retries'?",
            "actions[0].policy.retries: must be at least 0, not -1",
            "actions[0].policy.on_error: 'go' is not an on_error; allowed: stop, continue",
            "actions[0].policy.timeout_seconds: must be more than 0, not 0",
        ],
    ),
    ("a policy that is not an object", [["LD_clear_resolver", None, 5]], ["actions[0].policy: must be an object, not 5"]),
    ("missing arguments", [["LD_register_variable", {"name": "a"}]], ["actions[0].value: is missing"]),
    ("missing positional arguments", [["LD_register_variable", ["a"]]], ["actions[0].value: is missing"]),
    ("no arguments", [["LD_register_variables"]], ["actions[0].variables: is missing"]),
    (
        "an unknown argument",
        [["LD_register_variable", {"nme": "a", "value": 1, "name": "b"}]],
        ["actions[0].nme: 'nme' is not an argument of LD_register_variable; did you mean 'name'?"],
    ),
    (
        "too many arguments",
        [["LD_register_variable", ["a", 1, 2]]],
        ["actions[0].arguments[2]: LD_register_variable takes 2 arguments, not 3; they are name, value"],
    ),
    (
        "wrong types",
        [["LD_register_csv_source", ["a", 5, "yes"]], ["LD_summary", {"limit": "x", "label": {}}]],
        [
            "actions[0].arguments[1]: must be text, not 5",
            "actions[0].arguments[2]: must be true or false, not text",
            "actions[1].limit: must be a number, not text",
            "actions[1].label: must be text or a list, not an object",
        ],
    ),
    ("a callable from JSON", [["sorted", {"items": [1], "key": "len"}]],
     ["actions[0].key: 'key' is not an argument of sorted; allowed: items, reverse"]),
    ("files that are no texts", [["LD_execute_files", [["a", 5]]]], ["actions[0].arguments[0][1]: must be text, not 5"]),
    ("no files", [["LD_execute_files", {"execute_files_list": []}]], ["actions[0].execute_files_list: must not be empty"]),
    (
        "nested mistakes, by name and by position",
        {"load_density": [["LD_execute_action", {"action_list": {"load_density": [["lenn"]]}}], ["LD_execute_action", [[["lenn"]]]]]},
        [
            "load_density[0].action_list.load_density[0]: 'lenn' is not a command; did you mean 'len'?",
            "load_density[1].arguments[0][0]: 'lenn' is not a command; did you mean 'len'?",
        ],
    ),
    (
        "one list level too few",
        [["LD_execute_action", [["print"], ["print"]]]],
        [
            "actions[0].arguments[0][0]: an action is a list, not text; " + FORMS,
            "actions[0].arguments[1]: LD_execute_action takes 1 argument, not 2; "
            "put the actions into a list of their own: [[…], […]] is one argument for each action",
        ],
    ),
    ("a load test by position without tasks", [["LD_start_test", [{"user": "x"}]]], [
        f"actions[0].arguments[0].user: 'x' is not a user type; allowed: {', '.join(one.name for one in known_user_types())}",
        "actions[0].tasks: is missing; write the steps of a user, or populations with their own",
    ]),
    ("a value that is not JSON", [["print", [{1, 2}]]], ["[0][1][0]: set is not a JSON value; "
                                                      "use text, numbers, true, false, null, lists and objects"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "texts"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_refuses(document: Any, texts: list[str]) -> None:
    assert mistakes(document) == texts


def test_the_example_of_the_design_reads_as_promised() -> None:
    step = {
        "method": "get",
        "url": "http://x",
        "assertions": [{"type": "header", "name": "a", "value": "b"}, {"type": "status", "value": 200}],
    }
    document = {"load_density": [["print"], ["print"], load_test(tasks=[step])]}
    assert mistakes(document) == ["load_density[2].tasks[0].assertions[1].type: 'status' is not an assertion; did you mean 'status_code'?"]


def test_all_mistakes_of_all_actions_are_reported_at_once_in_order() -> None:
    assert [text.split(":")[0] for text in mistakes([["nope"], load_test(user_count=0, tasks=[{}], seed="x"), ["print", 5]])] == [
        "actions[0]", "actions[1].tasks[0].method", "actions[1].tasks[0].request_url", "actions[1].user_count", "actions[1].seed", "actions[2]",
    ]  # fmt: skip


class Unhashable(list[int]):
    def method(self, number: int) -> int:
        return number


def test_a_method_of_an_unhashable_object_is_checked_like_any_command() -> None:
    commands = {"own": Command("own", Unhashable().method, "")}
    parse_script([["own", [1]]], commands=commands)
    with pytest.raises(ScriptError, match="must be a whole number, not text"):
        parse_script([["own", ["1"]]], commands=commands)


def nested(levels: int) -> list[Any]:
    document: list[Any] = [["LD_clear_resolver"]]
    for _ in range(levels):
        document = [["LD_execute_action", {"action_list": document}]]
    return document


def test_sixteen_scripts_inside_each_other_are_allowed_and_seventeen_are_not() -> None:
    parse_script(nested(15), commands=COMMANDS)
    (text,) = mistakes(nested(16))
    assert text == "actions[0]" + ".action_list[0]" * 15 + ".action_list: scripts are nested more than 16 levels deep; flatten them"


def test_deep_json_is_a_mistake_and_no_recursion_error(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    (text,) = mistakes([["print", [deep]]])
    assert text.endswith("the JSON is nested deeper than 64 levels; flatten it")
    itself: list[Any] = []
    itself.append(itself)
    assert len(mistakes(itself)) == 1
    file = tmp_path / "deep.json"
    file.write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(ScriptError, match="nested deeper than 64 levels"):
        parse_script(read_script(file), commands=COMMANDS)


TEXTS = [
    ("no colon", b'{"load_density":\n  [["own", {"a" 1}]]}', "line 2 column 17: expecting ':' delimiter; correct the JSON text here"),
    ("a key twice", b'{"load_density": [["print"]],\n "load_density": []}',
     "line 2 column 2: the key 'load_density' is there twice in one object; keep one"),
    ("a key twice in two spellings", b'[["own", {"a": 1, "\\u0061": "a:{"}]]', "line 1 column 19: the key 'a' is there twice in one object; keep one"),
    ("no number", b"[NaN]", "NaN is not a JSON value; write a number or null"),
    ("too many digits", b"[" + b"9" * 5000 + b"]", "a number has too many digits; write a smaller one"),
    ("no UTF-8", b'["\xff"]', "is not UTF-8 text: byte 2 is wrong; save the file as UTF-8"),
    ("nothing", b"", "line 1 column 1: expecting value; correct the JSON text here"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_wrong_files_say_where(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "script.json"
    file.write_bytes(content)
    with pytest.raises(ScriptError) as caught:
        read_script(file)
    assert str(caught.value) == f"{file}: {message}"


def test_files_that_cant_be_read_are_script_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ScriptError, match=r"there is no such file|can't be read"):
            read_script(path)


def test_a_byte_order_mark_is_no_mistake_and_the_name_is_the_files(tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_bytes(b'\xef\xbb\xbf[["print", ["{\\"a\\": 1, \\"a\\": 2}"]]]')
    script = parse_script(read_script(file), commands=COMMANDS, source=str(file))
    assert (script.name, script.root) == ("shop", "actions")


def test_an_actions_policy_changes_only_what_it_names() -> None:
    script = parse_script([["print", None, {"retries": 3, "on_error": "continue", "timeout_seconds": None}]], commands=COMMANDS)
    policy = script.actions[0].policy
    assert policy == ActionPolicy(retries=3, on_error="continue")
    base = Policy(retries=1, retry_delay_seconds=2.0, timeout_seconds=9.0, retry_safe=False)
    assert policy.over(base) == Policy(3, 2.0, 9.0, "continue", False)
    assert ActionPolicy().over(base) == base


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "[key]"])
    | st.sampled_from([*COMMANDS, "tasks", "${a}", "get"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=4)
            | st.sampled_from(
                ["\ud800", "[key]", "load_density", "tasks", "mode", "action_list", *COMMANDS["LD_start_test"].arguments.keys()]
            ),  # type: ignore[union-attr]
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)
step_keys = [
    "method",
    "url",
    "assertions",
    "extract",
    "run_if",
    "retry",
    "throttle",
    "think_time",
    "json",
    "data",
    "files",
    "auth",
    "timeout",
]
steps = st.dictionaries(st.sampled_from([*step_keys, "verify", "cert", "params", "headers", "weight", "name"]), values)
tests = st.dictionaries(st.sampled_from(COMMANDS["LD_start_test"].arguments.keys()), values | st.lists(steps))  # type: ignore[union-attr]
documents = (
    values
    | st.lists(st.tuples(st.sampled_from([*COMMANDS]), values).map(list))
    | tests.map(lambda arguments: [["LD_start_test", arguments]])
)


@settings(max_examples=examples(60), deadline=None)
@given(documents)
def test_arbitrary_json_is_a_script_or_a_script_error(document: Any) -> None:
    try:
        parse_script(document, commands=COMMANDS)
    except ScriptError as error:
        text = str(error)
        assert "⟨is⟩" not in text and "pydantic" not in text and "Input should" not in text and "ctx" not in text
