"""Where in a text a value stands under a secret's name, by the ways in which texts name values: JSON, forms, headers, markup, pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

__all__ = ["NAME_KEYS", "SECRET_NAMES", "VALUE_KEYS", "SecretPlaces"]

SECRET_NAMES = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "cookies",
    "set-cookie",
    "password",
    "passwd",
    "pwd",
    "token",
    "secret",
    "api-key",
    "apikey",
    "access-key",
    "private-key",
    "credential",
)
# an object that holds a name and its value as two entries calls the two so, in whatever case
NAME_KEYS = frozenset({"name", "key", "field", "header", "param", "parameter", "variable", "attribute"})
VALUE_KEYS = frozenset({"value", "val", "values", "content", "default"})

# NAME stands for the alternatives of secret names; groups that begin with "v" hold what is to be masked. Every repetition is
# possessive or bounded: a target may send texts that are made to keep a backtracking search busy.
_MARK = r"""\\?["']"""
_SECRET_TEXT = rf"""(?P<n> {_MARK} ) (?= [^"'\\\r\n]{{0,100}}? (?:NAME) ) [^"'\\\r\n]{{1,200}}+ (?P=n)"""
_NAME_KEY = rf"""(?P<k> {_MARK} ) (?:{"|".join(sorted(NAME_KEYS))}) (?P=k) \s*+:\s*+"""
_VALUE_KEY = rf"""(?P<w> {_MARK} ) (?:{"|".join(sorted(VALUE_KEYS))}) (?P=w) \s*+:\s*+"""
_VALUE = rf"""(?: (?P<q> {_MARK} ) (?P<v1> (?: (?! (?P=q) ) (?: \\. | . ) )*+ )
      | (?P<v2> \[ [^\]]*+ \]? | \{{ [^}}]*+ \}}? | [^\s,}}\]"'\[{{]++ ) )"""
_SHORT_VALUE = (
    rf"""(?: (?P<q> {_MARK} ) (?P<v1> (?: (?! (?P=q) ) (?: \\. | . ) ){{0,1000}}+ ) (?P=q) | (?P<v2> [^\s,}}\]"'\[{{]{{1,1000}}+ ) )"""
)
_TAG_NAME = r"""\b (?:name|id|key|type) \s*+=\s*+ (?P<m> ["']? ) (?= [^"'<>\s]{0,100}? (?:NAME) ) [^"'<>\s]{1,200}+ (?P=m)"""
PATTERNS = (
    # "password": "x" and 'password': 'x', also inside of a JSON text
    rf"""{_SECRET_TEXT} \s*+:\s*+ (?! (?:null|true|false)\b )
      {_VALUE}""",
    # password=x&
    r"""(?<![\w.\[\]%-]) (?= [\w.\[\]%-]{0,100}? (?:NAME) ) [\w.\[\]%-]{1,200}+ = (?P<v> [^&;\s"']++ )""",
    # a header field such as Authorization
    r"""^ (?= [\w-]{0,100}? (?:NAME) ) [\w-]{1,200}+ : [ \t]*+ (?P<v> [^\r\n]++ )""",
    # "name": "password", "value": "x", and the other way round
    rf"""{_NAME_KEY} {_SECRET_TEXT} [^{{}}]{{0,300}}? {_VALUE_KEY} (?! null\b )
      {_VALUE}""",
    rf"""{_VALUE_KEY} (?! null\b ) {_SHORT_VALUE}
      [^{{}}]{{0,300}}? {_NAME_KEY} {_SECRET_TEXT}""",
    # <input name="password" value="x">, and the other way round
    rf"""{_TAG_NAME} [^<>]{{0,300}}? \b (?:value|content) \s*+=\s*+ (?: "(?P<v1> [^"]*+ ) | '(?P<v2> [^']*+ ) | (?P<v3> [^\s"'<>]++ ) )""",
    rf"""\b (?:value|content) \s*+=\s*+ (?: "(?P<v1> [^"]{{0,1000}}+ )" | '(?P<v2> [^']{{0,1000}}+ )' | (?P<v3> [^\s"'<>]{{1,1000}}+ ) )
      [^<>]{{0,300}}? {_TAG_NAME}""",
    # <password>x</password>
    r"""< (?: [\w-]{1,50}: )? (?= [\w.-]{0,100}? (?:NAME) ) [\w.-]{1,100}+ (?: \s [^<>]{0,300}+ )? > (?P<v> [^<]{1,10000}+ ) </""",
    # a part of a multipart form
    r"""form-data; [^\r\n]{0,200}? \b name="? [^"\r\n]{0,100}? (?:NAME) [^\r\n]{0,200}+ (?: \r?\n [^\r\n]{1,1000}+ ){0,20}+ \r?\n\r?\n
      (?P<v> .*? ) (?= \r?\n-- | \Z )""",
    # a pair such as ("password", "x"), or one of a list
    rf"""[\[(] \s*+ b? (?P<n> {_MARK} ) (?= [\w.\[\]:-]{{0,100}}? (?:NAME) ) [\w.\[\]:-]{{1,200}}+ (?P=n) \s*+,\s*+
      (?: b? (?P<q> {_MARK} ) (?P<v1> (?: (?! (?P=q) ) (?: \\. | . ) )*+ ) (?P=q) | (?P<v2> [\w.+-]{{1,1000}}+ ) ) \s*+ [\])]""",
)
# Authorization's two usual schemes, wherever they stand, and a URL's user and password, of which the last "@" is the end
ANYWHERE = (
    re.compile(r"\b(?:Bearer|Basic)\s+(?P<v>[A-Za-z0-9._~+/=-]{4,})", re.IGNORECASE),
    re.compile(r"\b[a-z][a-z0-9+.-]{0,20}+://[^\s/?#:@\"']*+:(?P<v>[^\s/?#\"']+)@", re.IGNORECASE),
)


class SecretPlaces:
    """`names` match as parts of a name; `api-key` also matches api_key, apikey and "api key"."""

    def __init__(self, names: Iterable[str]) -> None:
        alternatives = "|".join(sorted({_loose(name) for name in names}, key=len, reverse=True))
        self._alternatives = alternatives
        self._name = re.compile(rf"(?:{alternatives})", re.IGNORECASE)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        """To compile them costs 20 ms, which each process would need to begin; most see no text with such a name."""
        flags = re.IGNORECASE | re.MULTILINE | re.VERBOSE | re.DOTALL
        return [re.compile(pattern.replace("NAME", self._alternatives), flags) for pattern in PATTERNS]

    def is_secret(self, name: str) -> bool:
        return self._name.search(name) is not None

    def in_text(self, text: str) -> Iterator[tuple[int, int]]:
        """From where to where the values stand, in no order; an empty one is empty."""
        for pattern in (*ANYWHERE, *self._patterns) if self._name.search(text) else ANYWHERE:
            for match in pattern.finditer(text):
                yield next(match.span(group) for group in pattern.groupindex if group[0] == "v" and match[group] is not None)


def _loose(name: str) -> str:
    return "[-_ ]?".join(re.escape(part) for part in re.split(r"[-_ ]", name.strip()) if part)
