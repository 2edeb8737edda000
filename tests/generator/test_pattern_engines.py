"""Patterns mean the same to RE2, which Locust's load asks, and to the native core; what would not is refused by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.base.pattern import compile_pattern
from loadflow.engine.generator.native.fit import is_built
from tests.examples import examples
from tests.services import need

# pattern, text, group, what it holds (None: nothing matches, or the group took no part)
FOUND: list[tuple[str, str, int, str | None]] = [
    (r"id=(\d+)", "id=17", 1, "17"),
    (r"\d+", "٣ 3", 0, "3"),  # digits, letters and spaces are those of ASCII
    (r"\w+", "é_a1é", 0, "_a1"),
    (r"\W+", "é_a1", 0, "é"),
    (r"\s", "\v", 0, None),
    (r"[[:space:]]", "\v", 0, "\v"),
    (r"[\s\d]+", "a 1\v", 0, " 1"),
    (r"[^\D]+", "a17", 0, "17"),
    (r"\ba\b", "éaé", 0, "a"),  # a letter beyond ASCII ends a word
    (r"(a)\B", "ab", 1, "a"),
    (r"\Bb", "éb", 0, None),
    (r"é\B", "aé", 0, "é"),
    (r".", "日本", 0, "日"),  # whole characters
    (r"[^a]", "aé", 0, "é"),
    (r"^.{2}$", "日本", 0, "日本"),
    (r"[à-ü]+", "aéb", 0, "é"),
    (r"\x{65e5}", "日", 0, "日"),
    (r"\xe9", "é", 0, "é"),
    (r"\101\0", "A\0", 0, "A\0"),
    ("\N{REPLACEMENT CHARACTER}", "a\N{REPLACEMENT CHARACTER}", 0, "\N{REPLACEMENT CHARACTER}"),
    (r"(?i)STRASSE|É", "é", 0, "é"),  # case is that of Unicode
    (r"(?i)k", "\N{KELVIN SIGN}", 0, "\N{KELVIN SIGN}"),
    (r"(?i)\w", "\N{KELVIN SIGN}", 0, "\N{KELVIN SIGN}"),
    (r"(?i)[^k]", "\N{KELVIN SIGN}", 0, None),
    (r"(?i)a(?-i:b)", "Ab", 0, "Ab"),
    (r"(?i)a(?-i:b)", "AB", 0, None),
    (r"a.b", "a\nb", 0, None),
    (r"(?s)a.b", "a\nb", 0, "a\nb"),
    (r"^b$", "a\nb\nc", 0, None),
    (r"(?m)^b$", "a\nb\nc", 0, "b"),
    (r"a$", "a\n", 0, None),  # only the very end
    (r"\Aa\z", "a", 0, "a"),
    (r"(?U)a+", "aaa", 0, "a"),
    (r"(?U)a+?", "aaa", 0, "aaa"),
    (r"(?P<id>a)(?<other>b)", "ab", 2, "b"),
    (r"a|ab", "ab", 0, "a"),  # the first alternative, not the longest
    (r"(a)|b", "b", 1, None),
    (r"(a|b)*", "abab", 1, "b"),
    (r"(a*)*", "b", 1, ""),
    (r"(|a)*", "aaa", 1, ""),
    (r"(a){0}b", "ab", 1, None),
    (r"(a){2,3}?", "aaa", 0, "aa"),
    (r"a{,2}", "a{,2}", 0, "a{,2}"),  # no repetition: braces
    (r"a{02}", "a{02}", 0, "a{02}"),
    (r'{"id":(\d)}', '{"id":7}', 1, "7"),
    (r"\<a\>", "<a>", 0, "<a>"),  # no boundary of a word
    (r"\b{start}", "a{start}", 0, "{start}"),
    (r"[a[b]c]", "[c]", 0, "[c]"),  # no class in a class, no operators
    (r"[x&&y]+", "x&y", 0, "x&y"),
    (r"[a-c--.]+", "-.b&", 0, "-.b"),
    (r"[a~~b]+", "~a", 0, "~a"),
    (r"[[:]", ":", 0, ":"),
    (r"[[:^alpha:][:digit:]]+", "a1-", 0, "1-"),
    (r"[]a]+", "]a", 0, "]a"),
    (r"[^]a]", "]b", 0, "b"),
    (r"[a\-z]+", "-b", 0, "-"),
    (r"[\\\]]+", "\\]", 0, "\\]"),
    (r"\Qa.b[\E+", "a.b[[", 0, "a.b[["),
    (r"\Qa.b", "a.b", 0, "a.b"),
    (r"^*a", "ba", 0, "a"),
    (r"a||b", "b", 0, ""),
    (r"()", "", 1, ""),
    ("# no comment", "# no comment", 0, "# no comment"),
    ("^(a+)+$", "a" * 50_000 + "!", 0, None),
]
REFUSED: list[tuple[str, str]] = [
    (r"\p{Greek}", r"\p"),
    (r"[\P{L}]", r"\p"),
    (r"\C", r"\C"),
    (r"\x{d800}", r"\x{d800}, which is not a character"),
    (r"(?)a", "(?)"),
    (".{1000}" * 50, "its size"),
    ("(" * 300 + "a" + ")" * 300, "nested"),
]


@pytest.fixture(scope="module")
def core() -> Any:
    need(is_built(), "the native core is not built")
    from loadflow import _native

    return _native


@pytest.mark.parametrize(("pattern", "text", "group", "found"), FOUND, ids=[repr(row[:2])[:60] for row in FOUND])
def test_both_find(core: Any, pattern: str, text: str, group: int, found: str | None) -> None:
    assert compile_pattern(pattern).find(text, group) == found
    assert core.not_taken_of(pattern) is None
    assert core.find(pattern, text, group) == found


@pytest.mark.parametrize(("pattern", "what"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_only_re2_takes_is_refused_by_its_name(core: Any, pattern: str, what: str) -> None:
    compile_pattern(pattern)
    assert what in core.not_taken_of(pattern)
    with pytest.raises(ValueError, match=re.escape(what)):
        core.find(pattern, "", 0)


def test_case_is_one_for_both(core: Any) -> None:
    """For each character of which Python knows another case, and each of its other cases."""
    pairs = list(_cases())
    assert len(pairs) > 3_000
    for one, other in pairs:
        pattern = f"(?i)\\x{{{ord(one):x}}}"
        assert compile_pattern(pattern).find(other) == core.find(pattern, other, 0), (one, other)


def _cases() -> Iterator[tuple[str, str]]:
    for number in range(0x110000):
        one = chr(number)
        for other in {one.lower(), one.upper(), one.title(), one.casefold(), one.upper().lower()} - {one}:
            yield one, other


LETTERS = st.sampled_from("aAbK1_- .é\nsſ\N{KELVIN SIGN}<>{}[]&~,:^$")
NAMED = r"\d \w \W \D \S a-c A-Z é-ü [:alpha:] [:^digit:] [:upper:] [:space:] && -- \] \- \n \x{212a} [: [.a.]"
IN_CLASS = [*"ab-é&~^[K._:", *re.split(" ", NAMED)]
ATOMS = re.split(
    " ", r"\d \w \s \D \W \S . \b \B ^ $ \A \z \n \x41 \141 \. \< \> \& \_ \Qa.\E (?i) (?s) (?m) (?U) (?-i) \{ { } {,2} {2} {01} ] &&"
)
CLASSES = st.builds(
    lambda not_, inner: f"[{not_}{''.join(inner)}]", st.sampled_from(["", "^"]), st.lists(st.sampled_from(IN_CLASS), min_size=1)
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    openings = st.sampled_from(["(", "(?:", "(?P<n>", "(?i:", "(?s:", "(?m:", "(?U:", "(?-i:"])
    repeats = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{0}", "{1,3}?"])
    return st.one_of(
        st.builds("".join, st.lists(inner, max_size=3)),
        st.builds("{}|{}".format, inner, inner),
        st.builds("{}{})".format, openings, inner),
        st.builds("{}{}".format, inner, repeats),
    )


@settings(max_examples=examples(150), deadline=None)
@given(st.recursive(LETTERS | st.sampled_from(ATOMS) | CLASSES, _larger, max_leaves=8), st.lists(st.text(LETTERS, max_size=9), max_size=5))
def test_whatever_re2_takes_means_the_same_to_the_core_or_is_refused(core: Any, pattern: str, texts: list[str]) -> None:
    try:
        compiled = compile_pattern(pattern)
    except ValueError:
        return
    if core.not_taken_of(pattern) is not None:
        return
    for text in [*texts, pattern]:
        for group in range(compiled.groups + 1):
            assert compiled.find(text, group) == core.find(pattern, text, group)
