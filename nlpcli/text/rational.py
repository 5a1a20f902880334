"""Values of arithmetic expressions, exact and without eval."""

from __future__ import annotations

from fractions import Fraction

from nlpcli.text.expression import (
    ExpressionError,
    Negative,
    Node,
    Operation,
    parse,
    shown,
)

# Of the numerator and the denominator of any value on the way: a float can hold it.
MAX_BITS = 1000
TOLERANCE = Fraction(1, 10**6)
_PLACES = 12  # decimals of a value as text; more of them, and it is a fraction


def evaluate(text: str) -> Fraction:
    """The exact value of an expression.

    Raises ExpressionError for a text that is none, for division by zero, a power that
    is not a whole number, and values of more than ``MAX_BITS`` bits: the work is
    bounded whatever the text, and ``2**99999999`` is refused at once.
    """
    node = parse(text)
    try:
        return value_of(node)
    except ExpressionError as error:
        raise ExpressionError(f"{shown(text)}: {error}") from None


def value_of(node: Node) -> Fraction:
    """The exact value of a tree; raises ExpressionError as ``evaluate`` does."""
    spine: list[Operation] = []
    while isinstance(node, Operation):  # a long sum is deep on its left: no recursion
        spine.append(node)
        node = node.left
    if isinstance(node, Negative):
        value = -value_of(node.operand)
    else:
        value = number_value(node.text)
    for operation in reversed(spine):
        value = _apply(operation.operator, value, value_of(operation.right))
    return value


def number_value(text: str) -> Fraction:
    """The value of one number as expressions hold it: "12", "0.5" or "20%"."""
    if text.isdigit():
        return _bounded(Fraction(int(text)))
    digits = text.removesuffix("%")
    return _bounded(Fraction(digits) / (1 if digits == text else 100))


def equal_values(first: Fraction, second: Fraction) -> bool:
    """Whether two values agree to six decimals: ``|first - second| <= 1e-6``.

    Published answers are rounded, so the accuracy of word problems is counted so (as
    in kexue.fm/archives/7809).
    """
    return abs(first - second) <= TOLERANCE


def value_text(value: Fraction) -> str:
    """A value as people write it: "12", "0.125", or "2/3" where decimals do not end."""
    places = next(
        (n for n in range(_PLACES + 1) if 10**n % value.denominator == 0), None
    )
    if places is None:
        return str(value)
    scaled = abs(value.numerator) * 10**places // value.denominator
    digits = str(scaled).zfill(places + 1)
    sign = "-" if value < 0 else ""
    point = len(digits) - places
    return sign + digits[:point] + ("." + digits[point:] if places else "")


def _apply(operator: str, left: Fraction, right: Fraction) -> Fraction:
    if operator == "+":
        return _bounded(left + right)
    if operator == "-":
        return _bounded(left - right)
    if operator == "*":
        return _bounded(left * right)
    if operator == "^":
        return _power(left, right)
    if not right:
        raise ExpressionError("division by zero")
    return _bounded(left / right)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise ExpressionError(
            f"expected a whole number as power, got {value_text(exponent)}"
        )
    if exponent < 0 and not base:
        raise ExpressionError("division by zero")
    if _bits(base) * abs(exponent) > MAX_BITS:
        raise _overflow()
    return base ** int(exponent)


def _bounded(value: Fraction) -> Fraction:
    if _bits(value) > MAX_BITS:
        raise _overflow()
    return value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _overflow() -> ExpressionError:
    return ExpressionError(f"overflow: a value of more than {MAX_BITS} bits")
