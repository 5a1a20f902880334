"""A line of word problems: a question and an expression that answers it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import Facts, Form, Reader, Unfit
from nlpcli.records.lines import Lines
from nlpcli.records.objects import json_objects
from nlpcli.records.row import Row
from nlpcli.text.expression import tokens
from nlpcli.text.numerals import written_numbers
from nlpcli.text.rational import value_text

from .cleaning import clean_row
from .numbers import CONSTANTS

# Canonical key -> the published ones, best first; the last is cut into words.
_KEYS = {
    "question": ("question", "original_text", "segmented_text"),
    "equation": ("equation",),
    "answer": ("answer", "ans"),
}


@dataclass(frozen=True)
class MathExample:
    """A cleaned question, its expression and the value of that.

    What a user asks has neither: ``expression`` is None.
    """

    text: str
    expression: str | None = None
    value: Fraction | None = None
    origin: str = ""


class MathForm(Form[MathExample]):
    """``{"question", "equation", "answer"}``, or Ape210K and Math23K as published."""

    hint = ' ("nlpcli data convert" reads Ape210K and Math23K as published)'
    label_name = "operator"
    by_character = True
    then = "train refuses those; --skip-bad leaves them out"

    def parse(self, row: Row) -> MathExample:
        values = [row.string(key) for key in ("question", "equation", "answer")]
        try:
            return MathExample(*clean_row(*values), row.origin)
        except Unfit as error:
            raise Unfit(error.reason, f"{row.origin}: {error}") from error

    def row(self, example: MathExample) -> dict[str, Any]:
        return {
            "question": example.text,
            "equation": f"x={example.expression}",
            "answer": "" if example.value is None else value_text(example.value),
        }

    def facts(self, example: MathExample) -> Facts:
        """``covered``: all numbers come from the question or the constants, as the
        grammar wants them."""
        question, expression = example.text, example.expression or ""
        written, pieces = set(written_numbers(question)), tokens(expression)
        numbers = Counter(
            "question" if piece in written else _other_place(piece)
            for piece in pieces
            if piece[0].isdigit()
        )
        operators = Counter(p for p in pieces if not p[0].isdigit() and p != ")")
        return Facts(
            texts=[question + expression],
            sequences=[[question, expression]],
            key=question,
            answer=example.value,
            labels=[
                (operator, {"count": count, "expressions": 1})
                for operator, count in operators.items()
            ],
            counts={
                f"numbers_{place}": numbers[place]
                for place in ("question", "constants", "elsewhere")
            },
            shares={"covered": not numbers["elsewhere"]},
        )

    def reasons(self, found: Counter[str]) -> dict[str, Any]:
        return {"unfit": dict(found.most_common())}

    @property
    def published(self) -> Mapping[str, Reader[MathExample]]:
        return {
            "json": Reader(
                lambda lines: lines.first() is not None,
                lambda lines: ("json", self._published(lines)),
            )
        }

    def _published(self, lines: Lines) -> Iterator[MathExample | DataError]:
        empty = True
        for item in json_objects(lines):
            empty = False
            if isinstance(item, Row):
                item = Row(_canonical(item.values), item.origin, self.hint)
            yield self.tried(item)
        if empty:
            raise DataError(f"{lines.name}: expected JSON objects, got an empty file")


def _other_place(number: str) -> str:
    return "constants" if number in CONSTANTS else "elsewhere"


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under canonical keys; a number for an answer becomes text."""
    found = {
        key: values[name]
        for key, names in _KEYS.items()
        for name in reversed(names)
        if name in values
    }
    if "question" in found and not {"question", "original_text"} & values.keys():
        found["question"] = str(found["question"]).replace(" ", "")
    if isinstance(found.get("answer"), (int, float)):
        found["answer"] = str(found["answer"])
    return found
