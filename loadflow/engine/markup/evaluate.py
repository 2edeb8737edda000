"""What an expression of XPath gives of a document: the same as `native/src/markup/evaluate.rs`, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from loadflow.engine.markup.document import Document, Element, Text
from loadflow.engine.markup.xpath import Program

__all__ = ["MOST_VISITS", "Place", "TooMuch", "Value", "evaluated", "number_in", "number_text", "text_of_node"]

MOST_VISITS = 10_000_000  # nodes looked at, and 64 characters count as one
BLANKS = " \t\r\n"

Place = tuple[int, int]  # of a node: its number, and 0, or of its attributes the first is 1
Nodes = list[Place]  # each once, in the order of the document
Value = Nodes | str | float | bool


class TooMuch(Exception):
    """The expression looks at more than `MOST_VISITS` nodes."""


def evaluated(program: Program, document: Document, check: Callable[[], None] = lambda: None, at: Place = (0, 0)) -> Value:
    """`check` is called now and then, and may raise. Raises TooMuch."""
    return _Evaluation(document, check).value(program, at, 1, 1)


class _Evaluation:
    def __init__(self, document: Document, check: Callable[[], None]) -> None:
        self._document = document
        self._left = MOST_VISITS
        self._check = check
        self._until_check = 0

    def _spend(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise TooMuch
        self._until_check -= count
        if self._until_check < 0:
            self._until_check = 10_000
            self._check()

    def value(self, program: Program, at: Place, place: int, size: int) -> Value:
        ((kind, of),) = program.items()
        match kind:
            case "text":
                return str(of)
            case "number":
                return float(of)
            case "path":
                begin = self._nodes(of["from"], at, place, size) if of["from"] is not None else [(0, 0) if of["rooted"] else at]
                for step in of["steps"]:
                    begin = self._step(step, begin)
                return begin
            case "filter":
                nodes = self._nodes(of["of"], at, place, size)
                for condition in of["keep"]:
                    nodes = self._kept(condition, nodes)
                return nodes
            case "union":
                return sorted({node for one in of for node in self._nodes(one, at, place, size)})
            case "negative":
                return -self._number(self.value(of, at, place, size))
            case "call":
                return self._call(of[0], of[1], at, place, size)
            case _:
                return self._binary(of[0], of[1], of[2], at, place, size)

    def _nodes(self, program: Program, at: Place, place: int, size: int) -> Nodes:
        found = self.value(program, at, place, size)
        assert isinstance(found, list)
        return found

    def _step(self, step: Program, begin: Nodes) -> Nodes:
        axis, test, keep = step["axis"], step["test"], step["keep"]
        if not any(condition["placed"] for condition in keep):
            found = [node for node in self._along_all(axis, begin) if self._is(test, node, axis)]
            for condition in keep:
                found = [node for node in found if _truth(self.value(condition["test"], node, 1, 1))]
            return found
        result: set[Place] = set()
        for one in begin:
            nodes = [node for node in self._along(axis, one) if self._is(test, node, axis)]
            for condition in keep:
                nodes = self._kept(condition, nodes)
            result.update(nodes)
        return sorted(result)

    def _kept(self, condition: Program, nodes: Sequence[Place]) -> Nodes:
        if not condition["placed"]:
            return [node for node in nodes if _truth(self.value(condition["test"], node, 1, 1))]
        kept = []
        for place, node in enumerate(nodes, start=1):
            found = self.value(condition["test"], node, place, len(nodes))
            if found == place if isinstance(found, float) else _truth(found):
                kept.append(node)
        return kept

    def _along_all(self, axis: str, begin: Nodes) -> Nodes:
        """From all of them, each once, in the order of the document."""
        if axis in ("descendant", "descendant-or-self"):
            return list(self._below(begin, with_self=axis == "descendant-or-self"))
        found: Iterable[Place] = (node for one in begin for node in self._along(axis, one))
        return list(found) if axis in ("self", "attribute") else sorted(set(found))

    def _below(self, begin: Nodes, *, with_self: bool) -> Iterator[Place]:
        done = 0  # up to here all is given
        nodes = self._document.nodes
        for number, attribute in begin:
            if attribute:
                if with_self:
                    self._spend()
                    yield number, attribute
                continue
            first = number if with_self else number + 1
            for node in range(max(first, done), nodes[number].end):
                self._spend()
                yield node, 0
            done = max(done, nodes[number].end)

    def _along(self, axis: str, one: Place) -> Iterator[Place]:
        """In the order of the axis: away from where it begins."""
        for node in self._ways[axis](self, one):
            self._spend()
            yield node

    def _children(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        nodes = self._document.nodes
        at, end = number + 1, number if attribute else nodes[number].end
        while at < end:
            yield at, 0
            at = nodes[at].end

    def _descendants(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        return ((at, 0) for at in range(number + 1, number if attribute else self._document.nodes[number].end))

    def _self_or_descendants(self, one: Place) -> Iterator[Place]:
        yield one
        yield from self._descendants(one)

    def _parent(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        if attribute:
            yield number, 0
        elif number:
            yield self._document.nodes[number].parent, 0

    def _ancestors(self, one: Place) -> Iterator[Place]:
        above = list(self._parent(one))
        while above:
            yield above[0]
            above = list(self._parent(above[0]))

    def _self_or_ancestors(self, one: Place) -> Iterator[Place]:
        yield one
        yield from self._ancestors(one)

    def _attributes(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        node = self._document.nodes[number]
        if not attribute and isinstance(node, Element):
            yield from ((number, at) for at in range(1, len(node.attributes) + 1))

    def _siblings(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        nodes = self._document.nodes
        if attribute or not number:
            return
        at, end = nodes[number].end, nodes[nodes[number].parent].end
        while at < end:
            yield at, 0
            at = nodes[at].end

    def _siblings_before(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        if attribute or not number:
            return
        before = []
        for at, _ in self._children((self._document.nodes[number].parent, 0)):
            self._spend()
            if at == number:
                break
            before.append((at, 0))
        yield from reversed(before)

    def _following(self, one: Place) -> Iterator[Place]:
        number, attribute = one
        nodes = self._document.nodes
        return ((at, 0) for at in range(number + 1 if attribute else nodes[number].end, len(nodes)))

    def _preceding(self, one: Place) -> Iterator[Place]:
        above = {number for number, _ in self._ancestors((one[0], 0))}
        return ((at, 0) for at in range(one[0] - 1, 0, -1) if at not in above)

    _ways: ClassVar[dict[str, Any]] = {
        "child": _children,
        "descendant": _descendants,
        "descendant-or-self": _self_or_descendants,
        "self": lambda self, one: iter([one]),
        "parent": _parent,
        "ancestor": _ancestors,
        "ancestor-or-self": _self_or_ancestors,
        "attribute": _attributes,
        "following-sibling": _siblings,
        "preceding-sibling": _siblings_before,
        "following": _following,
        "preceding": _preceding,
    }

    def _is(self, test: Any, one: Place, axis: str) -> bool:
        number, attribute = one
        node = self._document.nodes[number]
        if test == "node":
            return True
        if test == "text":
            return isinstance(node, Text)
        if bool(attribute) != (axis == "attribute") or not isinstance(node, Element) or not number:
            return False  # a name is one of the kind of nodes that the axis leads along first
        if test == "element":
            return True
        namespace, name = node.attributes[attribute - 1][:2] if attribute else (node.namespace, node.name)
        ((kind, wanted),) = test.items()
        if kind == "local":
            return bool(name == wanted)
        return bool(namespace == wanted if kind == "of" else [namespace, name] == wanted)

    def _text(self, value: Value) -> str:
        if isinstance(value, list):
            return self._node_text(value[0]) if value else ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else number_text(value)

    def _node_text(self, one: Place) -> str:
        number, attribute = one
        if not attribute:
            self._spend(self._document.nodes[number].end - number)
        text = text_of_node(self._document, one)
        self._spend(len(text) // 64)
        return text

    def _number(self, value: Value) -> float:
        if isinstance(value, bool):
            return float(value)
        return value if isinstance(value, float) else number_in(self._text(value))

    def _binary(self, sign: str, left: Program, right: Program, at: Place, place: int, size: int) -> Value:
        one = self.value(left, at, place, size)
        if sign in ("or", "and"):
            if _truth(one) is (sign == "or"):
                return sign == "or"
            return _truth(self.value(right, at, place, size))
        other = self.value(right, at, place, size)
        if sign in ("=", "!=", "<", "<=", ">", ">="):
            return self._compared(sign, one, other)
        return _counted(sign, self._number(one), self._number(other))

    def _compared(self, sign: str, one: Value, other: Value) -> bool:
        """Of sets of nodes: whether there are such in them of which it holds."""
        if isinstance(one, bool) or isinstance(other, bool):
            if sign in ("=", "!="):
                return (_truth(one) == _truth(other)) is (sign == "=")
            return _ordered(
                sign,
                self._number(_truth(one) if isinstance(one, list) else one),
                self._number(_truth(other) if isinstance(other, list) else other),
            )
        ones = [self._node_text(node) for node in one] if isinstance(one, list) else [one]
        others = [self._node_text(node) for node in other] if isinstance(other, list) else [other]
        for first in ones:
            for second in others:
                self._spend()
                if sign in ("=", "!="):
                    both_texts = isinstance(first, str) and isinstance(second, str)
                    is_same = first == second if both_texts else self._number(first) == self._number(second)
                    holds = is_same is (sign == "=")
                else:
                    holds = _ordered(sign, self._number(first), self._number(second))
                if holds:
                    return True
        return False

    def _call(self, name: str, arguments: Sequence[Program], at: Place, place: int, size: int) -> Value:
        if name == "last":
            return float(size)
        if name == "position":
            return float(place)
        given: list[Value] = [self.value(one, at, place, size) for one in arguments]
        if name in ("count", "sum", "boolean", "not", "true", "false"):
            return self._of_value(name, given)
        if name in ("local-name", "name", "namespace-uri"):
            nodes = given[0] if given else [at]
            assert isinstance(nodes, list)
            return self._named(name, nodes[0]) if nodes else ""
        if name in ("number", "floor", "ceiling", "round"):
            return _rounded(name, self._number(given[0] if given else [at]))
        texts = [self._text(one) for one in (given or [[at]])]
        self._spend(sum(map(len, texts)) // 64)
        if name == "substring":
            return _part(texts[0], *(self._number(one) for one in given[1:]))
        return _of_texts(name, texts)

    def _of_value(self, name: str, given: Sequence[Value]) -> Value:
        if name in ("true", "false"):
            return name == "true"
        one = given[0]
        if name in ("count", "sum"):
            assert isinstance(one, list)
            return float(len(one)) if name == "count" else _sum(number_in(self._node_text(node)) for node in one)
        return _truth(one) is (name == "boolean")

    def _named(self, name: str, one: Place) -> str:
        number, attribute = one
        node = self._document.nodes[number]
        if not isinstance(node, Element) or not number:
            return ""
        namespace, local, whole = node.attributes[attribute - 1][:3] if attribute else (node.namespace, node.name, node.whole)
        return {"name": whole, "local-name": local}.get(name, namespace)


def text_of_node(document: Document, one: Place) -> str:
    """Of an attribute its value, of all others their text, with that of all nodes below."""
    number, attribute = one
    node = document.nodes[number]
    if attribute:
        assert isinstance(node, Element)
        return node.attributes[attribute - 1][3]
    return "".join(part.text for part in document.nodes[number : node.end] if isinstance(part, Text))


def _truth(value: Value) -> bool:
    return value != 0 and not math.isnan(value) if isinstance(value, float) else bool(value)


def _ordered(sign: str, one: float, other: float) -> bool:
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign]


def _sum(numbers: Iterable[float]) -> float:
    total = 0.0
    for number in numbers:
        total += number
    return total


def _counted(sign: str, one: float, other: float) -> float:
    if sign in ("+", "-", "*"):
        return one + other if sign == "+" else one - other if sign == "-" else one * other
    if sign == "mod":
        return math.nan if other == 0 or math.isinf(one) or math.isnan(one) else math.fmod(one, other)
    if other != 0 or math.isnan(other):
        return one / other
    if one == 0 or math.isnan(one):
        return math.nan
    return math.copysign(math.inf, one) * math.copysign(1.0, other)


def _rounded(name: str, number: float) -> float:
    if name == "number" or math.isnan(number) or math.isinf(number) or number == 0:
        return number
    if name == "round":  # of two that are as near, the greater
        return math.copysign(float(math.floor(number + 0.5)), number) if abs(number) < 2**52 else number
    return math.copysign(float(math.floor(number) if name == "floor" else math.ceil(number)), number)


def _part(text: str, first: float, count: float = math.inf) -> str:
    begin = _rounded("round", first)
    end = begin + _rounded("round", count)
    return "".join(letter for place, letter in enumerate(text, start=1) if begin <= place < end)


def _of_texts(name: str, texts: Sequence[str]) -> Value:
    one = texts[0]
    match name:
        case "string":
            return one
        case "string-length":
            return float(len(one))
        case "normalize-space":
            return " ".join(part for part in one.translate(_BLANK).split(" ") if part)
        case "concat":
            return "".join(texts)
        case "starts-with":
            return one.startswith(texts[1])
        case "contains":
            return texts[1] in one
        case "substring-before":
            return one.partition(texts[1])[0] if texts[1] and texts[1] in one else ""
        case "substring-after":
            return one.partition(texts[1])[2] if texts[1] else one
        case _:
            return one.translate(_translation(texts[1], texts[2]))


_BLANK = dict.fromkeys(map(ord, "\t\r\n"), " ")


def _translation(source: str, to: str) -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for place, letter in enumerate(source):
        table.setdefault(ord(letter), to[place] if place < len(to) else None)
    return table


def number_in(text: str) -> float:
    """As XPath reads a number: digits with a point, a minus sign, blanks around; all else is not a number.

    >>> number_in(" -1.50 "), number_in("1e3")
    (-1.5, nan)
    """
    bare = text.strip(BLANKS)
    digits = bare.removeprefix("-")
    whole, _, rest = digits.partition(".")
    if not digits.isascii() or not (whole + rest).isdigit():
        return math.nan
    return float(bare)


def number_text(number: float) -> str:
    """
    >>> number_text(3.0), number_text(-0.5), number_text(1e21)
    ('3', '-0.5', '1000000000000000000000')
    """
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    if number == int(number):
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    return format(Decimal(repr(number)), "f")
