from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.script.placeholders import Token, has_placeholder, pieces, scan, whole

READ = [
    ("a bare name is a variable", "${user}", "var", ("user",)),
    ("the inside is trimmed", "${  var.user\t}", "var", ("user",)),
    ("a variable's name may hold dots after var", "${var.a.b}", "var", ("a.b",)),
    ("a prefix is read in any case, a name is not", "${VAR.User}", "var", ("User",)),
    ("a session value", "${session.token}", "session", ("token",)),
    ("an environment variable", "${Env.HOME}", "env", ("HOME",)),
    ("a csv source ends at the first dot", "${csv.users.first.name}", "csv", ("users", "first.name")),
    ("a faker method", "${faker.name}", "faker", ("name",)),
    ("a function in any case", "${UUID()}", "call", ("uuid",)),
    ("a function with spaces around", "${ now ( ) }", "call", ("now",)),
    ("arguments are trimmed", "${RandInt( -1 , 5 )}", "call", ("randint", "-1", "5")),
    ("a range of one number is a range", "${randint(3,3)}", "call", ("randint", "3", "3")),
    ("a function's name without parentheses is a variable", "${uuid}", "var", ("uuid",)),
]

REFUSED = [
    ("nothing inside", "${ }", "a placeholder with nothing in it", "write a name, as in ${var.name}"),
    ("never closed", "a${b", "'${' is never closed", "end the placeholder with '}'"),
    ("nested", "${a${b}", "a placeholder can't hold another one, or is not closed before the next", "close it with '}'"),
    ("an unknown prefix", "${vars.a}", "'vars' is not a placeholder prefix", "did you mean 'var'?"),
    ("a far prefix", "${q.a}", "'q' is not a placeholder prefix", "known: var, secret, session, env, csv, faker"),
    ("no name", "${env.}", "nothing follows 'env.'", "write ${env.name}"),
    ("no column", "${csv.users}", "a csv placeholder needs a source and a column", "write ${csv.source.column}"),
    ("an unknown function", "${uid()}", "'uid' is not a placeholder function", "did you mean 'uuid'?"),
    ("too few numbers", "${randint(1)}", "randint() takes two whole numbers, not 1 argument(s)", "write ${randint(1,6)}"),
    ("too many arguments", "${now(1)}", "now() takes nothing, not 1 argument(s)", "write ${now()}"),
    ("no number", "${randint(1,x)}", "randint() takes whole numbers, not 'x'", "write ${randint(1,6)}"),
    ("an empty range", "${randint(5,1)}", "randint(5,1) has no number in it", "the smaller bound comes first"),
    ("parentheses out of place", "${a)b(}", "'a)b(' is not a function call", "functions: uuid(), now(), randint(a,b)"),
]


@pytest.mark.parametrize(("text", "kind", "parts"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_reads(text: str, kind: str, parts: tuple[str, ...]) -> None:
    token = whole(text)
    assert token is not None
    assert (token.kind, token.parts, token.text, token.problem) == (kind, parts, text, "")


@pytest.mark.parametrize(("text", "problem", "hint"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refuses(text: str, problem: str, hint: str) -> None:
    (token,) = scan(text)
    assert (token.kind, token.parts, token.problem, token.hint) == ("bad", (), problem, hint)


def test_a_text_with_more_than_one_placeholder_is_not_a_whole_one() -> None:
    assert whole("${a}${b}") is None
    assert whole("${a} ") is None
    assert whole(5) is None
    assert whole("${a") is None


def test_a_dollar_before_a_placeholder_stays_a_dollar() -> None:
    assert pieces("$${a}!") == ["$", Token("var", ("a",), "${a}", 1, 5), "!"]


@given(st.text(alphabet="${}()., abvcs1rndit", max_size=60))
def test_the_pieces_of_any_text_are_the_text_again(text: str) -> None:
    assert "".join(piece if isinstance(piece, str) else piece.text for piece in pieces(text)) == text
    assert has_placeholder(text) is bool(scan(text))
    assert all(text[token.start : token.end] == token.text for token in scan(text))
