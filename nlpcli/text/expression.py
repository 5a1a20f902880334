"""Arithmetic expressions as people write them: read to a tree, written without frills.

Their values are the matter of ``nlpcli.text.rational``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps

MAX_LENGTH = 1000  # characters of an expression
MAX_DEPTH = 50  # brackets, signs and powers inside one another
_SHOWN = 40


class ExpressionError(DataError):
    """A text is no arithmetic expression, or one without a value."""


@dataclass(frozen=True)
class Number:
    """A number as it stands in the text: "12", "0.5" or "20%"."""

    text: str


@dataclass(frozen=True)
class Negative:
    """A minus sign before its operand."""

    operand: Node


@dataclass(frozen=True)
class Operation:
    """Two operands and one of ``+ - * / ^`` between them."""

    operator: str
    left: Node
    right: Node


Node: TypeAlias = Number | Negative | Operation


def parse(text: str) -> Node:
    """The tree of an expression.

    It may hold ``+ - * / ^`` and what people write for them (``× ÷ ** :``, full-width
    forms), three kinds of brackets, percents, pi (which school books take as 3.14) and
    mixed numbers: ``3(1/2)`` and ``3((1)/(2))`` are three and a half. ``^`` binds to
    the right and before a sign: ``-2^2`` is -4.

    Raises ExpressionError that names the place.
    """
    return _Parser(text).whole()


def tokens(text: str) -> list[str]:
    """The numbers (percent sign included), operators and brackets of a text, in order.

    Every way of writing an operator comes out as the plain one: ``**`` as ``^``.
    """
    return [token.text for token in _tokens(text)]


def numbers_in(node: Node) -> Iterator[str]:
    """The texts of the numbers of a tree, from left to right."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, Number):
            yield node.text
        elif isinstance(node, Negative):
            stack.append(node.operand)
        else:
            stack += (node.right, node.left)


def expression_text(node: Node) -> str:
    """The tree as text with the fewest brackets that keep its value.

    Sums in sums and products in products lose theirs (``a+(b-c)`` is ``a+b-c`` and
    ``a*(b/c)`` is ``a*b/c``); a sign that is not in front has its own: ``3*(-2)``.
    What this wrote it writes again: ``expression_text(parse(text)) == text``.
    """
    return _written(node).text


def shown(text: str) -> str:
    """A text as error messages quote it: on one line, cut when long."""
    return dumps(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


_SUM, _SIGNED, _PRODUCT, _POWER, _ATOM = range(5)


class _Written(NamedTuple):
    """A text and how tightly its loosest operator binds."""

    text: str
    level: int

    def at(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


def _written(node: Node) -> _Written:
    spine: list[Operation] = []
    while isinstance(node, Operation):  # a long sum is deep on its left: no recursion
        spine.append(node)
        node = node.left
    if isinstance(node, Negative):
        left = _Written("-" + _written(node.operand).at(_PRODUCT), _SIGNED)
    else:
        left = _Written(node.text, _ATOM)
    for operation in reversed(spine):
        left = _joined(left, operation.operator, _written(operation.right))
    return left


def _joined(left: _Written, operator: str, right: _Written) -> _Written:
    if operator == "^":
        return _Written(f"{left.at(_ATOM)}^{right.at(_ATOM)}", _POWER)
    if operator in "+-":
        loose = operator == "+" and not right.text.startswith("-")
        text = right.at(_SUM if loose else _PRODUCT)
        return _Written(f"{left.text}{operator}{text}", _SUM)
    text = right.at(_PRODUCT if operator == "*" else _POWER)
    # (-a)*b is -(a*b), so a sign in front needs no brackets.
    level = _SIGNED if left.level == _SIGNED else _PRODUCT
    return _Written(f"{left.at(_SIGNED)}{operator}{text}", level)


_PLAIN = str.maketrans(
    "０１２３４５６７８９．％＋－−–＊×✕／÷：∶:＾（）［］｛｝【】",
    "0123456789.%+---***/////^()[]{}[]",
)
_TOKEN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+|π|[Pp][Ii])%?|\*\*|\S")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = str.maketrans("[]{}", "()()")


class _Token(NamedTuple):
    text: str
    start: int
    raw: str


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"expected {MAX_LENGTH} characters at most, got {len(text)}"
        )
    return [
        _Token(_plain(match[0]), match.start(), match[0])
        for match in _TOKEN.finditer(text.translate(_PLAIN))
    ]


def _plain(token: str) -> str:
    if token == "**":
        return "^"
    if token[0] in "πPp":
        return token.replace(token.removesuffix("%"), "3.14")
    if token[0] == ".":
        return f"0{token}" if len(token) > 1 else token
    return token.translate(_BRACKETS)


class _Parser:
    """Recursive descent over the tokens; ``depth`` counts the frames of one another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0

    def whole(self) -> Node:
        node = self.sum(0)
        if self.place < len(self.tokens):
            raise self.unexpected("an operator")
        return node

    def sum(self, depth: int) -> Node:
        node = self.product(depth)
        while operator := self.take("+-"):
            node = Operation(operator, node, self.product(depth))
        return node

    def product(self, depth: int) -> Node:
        node = self.signed(depth)
        while operator := self.take("*/"):
            node = Operation(operator, node, self.signed(depth))
        return node

    def signed(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(
                f"{shown(self.text)}: brackets, signs and powers nest deeper than "
                f"{MAX_DEPTH}"
            )
        if self.take("-"):
            return Negative(self.signed(depth + 1))
        if self.take("+"):
            return self.signed(depth + 1)
        base = self.percent(depth)
        if self.take("^"):
            return Operation("^", base, self.signed(depth + 1))
        return base

    def percent(self, depth: int) -> Node:
        node = self.atom(depth)
        while self.take("%"):
            node = Operation("/", node, Number("100"))
        return node

    def atom(self, depth: int) -> Node:
        token = self.peek()
        if token is None or token.text[0] not in "0123456789(":
            raise self.unexpected('a number or "("')
        self.place += 1
        if token.text == "(":
            return self.group(token, depth)
        number = Number(token.text)
        bracket = self.peek()
        if token.text.isdigit() and bracket is not None and bracket.text == "(":
            place = self.place
            self.place += 1
            fraction = self.group(bracket, depth)
            if not _is_fraction(fraction):
                self.place = place
                raise self.unexpected("an operator")
            return Operation("+", number, fraction)
        return number

    def group(self, opening: _Token, depth: int) -> Node:
        node = self.sum(depth + 1)
        closing = self.peek()
        if closing is None or closing.raw != _CLOSING[opening.raw]:
            raise self.unexpected(f'"{_CLOSING[opening.raw]}"')
        self.place += 1
        return node

    def peek(self) -> _Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self, texts: str) -> str | None:
        token = self.peek()
        if token is None or token.text not in texts:
            return None
        self.place += 1
        return token.text

    def unexpected(self, expected: str) -> ExpressionError:
        token = self.peek()
        got = "the end" if token is None else f"{dumps(token.raw)} at {token.start + 1}"
        return ExpressionError(f"{shown(self.text)}: expected {expected}, got {got}")


def _is_fraction(node: Node) -> bool:
    return (
        isinstance(node, Operation)
        and node.operator == "/"
        and all(
            isinstance(part, Number) and part.text.isdigit()
            for part in (node.left, node.right)
        )
    )
