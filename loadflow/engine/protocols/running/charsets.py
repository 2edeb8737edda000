"""The charsets that an answer may name, and how its bytes become text in a time that grows with their number alone.

An answer names its charset, so a target chooses which decoder runs here. Python has some that are no charsets (`punycode`, `idna`,
`unicode_escape`, `rot13`), two of which take quadratic time. Only the charsets of this list are used. A name that is not on it, and text
that is wrong for its charset in very many places, are read as UTF-8, with U+FFFD for invalid bytes.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Callable
from encodings.aliases import aliases

__all__ = ["CHARSETS", "MOST_WRONG", "charset_of", "json_text", "text_in"]

# Each wrong place costs a microsecond, as Python asks a handler about it; this number costs 10 ms.
MOST_WRONG = 10_000

_NAMES = """
utf_8 utf_8_sig utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le utf_7 ascii latin_1
iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14
iso8859_15 iso8859_16 tis_620 koi8_r koi8_u koi8_t kz1048 ptcp154 hp_roman8
cp037 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869
cp874 cp875 cp932 cp949 cp950 cp1006 cp1026 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish
big5 big5hkscs gb2312 gbk gb18030 hz euc_jp euc_jis_2004 euc_jisx0213 euc_kr johab shift_jis shift_jis_2004 shift_jisx0213
iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr
"""
CHARSETS = frozenset(_NAMES.split())
NAMED = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE | re.ASCII)
LONGEST_NAME = 40
# as it stands at the very beginning of XML; the core looks as far
DECLARED = re.compile(rb"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.:-]*)["']""", re.ASCII)
MOST_DECLARATION = 256


Handler = Callable[[UnicodeError], tuple[str | bytes, int]]


class _Wrong(threading.local):
    """How many places were wrong so far in the text that this thread reads."""

    count = 0

    def replaced(self, error: UnicodeError) -> tuple[str | bytes, int]:
        return self._counted(error, codecs.replace_errors)

    def kept(self, error: UnicodeError) -> tuple[str | bytes, int]:
        return self._counted(error, _surrogatepass)

    def _counted(self, error: UnicodeError, handle: Handler) -> tuple[str | bytes, int]:
        self.count += 1
        if self.count > MOST_WRONG:
            raise LookupError("this is not text in its charset")
        return handle(error)


_surrogatepass: Handler = codecs.lookup_error("surrogatepass")
_wrong = _Wrong()
codecs.register_error("loadflow.replaced", _wrong.replaced)
codecs.register_error("loadflow.kept", _wrong.kept)


def charset_of(content_type: str, body: bytes | bytearray = b"") -> str:
    """The charset of CHARSETS in which a text of this Content-Type is read; where that names none, what XML says of itself counts.

    >>> charset_of("text/html; charset=Windows-1252"), charset_of("text/plain; charset=punycode"), charset_of("")
    ('cp1252', 'utf_8', 'utf_8')
    >>> charset_of("text/xml", b"<?xml version='1.0' encoding='ISO-8859-1'?>")
    'latin_1'
    """
    named = NAMED.search(content_type)
    return _known(named[1]) if named is not None else _declared(content_type, body)


def _known(name: str) -> str:
    if len(name) > LONGEST_NAME:
        return "utf_8"
    # looked up here: Python's own search imports what a name says, and remembers each one that there is not
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    known = aliases.get(plain, plain)
    return known if known in CHARSETS else "utf_8"


def _declared(content_type: str, body: bytes | bytearray) -> str:
    """By the declaration of XML, or its byte order mark (RFC 7303, 3.3); a declaration that contradicts its own bytes says nothing."""
    if content_type.partition(";")[0].strip(" \t").lower() == "text/html":
        return "utf_8"
    if body.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return "utf_16"
    declaration = DECLARED.match(body[:MOST_DECLARATION])
    if declaration is None:
        return "utf_8"
    charset = _known(declaration[1].decode())
    return charset if text_in(charset, declaration[0]) == declaration[0].decode("latin-1") else "utf_8"


def text_in(charset: str, body: bytes | bytearray) -> str:
    """`charset` is one of CHARSETS."""
    if charset != "utf_8":
        _wrong.count = 0
        try:
            return body.decode(charset, "loadflow.replaced")
        except (LookupError, ValueError):
            pass
    return body.decode("utf-8", "replace")


def json_text(body: bytes | bytearray) -> str:
    """In the coding of Unicode that JSON's first bytes show, as `json.loads` reads it. Raises UnicodeDecodeError."""
    import json

    _wrong.count = 0
    try:
        return body.decode(json.detect_encoding(body), "loadflow.kept")
    except LookupError as error:
        raise UnicodeDecodeError("utf-8", b"", 0, 0, str(error)) from None
