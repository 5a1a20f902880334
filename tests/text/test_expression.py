"""Expressions against Python's own arithmetic on Fractions, over random trees."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.expression import (
    MAX_LENGTH,
    ExpressionError,
    Negative,
    Node,
    Number,
    Operation,
    expression_text,
    numbers_in,
    parse,
    tokens,
)
from nlpcli.text.rational import (
    TOLERANCE,
    equal_values,
    evaluate,
    value_of,
    value_text,
)

NUMBERS = st.one_of(
    st.integers(0, 999).map(str),
    st.decimals(0, 99, places=2).map(str),
    st.integers(0, 200).map("{}%".format),
).map(Number)


def _grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    power = st.builds(
        Operation, st.just("^"), inner, st.sampled_from([Number("0"), Number("2")])
    )
    plain = st.builds(Operation, st.sampled_from("+-*/"), inner, inner)
    return st.one_of(plain, plain, plain, inner.map(Negative), power)


TREES = st.recursive(NUMBERS, _grow, max_leaves=12)


def by_python(node: Node) -> Fraction:
    """The value by the rules of Python, from a text with every bracket there is."""
    return eval(_bracketed(node), {"F": Fraction})


def _bracketed(node: Node) -> str:
    if isinstance(node, Number):
        hundredth = "/100" if node.text.endswith("%") else ""
        return f"(F('{node.text.rstrip('%')}'){hundredth})"
    if isinstance(node, Negative):
        return f"(-{_bracketed(node.operand)})"
    if node.operator == "^":
        assert isinstance(node.right, Number)
        return f"({_bracketed(node.left)}**{node.right.text})"
    return f"({_bracketed(node.left)}{node.operator}{_bracketed(node.right)})"


def fully_bracketed(node: Node) -> str:
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Negative):
        return f"(-{fully_bracketed(node.operand)})"
    return f"({fully_bracketed(node.left)}{node.operator}{fully_bracketed(node.right)})"


@given(TREES)
def test_values_are_those_of_python(tree: Node) -> None:
    try:
        expected = by_python(tree)
    except ZeroDivisionError:
        for text in (expression_text(tree), fully_bracketed(tree)):
            with pytest.raises(ExpressionError, match="division by zero"):
                evaluate(text)
        return
    assert value_of(tree) == expected
    assert evaluate(expression_text(tree)) == expected
    assert evaluate(fully_bracketed(tree)) == expected


@given(TREES)
def test_written_once_is_written_for_good(tree: Node) -> None:
    text = expression_text(tree)
    assert expression_text(parse(text)) == text
    assert "".join(tokens(text)) == text
    assert list(numbers_in(parse(text))) == list(numbers_in(tree))


@given(
    st.recursive(
        st.just(Number("7")),
        lambda inner: st.builds(Operation, st.sampled_from("+-*/"), inner, inner),
        max_leaves=8,
    )
)
def test_no_pair_of_brackets_is_redundant(tree: Node) -> None:
    # Numbers that satisfy no equation by chance, so a changed tree changes the value.
    primes = iter((1009, 20011, 307, 4001, 50021, 60013, 701, 8009))
    text = re.sub("7", lambda _: str(next(primes)), expression_text(tree))
    value = evaluate(text)
    for start, end in _pairs(text):
        without = text[:start] + text[start + 1 : end] + text[end + 1 :]
        assert evaluate(without) != value, without


def _pairs(text: str) -> list[tuple[int, int]]:
    opened, pairs = [], []
    for place, character in enumerate(text):
        if character == "(":
            opened.append(place)
        elif character == ")":
            pairs.append((opened.pop(), place))
    return pairs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3(1/2)", "7/2"),
        ("1((1)/(2))*2", "3"),
        ("12*(7/8)+2", "25/2"),
        ("1/5(1/2)", "2/11"),
        ("-3(1/2)", "-7/2"),
        ("(1-25%)*80%", "3/5"),
        ("(1+2)%", "3/100"),
        ("50%%", "1/200"),
        ("4:(5:2)", "8/5"),
        ("2**3", "8"),
        ("2^3^2", "512"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^-1", "1/2"),
        ("(1/2)^(0-3)", "8"),
        ("0^0", "1"),
        ("2*-3", "-6"),
        ("+5", "5"),
        ("--5", "5"),
        (".5+1", "3/2"),
        ("{2*[3-(4-5)]}", "8"),
        ("（１２．５＋０）×４÷２", "25"),
        ("π*2^2+Pi", "15.7"),
        (" 1 + 2 ", "3"),
    ],
)
def test_what_people_write(text: str, value: str) -> None:
    assert evaluate(text) == Fraction(value)
    assert evaluate(expression_text(parse(text))) == Fraction(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'expected a number or "(", got the end'),
        ("3+", 'expected a number or "(", got the end'),
        ("3+*4", 'got "*" at 3'),
        ("(3", 'expected ")", got the end'),
        ("[3)", 'expected "]", got ")" at 3'),
        ("3)", 'expected an operator, got ")" at 2'),
        ("3(2+1)", 'expected an operator, got "(" at 2'),
        ("2.5(1/2)", "expected an operator"),
        ("3 4", 'expected an operator, got "4" at 3'),
        ("1.2.3", "expected an operator"),
        ("12厘米", 'got "厘" at 3'),
        ("²", "expected a number"),
        ("__import__('os')", "expected a number"),
        ("1/0", "division by zero"),
        ("1/(2-2)", "division by zero"),
        ("0^(0-1)", "division by zero"),
        ("9^(1/2)", "whole number as power, got 0.5"),
        ("9\n+", r"\n"),
        ("(" * 60 + "1" + ")" * 60, "deeper than 50"),
        ("-" * 60 + "1", "deeper than 50"),
        ("^".join("1" * 60), "deeper than 50"),
        ("1+" * 1000 + "1", f"expected {MAX_LENGTH} characters at most"),
        ("9" * 900, "overflow"),
    ],
)
def test_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(message)) as caught:
        evaluate(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "2**99999999",
        "(1/2)^99999999",
        "(0-1)^99999999",
        "2^-99999999",
        "9^9^9^9^9",
        "*".join(["(99999999^99)"] * 50),
        "+".join(f"1/{n}" for n in range(101, 260)),
    ],
)
def test_no_text_costs_much(text: str) -> None:
    start = time.perf_counter()
    try:
        evaluate(text)
    except ExpressionError as error:
        assert "overflow" in str(error)
    assert time.perf_counter() - start < 0.5


def test_the_longest_sum_is_no_deep_recursion() -> None:
    text = "+".join("1" * (MAX_LENGTH // 2))
    assert evaluate(text) == MAX_LENGTH // 2
    assert expression_text(parse(text)) == text


@given(st.text("0123456789.+-*/^()[]{}%:π（）×x \n", max_size=40))
def test_any_text_has_a_value_or_an_error(text: str) -> None:
    try:
        node = parse(text)
    except ExpressionError:
        return
    written = expression_text(node)
    assert expression_text(parse(written)) == written
    try:
        value = value_of(node)
    except ExpressionError:
        return
    float(value)
    assert evaluate(written) == value


@given(st.fractions())
def test_value_text_reads_back(value: Fraction) -> None:
    assert Fraction(value_text(value)) == value


def test_value_text_is_plain() -> None:
    shown = {"12": "12", "-1/8": "-0.125", "2/3": "2/3", "0": "0", "1/1000": "0.001"}
    for value, text in shown.items():
        assert value_text(Fraction(value)) == text


def test_equal_to_six_decimals() -> None:
    third = Fraction(1, 3)
    assert equal_values(third, Fraction("0.333333"))
    assert not equal_values(third, Fraction("0.3333"))
    assert equal_values(third, third + TOLERANCE)
    assert not equal_values(third, third + TOLERANCE * 2)
