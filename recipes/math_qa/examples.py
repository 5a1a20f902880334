"""Word problems: a question and an expression that answers it, from JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where
from nlpcli.text.rational import value_text
from recipes.math_qa.cleaning import UnfitRow, clean_row

_SHOWN = 40


@dataclass(frozen=True)
class MathExample:
    """A cleaned question with its expression and value; ``line`` is "file:12".

    A prompt has no expression and no value.
    """

    question: str
    expression: str = ""
    value: Fraction | None = None
    line: str = ""

    @property
    def text(self) -> str:
        """What the user asks."""
        return self.question


def read_examples(path: str | Path) -> Iterator[MathExample | DataError]:
    """Read JSON Lines of question, equation and answer, ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it; a row that cleaning finds unfit, as one whose equation does not give
    its answer, is an UnfitRow with the reason.

    Raises DataError for a file with nothing in it, NotFoundError for a missing one.
    """
    empty = True
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            empty = False
            yield line
            continue
        if not line.strip():
            continue
        empty = False
        place = where(path, number)
        try:
            yield parse_example(parse_object(line, place), place)
        except DataError as error:
            yield error
    if empty:
        raise DataError(f"{path}: expected JSON Lines, got an empty file")


def parse_example(row: dict[str, Any], line: str) -> MathExample:
    """Check and clean one JSON object; DataError begins with ``line``."""
    values = [text_value(row, key, line) for key in ("question", "equation", "answer")]
    try:
        return MathExample(*clean_row(*values), line)
    except UnfitRow as error:
        raise UnfitRow(error.reason, f"{line}: {error}") from error


def json_line(example: MathExample) -> str:
    """The canonical JSON line of an example with gold, without its line end."""
    answer = "" if example.value is None else value_text(example.value)
    return dumps(
        {
            "question": example.question,
            "equation": f"x={example.expression}",
            "answer": answer,
        }
    )


def text_value(row: dict[str, Any], key: str, line: str) -> str:
    """The string under a key; DataError when there is none."""
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(
            f'{line}: expected the key "{key}", got the keys {keys} ("nlpcli data '
            'convert" reads Ape210K and Math23K as published)'
        )
    value = row[key]
    if not isinstance(value, str):
        shown = dumps(value)
        shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
        raise DataError(f'{line}: expected a string for "{key}", got {shown}')
    return value
