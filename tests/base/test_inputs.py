"""JSON and files from outside are looked at before anybody parses or opens them."""

from __future__ import annotations

import ast
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loadflow
from loadflow.engine.base.json_reading import MOST_DIGITS, MOST_NESTING, Bounds, JsonBoundError, read_json
from loadflow.engine.base.regular_file import open_regular, refuse_special
from loadflow.engine.control.access import find_token as control_token
from loadflow.engine.control.access import tls_context
from loadflow.engine.fleet.keys import find_token
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.machine.kept import read_calibration
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.protocols.grpc.interface import _compiled
from loadflow.engine.protocols.http.known_parts import refuse_known
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.recording.har_file import entries_of, load_har
from loadflow.engine.records.run import Run
from loadflow.engine.resolve.data import load_rows
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.script.document import read_script
from loadflow.engine.script.json_text import load_json
from loadflow.errors import LoadflowError

values = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text('ab[]{}"\\\n,0é')),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text('a[{"\\'), inner, max_size=3)),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max((depth(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)


@given(value=values, cuts=st.lists(st.integers(1, 9), min_size=1), ascii_only=st.booleans())
def test_depth_is_counted_right_however_the_text_is_cut(value: Any, cuts: list[int], ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()

    def fits(nesting: int) -> bool:
        bounds, at, turn = Bounds(nesting), 0, 0
        try:
            while at < len(data):
                size = cuts[turn % len(cuts)]
                bounds.see(data[at : at + size])
                at, turn = at + size, turn + 1
        except JsonBoundError:
            return False
        return True

    assert fits(depth(value))
    assert depth(value) == 0 or not fits(depth(value) - 1)


HOSTILE: list[tuple[str, str]] = [
    ("an integer of 4,301 digits", "9" * 4_301),
    ("a fraction of 4,301 digits", "0." + "9" * 4_301),
    ("50,000 lists in each other", "[" * 50_000 + "]" * 50_000),
    ("50,000 lists that are never closed", "[" * 50_000),
    ("50,000 objects in each other", '{"a":' * 50_000 + "1" + "}" * 50_000),
]
AT_THE_BOUND = ["9" * MOST_DIGITS, "[" * MOST_NESTING + "]" * MOST_NESTING, json.dumps("9" * 5_000), json.dumps("[" * 5_000)]


@pytest.mark.parametrize("text", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_what_is_out_of_bounds_is_refused_by_every_reader(text: str, tmp_path: Path) -> None:
    for given_text in (text, text.encode()):
        with pytest.raises(JsonBoundError):
            read_json(given_text)
    assert load_json(text)[1], "a script"
    har = tmp_path / "a.har"
    har.write_text(f'{{"log": {{"entries": [{{"request": {text}}}]}}}}')
    with pytest.raises(LoadflowError, match=r"nested deeper|digits"):
        list(entries_of(str(har)))
    with pytest.raises(LoadflowError, match=r"nested deeper|digits"):
        load_har(har)
    for name in ("run.json", "summary.json", "end.json", "totals.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(LoadflowError):
        Run.open(tmp_path)
    calibration = tmp_path / "calibration.json"
    calibration.write_text(text)
    with pytest.raises(LoadflowError):
        read_calibration(calibration)


@pytest.mark.parametrize("text", AT_THE_BOUND, ids=["digits", "depth", "digits in a text", "brackets in a text"])
def test_what_is_within_is_read(text: str) -> None:
    assert read_json(text) == json.loads(text)


def test_nobody_else_parses_json() -> None:
    """All that reads JSON goes through `read_json`, but for what a parent and its own child, or the target, say: a short list."""
    others = {
        "engine/base/json_reading.py",
        # answers of a target, and what the core hands back: bounded where they are read
        "engine/protocols/http/reply.py", "engine/protocols/running/message_reply.py", "engine/protocols/mqtt/client.py",
        "engine/protocols/mqtt/request.py",
        "engine/protocols/websocket/request.py", "engine/generator/native/calls.py", "engine/protocols/running/json_body.py",
        # between a process and its own child
        "engine/entry/locust.py", "engine/process/messages.py", "engine/entry/supervisor.py", "engine/entry/native.py",
        "engine/entry/agent.py",
        "engine/protocols/grpc/ask.py", "engine/protocols/grpc/interface.py", "engine/hostile/play.py",
        # what this process wrote itself a moment ago, or ships in its wheel
        "engine/control/connection.py", "engine/control/job.py",
        "engine/control/snapshots.py", "engine/commands/ld_persist_records.py", "engine/store/schema.py", "engine/reports/summary_json.py",
        "engine/reports/json_report.py", "engine/script/json_text.py", "engine/load/made_of.py",
    }  # fmt: skip
    package = Path(loadflow.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_load = isinstance(node, ast.Attribute) and node.attr in ("loads", "load") and isinstance(node.value, ast.Name)
            if is_load and node.value.id == "json":  # type: ignore[attr-defined]
                found.add(path.relative_to(package).as_posix())
    assert found - others == set(), "use loadflow.engine.base.json_reading.read_json"


# -- files


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def listening(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


def linked(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


SPECIAL: dict[str, Callable[[Path], Path]] = {
    "a FIFO": fifo,
    "a socket": listening,
    "a device": lambda path: Path("/dev/zero"),
    "a link to a device": linked,
    "a folder": lambda path: path.parent,
}
READERS: dict[str, Callable[[Path], Any]] = {
    "a script": read_script,
    "a recording": lambda path: list(entries_of(str(path))),
    "a whole recording": load_har,
    "rows": lambda path: load_rows(CsvSource("a", str(path))),
}


@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_only_a_regular_file_is_read(read: Callable[[Path], Any], make: Callable[[Path], Path], tmp_path: Path) -> None:
    """And nobody waits: a FIFO that nobody writes to would never answer."""
    with pytest.raises(LoadflowError):
        read(make(tmp_path / "x"))


HOSTS_READERS: dict[str, Callable[[Path], Any]] = {
    "an upload": lambda path: refuse_known({"files": {"f": str(path)}}, compiler()),
    "a service's description": lambda path: _compiled(str(path), []),
    "a user's own worker token": lambda path: token_of_the_user(path),
    "a server's certificate": lambda path: tls_context(path, path),
}


@pytest.mark.parametrize("make", [SPECIAL["a FIFO"], SPECIAL["a socket"]], ids=["a FIFO", "a socket"])
@pytest.mark.parametrize("read", HOSTS_READERS.values(), ids=HOSTS_READERS)
def test_whatever_else_reads_a_path_takes_regular_files(
    read: Callable[[Path], Any], make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "loadflow").mkdir()
    with pytest.raises((HitFailure, LoadflowError)):
        read(make(tmp_path / "loadflow" / "worker-token"))


def compiler() -> Any:
    return lambda value: compile_value(value, {}, {})


def token_of_the_user(path: Path) -> object:
    assert path.name == "worker-token"
    return find_token("127.0.0.1", "token")


PIPED: dict[str, Callable[[Path], Any]] = {
    "a script": lambda path: read_script(path, from_terminal=True),
    "a control plane's token": lambda path: control_token(None, path, {}),
    "a worker's token": lambda path: find_token("127.0.0.1", "--token-file", str(path)),
}


@pytest.mark.parametrize("read", PIPED.values(), ids=PIPED)
def test_what_a_person_names_on_the_command_line_may_be_a_pipe(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = fifo(tmp_path / "x")
    text = json.dumps(["0123456789abcdefghijklmnopqrstuvwxyz"])
    writer = Thread(target=lambda: path.write_text(text, encoding="utf-8"), daemon=True)
    writer.start()
    assert read(path)
    writer.join()


@pytest.mark.parametrize("read", PIPED.values(), ids=PIPED)
@pytest.mark.parametrize("kind", ["a socket", "a device", "a link to a device"])
def test_and_nothing_without_an_end(read: Callable[[Path], Any], kind: str, tmp_path: Path) -> None:
    with pytest.raises(LoadflowError):
        read(SPECIAL[kind](tmp_path / "x"))


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_a_run_folder_of_a_fifo_is_none(name: str, tmp_path: Path) -> None:
    fifo(tmp_path / name)
    with pytest.raises(LoadflowError):
        KeptRun.of(Run.open(tmp_path))


@pytest.mark.parametrize(
    "make", [SPECIAL[name] for name in SPECIAL if name != "a folder"], ids=[name for name in SPECIAL if name != "a folder"]
)
def test_a_library_is_not_given_a_special_file(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "x")
    with pytest.raises(OSError, match="not a file"):
        refuse_special(path)
    assert not stat.S_ISREG(path.stat().st_mode)


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("ä", encoding="utf-8")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with open_regular(tmp_path / "b", encoding="utf-8") as file:
        assert file.read() == "ä"
