"""A line of data for qa-gen: a passage, a question, and its answer in the passage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nlpcli.records.form import Facts, Form, Reader, Size, Unfit
from nlpcli.records.row import Row, shorten, shown
from nlpcli.records.squad import read_squad

_NOT_INSIDE = "not_inside"
_PARTS = ("passage", "answer", "question")


@dataclass(frozen=True)
class QaExample:
    """A passage, in which ``answer`` stands at ``answer_start``.

    A prompt has neither question nor answer.
    """

    text: str
    question: str = ""
    answer: str = ""
    answer_start: int = 0
    origin: str = ""
    id: str = ""


@dataclass(frozen=True)
class QaForm(Form[QaExample]):
    """``{"id"?, "passage", "question", "answer", "answer_start"?}``.

    Without ``answer_start`` the first occurrence counts. The fields are the default
    lengths of the parts.
    """

    passage: int
    answer: int
    question: int

    hint = ' ("nlpcli data convert" reads SQuAD, CMRC and DRCD as published)'
    label_name = "part"
    by_character = True
    then = "train reads the window around the answer"
    told = ("unanswerable", "corrected")

    def parse(self, row: Row) -> QaExample:
        passage, answer, question = (_text(row, part) for part in _PARTS)
        start = _place(row, passage, answer)
        return QaExample(
            passage, question, answer, start, row.origin, str(row.get("id", ""))
        )

    def row(self, example: QaExample) -> dict[str, Any]:
        return {
            **({"id": example.id} if example.id else {}),
            "passage": example.text,
            "question": example.question,
            "answer": example.answer,
            "answer_start": example.answer_start,
        }

    def facts(self, example: QaExample) -> Facts:
        row = self.row(example)
        parts = {part: "".join(row[part].split()) for part in _PARTS}
        over = {part: len(x) > getattr(self, part) for part, x in parts.items()}
        return Facts(
            texts=["".join(parts.values())],
            sequences=[list(parts.values())],
            key=(example.text, example.question),
            answer=example.answer,
            labels=[
                (part, {"": Size(len(x)), "over_default": int(over[part])})
                for part, x in parts.items()
            ],
            distinct={"passages": example.text},
        )

    def label_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "default": getattr(self, row["part"])} for row in rows]

    def reasons(self, found: Counter[str]) -> dict[str, Any]:
        return {_NOT_INSIDE: found[_NOT_INSIDE]}

    @property
    def published(self) -> Mapping[str, Reader[QaExample]]:
        read = partial(read_squad, parse=self.parse)
        return {"squad": Reader(lambda lines: lines.first() is not None, read)}


def _text(row: Row, key: str) -> str:
    """As it stands there: ``answer_start`` counts the space before a passage."""
    value = row.value(key)
    if not isinstance(value, str) or not value.strip():
        raise row.error(f'expected text for "{key}", got {shown(value)}')
    return value


def _place(row: Row, passage: str, answer: str) -> int:
    """Where the answer stands; raises Unfit where it does not."""
    first, told = passage.find(answer), shorten(answer)
    start = first if row.get("answer_start") is None else row.integer("answer_start")
    found = passage[start : start + len(answer)] if start >= 0 else ""
    if found == answer:
        return start
    if start == first:
        message = f"expected an answer that stands in the passage, got {told!r}"
    else:
        hint = f" (it stands at {first})" if first >= 0 else ""
        message = f"expected the answer {told!r} at answer_start {start}, got "
        message += f"{shorten(found)!r}{hint}"
    raise Unfit(_NOT_INSIDE, f"{row.origin}: {message}")
