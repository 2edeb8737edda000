"""An empty token would be everybody's, so it is an error wherever it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.fleet.keys import TOKEN_VARIABLE, find_token
from loadflow.errors import CommandError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    own = tmp_path / "loadflow" / "worker-token"
    own.parent.mkdir()
    return own


@pytest.mark.parametrize("text", ["", " \n", "\n\nsecond line"])
def test_a_token_file_that_is_empty(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    if text.strip():
        assert find_token("127.0.0.1", "--token-file", str(path)).text == "second line"
        return
    with pytest.raises(CommandError, match=r"--token-file: the token file .*token is empty; write the token into its first line"):
        find_token("127.0.0.1", "--token-file", str(path))


@pytest.mark.parametrize("text", ["", "  "])
def test_a_variable_that_is_set_to_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, text)
    with pytest.raises(CommandError, match=f"{TOKEN_VARIABLE} is empty, which protects nothing"):
        find_token("127.0.0.1", "--master")


@pytest.mark.parametrize(("text", "trouble"), [("", "is empty"), ("abc\n", "has 3 characters")])
def test_the_token_of_ones_own_that_something_emptied(text: str, trouble: str, state: Path) -> None:
    state.write_text(text)
    with pytest.raises(CommandError, match=trouble):
        find_token("127.0.0.1", "--master")


def test_the_token_of_ones_own_is_made_when_it_is_missing(state: Path) -> None:
    assert find_token("127.0.0.1", "--master").text == state.read_text()
