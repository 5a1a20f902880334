"""Passages with a question and its answer, read from JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where

_SHOWN = 40


class AnswerNotInside(DataError):
    """The answer does not stand in the passage, or not where the line says."""


@dataclass(frozen=True)
class QaExample:
    """``passage[answer_start:]`` begins with ``answer``; ``line`` is "file:12".

    A prompt has neither question nor answer.
    """

    passage: str
    question: str = ""
    answer: str = ""
    answer_start: int = 0
    line: str = ""
    id: str = ""

    @property
    def text(self) -> str:
        """What is given."""
        return self.passage

    @property
    def answer_end(self) -> int:
        """Where the answer ends in the passage, exclusive."""
        return self.answer_start + len(self.answer)


def read_examples(path: str | Path) -> Iterator[QaExample | DataError]:
    """Read JSON Lines of passage, question and answer, ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it. Without ``answer_start`` the first occurrence counts.

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


def parse_example(row: dict[str, Any], line: str) -> QaExample:
    """Check one JSON object; DataError says what is wrong, beginning with ``line``."""
    passage, question, answer = (
        _text(row, key, line) for key in ("passage", "question", "answer")
    )
    start = row.get("answer_start")
    if start is None:
        start = passage.find(answer)
        if start < 0:
            raise AnswerNotInside(
                f"{line}: expected an answer that stands in the passage, "
                f"got {_shorten(answer)!r}"
            )
    elif not isinstance(start, int) or isinstance(start, bool):
        raise DataError(
            f'{line}: expected an integer for "answer_start", '
            f"got {_shorten(dumps(start))}"
        )
    found = passage[start : start + len(answer)] if start >= 0 else ""
    if found != answer:
        elsewhere = passage.find(answer)
        hint = f" (it stands at {elsewhere})" if elsewhere >= 0 else ""
        raise AnswerNotInside(
            f"{line}: expected the answer {_shorten(answer)!r} at answer_start "
            f"{start}, got {_shorten(found)!r}{hint}"
        )
    name = row.get("id", "")
    return QaExample(passage, question, answer, start, line, str(name))


def json_line(example: QaExample) -> str:
    """The canonical JSON line of an example with gold, without its line end."""
    name = {"id": example.id} if example.id else {}
    return dumps(
        {
            **name,
            "passage": example.passage,
            "question": example.question,
            "answer": example.answer,
            "answer_start": example.answer_start,
        }
    )


def _text(row: dict[str, Any], key: str, line: str) -> str:
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(
            f'{line}: expected the key "{key}", got the keys {_shorten(keys, 80)} '
            '("nlpcli data convert" reads SQuAD, CMRC and DRCD as published)'
        )
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f'{line}: expected text for "{key}", got {_shorten(dumps(value))}'
        )
    return value


def _shorten(text: str, length: int = _SHOWN) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
