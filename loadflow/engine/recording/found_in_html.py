"""Values in HTML: hidden fields, meta tags, ids in links; each with a pattern that takes the value of the next page from the same place.

A pattern is written from what stands around the value in the recording: the tag with its name, or the link up to the value. It is
tried on the recorded page before it is used, so that the first match is the value itself and no other one.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from loadflow.engine.recording.dynamic import is_strong
from loadflow.engine.recording.found_value import Found, tried

__all__ = ["found_in_html"]

MOST_PLACES = 4  # of one value in one page, because each pattern is tried on the whole page
_TAG = re.compile(r"<(input|meta|button)\b([^<>]{0,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s{0,4}=\s{0,4}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
# by the group of _ATTRIBUTE that holds a value, which says its quotes: a pattern for any value, and what is around one
_VALUE = {2: '"([^"]+)', 3: "'([^']+)", 4: r"""([^\s"'>]+)"""}
_AROUND = {2: ('"', '"'), 3: ("'", "'"), 4: ("", r"[\s/>]")}
_LINK = re.compile(r"""<(a|form|iframe)\b[^<>]{0,2000}?\s(href|action|src)=(["'])([^"'<>]{1,2000})\3""", re.IGNORECASE)
_PART = re.compile(r"[^/?&=;#]+")


def found_in_html(text: str, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """Fields first, because their names say what they are. A value that is all over a page is shown at its first places only."""
    shown: Counter[str] = Counter()

    def is_new(value: str) -> bool:
        shown[value] += 1
        return shown[value] <= MOST_PLACES

    for tag in _TAG.finditer(text):
        named = _field(tag)
        if named is not None and named[1] in wanted and is_new(named[1]):
            name, value, pattern = named
            yield value, Found(position, "html", name, _extract(pattern, text, value))
    for link in _LINK.finditer(text):
        url = link[4]
        for part in _PART.finditer(url):
            if part[0] in wanted and is_strong(part[0]) and is_new(part[0]):
                yield part[0], _link(link, part, text, position)


def _field(tag: re.Match[str]) -> tuple[str, str, str] | None:
    """The name, the value and a pattern for it, "" where there is none to write; None for a tag without a value."""
    spans: dict[str, tuple[re.Match[str], int]] = {}
    for match in _ATTRIBUTE.finditer(tag[2]):
        group = next(index for index in (2, 3, 4) if match[index] is not None)
        spans.setdefault(match[1].lower(), (match, group))
    held = "content" if tag[1].lower() == "meta" else "value"
    if held not in spans or not (value := html.unescape(spans[held][0][spans[held][1]])):
        return None
    key = next((key for key in ("name", "property", "id") if key in spans), "")
    if not key:
        return "", value, ""
    (naming, name_group), (holding, value_group) = spans[key], spans[held]
    if value != holding[value_group] or is_strong(naming[name_group]):
        return html.unescape(naming[name_group]), value, ""  # it would be taken as it is escaped, or under a name that changes
    taken = rf"\b{held}\s*=\s*{_VALUE[value_group]}"
    start, end = _AROUND[name_group]
    said = rf"\b{key}\s*=\s*{start}{re.escape(naming[name_group])}{end}"
    first, then = (said, taken) if naming.start() < holding.start() else (taken, said)
    pattern = f"(?i)<{tag[1].lower()}\\b[^<>]*?{first}[^<>]*?{then}"
    return html.unescape(naming[name_group]), value, pattern


def _link(link: re.Match[str], part: re.Match[str], text: str, position: int) -> Found:
    """A value behind `name=` is recognised by the name, another by what the link says before it, as long as that stays the same."""
    url = link[4]
    before = url[: part.start()]
    name = re.split(r"[?&;]", before[:-1])[-1] if before.endswith("=") else ""
    changes = any(map(is_strong, _PART.findall(before)))
    if not re.search(r"[A-Za-z]", before) or (changes and not name):
        return Found(position, "link", name)
    if changes:  # the parameter alone decides
        pattern = f"[?&;]{re.escape(name)}=([^\"'/?&=;#<>]+)"
        return Found(position, "link", name, _extract(pattern, text, part[0]))
    pattern = f"{link[2]}={link[3]}{re.escape(before)}([^{link[3]}/?&=;#<>]+){re.escape(url[part.end() : part.end() + 1])}"
    return Found(position, "link", name, _extract(pattern, text, part[0]))


def _extract(pattern: str, text: str, value: str) -> Mapping[str, str] | None:
    return tried({"from": "regex", "pattern": pattern}, text, value)
