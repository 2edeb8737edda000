"""What a response must be, and what is kept of it: the entries of `assertions` and `extract`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_path import parts_of
from loadflow.engine.base.pattern import compile_pattern
from loadflow.engine.markup.selector import parsed_selector
from loadflow.engine.markup.xpath import parsed_xpath
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, wrong
from loadflow.engine.script.part import A_LIST, A_NUMBER, BY_KIND, Choice, Int, Name, Part, Positive, Templated, Text

__all__ = [
    "ASSERTIONS",
    "Assertion",
    "Extract",
    "HeaderAssertion",
    "JsonPath",
    "JsonPathAssertion",
    "PatternAssertion",
    "TextAssertion",
    "TimeAssertion",
    "assertion_tag",
    "known_type",
]

SELECTOR_WAY = "for example form#login input[name=token]"
XPATH_WAY = "for example //form[@id='login']//input/@value"

Status = Annotated[Int, Field(ge=100, le=999)]  # RFC 9110 section 15: three digits; servers use numbers past 599


def _taken(pattern: str) -> str:
    if "${" in pattern:
        raise wrong("can't hold a placeholder", "a pattern is compiled once, before the load; for the characters write [$]{")
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise wrong(str(error), "the syntax is that of https://github.com/google/re2/wiki/Syntax") from None
    return pattern


Regex = Annotated[Name, AfterValidator(_taken)]


def _cut(path: str) -> str:
    try:
        parts_of(path)
    except ValueError as error:
        text, _, hint = str(error).partition("; ")
        raise wrong(text, hint) from None
    return path


JsonPath = Annotated[Name, AfterValidator(_cut)]


def _read(selector: str) -> str:
    if "${" in selector:
        raise wrong("can't hold a placeholder", "a selector is read once, before the load")
    try:
        parsed_selector(selector)
    except ValueError as error:
        raise wrong(str(error), SELECTOR_WAY) from None
    return selector


Selector = Annotated[Name, AfterValidator(_read)]


class StatusAssertion(Part):
    """The status is `value`, or one of them."""

    noun: ClassVar[str] = "a status_code assertion"
    type: Annotated[str, Choice("assertion", ("status_code",), any_case=True)]
    value: Templated[
        Annotated[
            Annotated[Status, A_NUMBER] | Annotated[Annotated[list[Templated[Status]], Field(min_length=1)], A_LIST],
            BY_KIND,
        ]
    ]


class TextAssertion(Part):
    """The body has `value` in it, or does not."""

    noun: ClassVar[str] = "a contains assertion"
    type: Annotated[str, Choice("assertion", ("contains", "not_contains"), any_case=True)]
    value: Text


class PatternAssertion(Part):
    """`pattern` matches somewhere in the body, or nowhere."""

    noun: ClassVar[str] = "a regex assertion"
    type: Annotated[str, Choice("assertion", ("regex", "not_regex"), any_case=True)]
    pattern: Regex


class JsonPathAssertion(Part):
    """What lies at `path` of the JSON body equals `value`, of any JSON type; or it is `truthy`: not null, false, 0, "", [] or {}."""

    noun: ClassVar[str] = "a json_path assertion"
    type: Annotated[str, Choice("assertion", ("json_path",), any_case=True)]
    path: JsonPath
    value: Any = None
    truthy: Literal[True] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if raw.get("truthy") is None and "value" not in raw:
            yield Fault(("value",), "is missing", "write what it should equal, or truthy: true")
        elif raw.get("truthy") is not None and "value" in raw:
            yield Fault(("truthy",), "can't be combined with value", "keep one of them")


class HeaderAssertion(Part):
    """The header `name`, in any case, equals `value`."""

    noun: ClassVar[str] = "a header assertion"
    type: Annotated[str, Choice("assertion", ("header",), any_case=True)]
    name: Name
    value: Text


class TimeAssertion(Part):
    """The response took at most `max_ms` milliseconds."""

    noun: ClassVar[str] = "a response_time assertion"
    type: Annotated[str, Choice("assertion", ("response_time",), any_case=True)]
    max_ms: Templated[Positive]


ASSERTIONS = ("status_code", "contains", "not_contains", "regex", "not_regex", "json_path", "header", "response_time")
_TYPE = Choice("assertion", ASSERTIONS, any_case=True)


def known_type(value: object) -> object:
    """`value`, if it says which assertion it is."""
    if not isinstance(value, dict):
        raise wrong(f"must be an object, not {kind_of(value)}", 'for example {"type": "status_code", "value": 200}')
    if "type" not in value:
        raise wrong("is missing", f"allowed: {', '.join(ASSERTIONS)}", "type")
    try:
        _TYPE.read(value["type"])
    except ValidationError as error:
        raise bundle(Fault(("type", *fault.loc), fault.message, fault.hint) for fault in faults_of(error)) from None
    return value


def assertion_tag(value: object) -> str:
    word = str(value.get("type") if isinstance(value, dict) else getattr(value, "type", "")).lower()
    return TAG + word.removeprefix("not_")


Assertion = Annotated[
    Annotated[StatusAssertion, Tag(f"{TAG}status_code")]
    | Annotated[TextAssertion, Tag(f"{TAG}contains")]
    | Annotated[PatternAssertion, Tag(f"{TAG}regex")]
    | Annotated[JsonPathAssertion, Tag(f"{TAG}json_path")]
    | Annotated[HeaderAssertion, Tag(f"{TAG}header")]
    | Annotated[TimeAssertion, Tag(f"{TAG}response_time")],
    Discriminator(assertion_tag),
    BeforeValidator(known_type),
]


# the keys that say what a source takes: the one that it needs, and those that it may have
NEEDS = {"json_path": "path", "header": "name", "cookie": "name", "regex": "pattern", "css": "selector", "xpath": "expression"}
MAY = {"regex": ("group",), "header": ("pattern", "group"), "css": ("attribute",), "xpath": ("namespaces",)}
SOURCES = ("json_path", "header", "status_code", "regex", "cookie", "body", "css", "xpath")
KEYS = ("path", "name", "pattern", "group", "selector", "attribute", "expression", "namespaces")


def _taken_keys() -> list[dict[str, object]]:
    """JSON schema's words for `NEEDS`: what each source needs, and that it takes no other's keys."""
    rules: list[dict[str, object]] = []
    for source in SOURCES:
        needed = NEEDS.get(source)
        own = {needed, *MAY.get(source, ())}
        given: dict[str, object] = {"properties": {"from": {"const": source}}, "required": [] if source == "json_path" else ["from"]}
        foreign = {key: {"type": "null"} for key in KEYS if key not in own}
        then: dict[str, object] = {"properties": foreign, "required": [needed] if needed else []}
        if "group" in own and needed != "pattern":
            then["if"] = {"properties": {"group": {"type": "integer"}}, "required": ["group"]}
            then["then"] = {"properties": {"pattern": {"type": "string"}}, "required": ["pattern"]}
        rules.append({"if": given, "then": then})
    return rules


class Extract(Part):
    """One value kept from a response: `var` is its name, `scope` where `${var.…}` or `${session.…}` finds it.

    A header is taken whole, or with `pattern` the part of it that the pattern finds. With `only` other values count as not found:
    "text", or "scalar" for a text or a number. `selector` (CSS) and `expression` (XPath 1.0) look at HTML or XML: the text of the first
    element that is found, or with `attribute` that of it; `namespaces` are those of the expression's prefixes.
    """

    model_config = ConfigDict(json_schema_extra={"allOf": _taken_keys()})  # type: ignore[dict-item]  # pydantic's type knows no lists of rules
    noun: ClassVar[str] = "an extract entry"
    var: Name
    from_: Annotated[str, Choice("source of an extract", SOURCES)] = Field("json_path", alias="from")
    path: JsonPath | None = None
    name: Name | None = None
    pattern: Regex | None = None
    group: Annotated[Int, Field(ge=0, le=1000)] | None = None
    selector: Selector | None = None
    attribute: Name | None = None
    expression: Name | None = None
    namespaces: dict[str, Name] | None = None
    scope: Annotated[str, Choice("scope", ("var", "session"))] = "var"
    only: Annotated[str, Choice("what is taken", ("text", "scalar"))] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        source = raw.get("from", "json_path")
        if source not in SOURCES:
            return
        needed = NEEDS.get(source)
        for key in KEYS:
            if key == needed and raw.get(key) is None:
                yield Fault((key,), "is missing", f"an extract from {source} needs {key!r}")
            elif key != needed and raw.get(key) is not None and key not in MAY.get(source, ()):
                takers = [taker for taker in SOURCES if key in (NEEDS.get(taker), *MAY.get(taker, ()))]
                hint = " or ".join(f'"from": "{taker}"' for taker in takers)
                yield Fault((key,), f"has no meaning for an extract from {source}", f"remove it, or write {hint}")
        if raw.get("group") is not None and source == "header" and raw.get("pattern") is None:
            yield Fault(("group",), "is of no pattern", "write pattern too, or remove group")
        yield from _no_such_group(raw)
        yield from _no_expression(raw)


def _no_expression(raw: dict[str, Any]) -> Iterable[Fault]:
    """It is read with its namespaces, so not by itself."""
    expression, namespaces = raw.get("expression"), raw.get("namespaces") or {}
    if not isinstance(expression, str) or not isinstance(namespaces, dict):
        return
    if "${" in expression:
        yield Fault(("expression",), "can't hold a placeholder", "an expression is read once, before the load")
        return
    try:
        parsed_xpath(expression, namespaces)
    except ValueError as error:
        yield Fault(("expression",), str(error), XPATH_WAY)


def _no_such_group(raw: dict[str, object]) -> Iterable[Fault]:
    group, pattern = raw.get("group"), raw.get("pattern")
    if not isinstance(group, int) or not isinstance(pattern, str):
        return
    try:
        groups = compile_pattern(pattern).groups
    except ValueError:
        return  # said at the pattern
    if group > groups:
        yield Fault(("group",), f"is {group}, but the pattern has {counted(groups, 'group')}", "0 is the whole match")
