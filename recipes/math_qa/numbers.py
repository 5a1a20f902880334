"""The numbers that an expression may hold: its question's, and a few constants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from nlpcli.text.numerals import written_numbers
from nlpcli.text.rational import number_value

# By how often an expression holds one that its question does not, in Ape210K's
# validation set; the sizes of days, months, hours, circles and units among them.
# With them every number is at hand for 92.1% of its expressions and for all of
# Math23K's; without them for 62.2% and 93.6%.
CONSTANTS = (
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "24", "30", "60"),
    *("100", "180", "360", "1000", "10000", "100000", "3.14"),
)


def allowed_numbers(question: str) -> list[str]:
    """What an expression may hold, each once, the question's own numbers first."""
    return list(dict.fromkeys([*written_numbers(question), *CONSTANTS]))


def align(pieces: Sequence[str], question: str) -> list[str]:
    """The tokens of an expression, its numbers as the question writes them.

    A number that neither the question nor the constants hold takes the text of the
    question's first one of the same value: 0.25 becomes 25% where the question says
    so. A whole number never becomes a percent. Raises ExpressionError for a number
    of too many digits.
    """
    written = written_numbers(question)
    known = {*written, *CONSTANTS}
    first: dict[Fraction, str] = {}
    for text in written:
        first.setdefault(number_value(text), text)

    def aligned(piece: str) -> str:
        if not first or not piece[0].isdigit() or piece in known:
            return piece
        text = first.get(number_value(piece), piece)
        return piece if piece.isdigit() and text.endswith("%") else text

    return [aligned(piece) for piece in pieces]
