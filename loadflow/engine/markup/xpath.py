"""XPath 1.0 (https://www.w3.org/TR/1999/REC-xpath-19991116/), read once before the load: what it asks for, as a tree of lists and texts.

Both engines evaluate the same tree: `evaluate.py` here, `native/src/markup/evaluate.rs` in the core. Left out are variables, `id()`,
`lang()`, and the nodes of comments, processing instructions and namespaces, which a document here does not have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject

__all__ = ["Program", "parsed_xpath"]

Program = JsonObject  # one entry: what it is, and of what

LONGEST = 4_000  # characters of an expression
DEEPEST = 50  # brackets, one within the other
AXES = (
    *("child", "descendant", "descendant-or-self", "self", "parent", "ancestor", "ancestor-or-self"),
    *("attribute", "following-sibling", "preceding-sibling", "following", "preceding"),
)
ArgumentCounts = dict[str, tuple[int, int]]
MANY = 100
FUNCTIONS: ArgumentCounts = {
    **dict.fromkeys(("last", "position", "true", "false"), (0, 0)),
    **dict.fromkeys(("local-name", "name", "namespace-uri", "string", "string-length", "normalize-space", "number"), (0, 1)),
    **dict.fromkeys(("count", "boolean", "not", "sum", "floor", "ceiling", "round"), (1, 1)),
    **dict.fromkeys(("starts-with", "contains", "substring-before", "substring-after"), (2, 2)),
    "concat": (2, MANY),
    "substring": (2, 3),
    "translate": (3, 3),
}
OF_SETS = ("count", "sum")  # functions whose argument is a path
OF_CONTEXT = ("local-name", "name", "namespace-uri")  # the same, where they have one
NUMERIC = frozenset({"last", "position", "count", "sum", "floor", "ceiling", "round", "number", "string-length"})
UNTAKEN = ("id", "lang")
# from the loosest; https://www.w3.org/TR/1999/REC-xpath-19991116/#section-Expressions
LEVELS = (("or",), ("and",), ("=", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "div", "mod"))
_NAME = r"[^\W\d][\w.\-·]*"
_TOKEN = re.compile(
    rf"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<mark>\.\.|::|//|!=|<=|>=|[()\[\].@,/|+\-=<>*$:])|(?P<name>{_NAME}))"""
)


def parsed_xpath(text: str, namespaces: Mapping[str, str] | None = None, *, any_namespace: bool = False) -> Program:
    """`any_namespace`: a name without a prefix means that of any namespace, as in CSS. Raises ValueError with a text for the author.

    >>> parsed_xpath("a/@b")["path"]["steps"][1]
    {'axis': 'attribute', 'test': {'name': ['', 'b']}, 'keep': []}
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters")
    reader = _Reader(_tokens(text), namespaces or {}, any_namespace=any_namespace)
    found = reader.binary(0)
    if (rest := reader.next()) is not None:
        raise ValueError(f"goes on with {rest} where it should end")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"can't be read from {text[at : at + 20].strip()!r} on")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return tokens


def is_positional(test: Program) -> bool:
    """Whether a condition depends on the place of a node among the others: it is a number, or asks for one."""
    ((kind, of),) = test.items()
    if kind == "number" or (kind == "call" and of[0] in NUMERIC):
        return True
    return kind == "negative" or (kind == "binary" and of[0] in ("+", "-", "*", "div", "mod")) or _asks_place(test)


def _asks_place(test: Program) -> bool:
    ((kind, of),) = test.items()
    if kind == "call":
        return of[0] in ("position", "last") or any(map(_asks_place, of[1]))
    if kind in ("binary", "union"):
        return any(_asks_place(one) for one in of if isinstance(one, dict))
    return kind == "negative" and _asks_place(of)  # a path in it has places of its own


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]], namespaces: Mapping[str, str], *, any_namespace: bool) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._namespaces = namespaces
        self._any = any_namespace

    def next(self, ahead: int = 0) -> str | None:
        return self._tokens[self._at + ahead][1] if self._at + ahead < len(self._tokens) else None

    def _kind(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead][0] if self._at + ahead < len(self._tokens) else ""

    def _is(self, *marks: str) -> bool:
        return self.next() in marks and self._kind() == "mark"

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise ValueError("ends too early")
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _expect(self, mark: str) -> None:
        if not self._is(mark):
            raise ValueError(f"has {self.next() or 'its end'} where {mark} should be")
        self._at += 1

    def binary(self, level: int) -> Program:
        if level == len(LEVELS):
            return self._negative()
        if level == 0:
            self._depth += 1
            if self._depth > DEEPEST:
                raise ValueError(f"has brackets deeper than {DEEPEST}")
        left = self.binary(level + 1)
        while self._kind() in ("mark", "name") and (sign := self.next()) in LEVELS[level]:
            self._at += 1
            left = {"binary": [sign, left, self.binary(level + 1)]}
        self._depth -= level == 0
        return left

    def _negative(self) -> Program:
        signs = 0
        while self._is("-"):
            self._at += 1
            signs += 1
        found = self._union()
        return {"negative": found if signs % 2 else {"negative": found}} if signs else found

    def _union(self) -> Program:
        parts = [self._path()]
        while self._is("|"):
            self._at += 1
            parts.append(self._path())
        if len(parts) > 1 and not all(map(_is_set, parts)):
            raise ValueError("joins with | what is no path")
        return parts[0] if len(parts) == 1 else {"union": parts}

    def _path(self) -> Program:
        if self._begins_filter():
            begin = self._primary()
            keep = self._conditions()
            if not keep and not self._is("/", "//"):
                return begin
            if not _is_set(begin):
                raise ValueError("asks for nodes of what is no path")
            begin = {"filter": {"of": begin, "keep": keep}} if keep else begin
            return {"path": {"from": begin, "rooted": False, "steps": self._steps()}}
        rooted = self._is("/", "//")
        if self._is("/") and not self._begins_step(1):
            self._at += 1
            return {"path": {"from": None, "rooted": True, "steps": []}}
        return {"path": {"from": None, "rooted": rooted, "steps": self._steps(first=not rooted)}}

    def _begins_filter(self) -> bool:
        if self._kind() in ("text", "number") or self._is("(", "$"):
            return True
        return self._kind() == "name" and self.next(1) == "(" and self.next() not in ("node", "text", "comment", "processing-instruction")

    def _begins_step(self, ahead: int) -> bool:
        return self._kind(ahead) == "name" or self.next(ahead) in (".", "..", "@", "*")

    def _primary(self) -> Program:
        kind, token = self._kind(), self._take()
        if kind == "text":
            return {"text": token[1:-1]}
        if kind == "number":
            return {"number": float(token)}
        if token == "(":
            found = self.binary(0)
            self._expect(")")
            return found
        if token == "$":
            raise ValueError("asks for a variable, and there are none")
        return self._call(token)

    def _call(self, name: str) -> Program:
        if name not in FUNCTIONS:
            told = "is not taken" if name in UNTAKEN else "is no function of XPath 1.0"
            raise ValueError(f"{name}() {told}; there are {', '.join(sorted(FUNCTIONS))}")
        self._expect("(")
        arguments: list[Program] = []
        while not self._is(")"):
            if arguments:
                self._expect(",")
            arguments.append(self.binary(0))
        self._expect(")")
        least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise ValueError(f"gives {name}() {counted(len(arguments), 'argument')}")
        if name in (*OF_SETS, *OF_CONTEXT) and arguments and not _is_set(arguments[0]):
            raise ValueError(f"gives {name}() what is no path")
        return {"call": [name, arguments]}

    def _steps(self, *, first: bool = False) -> list[Program]:
        steps: list[Program] = [self._step()] if first else []
        while self._is("/", "//"):
            if self._take() == "//":
                steps.append({"axis": "descendant-or-self", "test": "node", "keep": []})
            steps.append(self._step())
        return steps

    def _step(self) -> Program:
        if self._is(".", ".."):
            axis = "self" if self._take() == "." else "parent"
            return {"axis": axis, "test": "node", "keep": []}
        axis = "child"
        if self._is("@"):
            self._at += 1
            axis = "attribute"
        elif self._kind() == "name" and self.next(1) == "::":
            axis = self._take()
            self._at += 1
            if axis not in AXES:
                raise ValueError(f"{axis} is no axis that is taken; there are {', '.join(AXES)}")
        return {"axis": axis, "test": self._test(axis), "keep": self._conditions()}

    def _test(self, axis: str) -> str | Program:
        if self._is("*"):
            self._at += 1
            return "element"
        if self._kind() != "name":
            raise ValueError(f"has {self.next() or 'its end'} where a name should be")
        name = self._take()
        if self._is("("):
            self._at += 1
            self._expect(")")
            if name not in ("node", "text"):
                raise ValueError(f"{name}() is not taken; there are node() and text()")
            return name
        if not self._is(":"):
            return {"local": name} if self._any and axis != "attribute" else {"name": ["", name]}
        self._at += 1
        if name not in self._namespaces:
            raise ValueError(f"has the prefix {name}, of which namespaces says nothing")
        if self._is("*"):
            self._at += 1
            return {"of": self._namespaces[name]}
        if self._kind() != "name":
            raise ValueError(f"has {self.next() or 'its end'} behind {name}:")
        return {"name": [self._namespaces[name], self._take()]}

    def _conditions(self) -> list[Program]:
        conditions = []
        while self._is("["):
            self._at += 1
            test = self.binary(0)
            self._expect("]")
            conditions.append({"test": test, "placed": is_positional(test)})
        return conditions


def _is_set(one: Program) -> bool:
    return next(iter(one)) in ("path", "filter", "union")
