"""Rows of word-problem data to a question, a readable expression and its value."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from nlpcli.records.form import Unfit
from nlpcli.records.row import shorten
from nlpcli.text.expression import (
    ExpressionError,
    expression_text,
    parse,
    shown,
    tokens,
)
from nlpcli.text.rational import equal_values, evaluate, value_of, value_text

from .numbers import align


class Cleaned(NamedTuple):
    """A question, an expression that answers it, and the value of that expression."""

    question: str
    expression: str
    value: Fraction


def clean_row(question: str, equation: str, answer: str) -> Cleaned:
    """One row under the rules of the data set's problems; cleaning twice is once.

    Mixed numbers become sums (``3(1/2)`` is ``3+1/2``), a colon is a division,
    percents stay as they are, units and ``x=`` go, ``*100%`` goes because it only
    tells how the answer is to be written, redundant brackets go, and a number is
    written as the question writes it where the values are the same.

    Raises Unfit, with its reason, for several unknowns, for an equation that is
    not solved for x, and for an expression whose value is not the answer (to six
    decimals: kexue.fm/archives/7809).
    """
    question = clean_question(question)
    if not question:
        raise Unfit("no question", "expected a question, got an empty one")
    expression, value = _expression(equation, question)
    told = read_answer(answer)
    if not equal_values(value, told):
        raise Unfit(
            "another answer",
            f"equation {shown(expression)} gives {shorten(value_text(value))}, "
            f"but the answer is {shorten(value_text(told))}",
        )
    return Cleaned(question, expression, value)


def clean_question(text: str) -> str:
    """A question as the model reads it, gold or not.

    Digits and what stands between them are made half-width, fractions lose their
    brackets (``(3/4)`` is ``3/4``), and mixed numbers are sums: ``3(1/2)`` becomes
    ``(3+1/2)``. White space at the ends goes.
    """
    text = _POINT.sub(".", text.strip()).translate(_DIGITS)
    text = _SLASH.sub("/", text)
    text = _NESTED.sub(r"(\1/\2)", text)
    return _FRACTION.sub(r"\1/\2", _MIXED.sub(r"(\1+\2/\3)", text))


def read_answer(text: str) -> Fraction:
    """The value of a published answer: ``12厘米``, ``74%``, ``23(1/3)``, ``约5.2``.

    Raises Unfit when it is no single number.
    """
    if ";" in text or "；" in text:
        raise Unfit("several unknowns", f"expected one answer, got {shown(text)}")
    try:
        return evaluate(_plain(_LEADING.sub("", text)))
    except ExpressionError as error:
        raise Unfit("unreadable answer", f"answer {error}") from error


def _expression(equation: str, question: str) -> tuple[str, Fraction]:
    if ";" in equation or "；" in equation:
        raise Unfit("several unknowns", f"expected one equation, got {shown(equation)}")
    sides = [side.strip() for side in equation.replace("＝", "=").split("=")]
    known = [side for side in sides if side not in ("x", "X")]
    if len(known) != 1 or len(sides) > 2 or _UNKNOWN.search(known[0]):
        raise Unfit(
            "not solved for x",
            f'expected an equation like "x=3+4", got {shown(equation)}',
        )
    try:
        node = parse(_plain(known[0]))
        text = expression_text(node)
        tidied = "".join(align(_without_hundred_percent(tokens(text)), question))
        if tidied != text:
            node = parse(tidied)
            text = expression_text(node)  # (2+3)*100% leaves brackets behind
    except ExpressionError as error:
        raise Unfit("unreadable equation", f"equation {error}") from error
    try:
        return text, value_of(node)
    except ExpressionError as error:
        raise Unfit(
            "equation without a value", f"equation {shown(equation)}: {error}"
        ) from error


def _plain(text: str) -> str:
    """Without units, and with a plus in 3(1+2), which then is no mixed number."""
    return _GAP.sub("+", _UNIT.sub("", text))


def _without_hundred_percent(pieces: list[str]) -> list[str]:
    kept: list[str] = []
    for place, piece in enumerate(pieces):
        behind = pieces[place + 1 : place + 2]
        if piece == "100%" and kept[-1:] == ["*"] and behind != ["^"]:
            kept.pop()
        else:
            kept.append(piece)
    return kept


_DIGITS = str.maketrans("０１２３４５６７８９％", "0123456789%")
_POINT = re.compile(r"(?<=[０-９])．(?=[０-９])")  # elsewhere it ends a sentence
_SLASH = re.compile(r"(?<=[0-9)])／(?=[0-9(])")
_NESTED = re.compile(r"\(\(([0-9]+)\)/\(([0-9]+)\)\)")
_MIXED = re.compile(r"(?<![0-9.])([0-9]+)\(([0-9]+)/([0-9]+)\)")
_FRACTION = re.compile(r"\(([0-9]+)/([0-9]+)\)")

_UNKNOWN = re.compile(r"(?<![A-Za-z])[xyzXYZ](?![A-Za-z])")
# Each character has one way to match: two would double the time with every letter.
# Possessive: nothing is kept to go back to, which would take 120 bytes a character.
_LEADING = re.compile(r"^(?:[^\W\d_]|[\s=＝≈:：￥¥])++")
_LETTERS = r"(?:[A-Za-z]\^?[23]?|[^\W\dA-Za-z_]|[°℃㎡㎝㎏])++"
_UNITS = rf"{_LETTERS}(?:/{_LETTERS})*+"
_UNIT = re.compile(rf"(?<=[0-9)）\]%])\s*(?:[(（]{_UNITS}[)）]|{_UNITS})")
_GAP = re.compile(r"(?<=[0-9])(?=[(（])(?![(（]+[0-9]+[)）]?[/／][(（]?[0-9]+[)）]+)")
