"""A line of data for title: a text and its headline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import Facts, Form, Mark, Reader, Size
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row

from .formats import PUBLISHED, TEXTS, TITLES, UNRELATED, Rows


@dataclass(frozen=True)
class TitleExample:
    """A text and its title; a prompt has none."""

    text: str
    title: str = ""
    origin: str = ""


class TitleForm(Form[TitleExample]):
    """``{"text", "title"}``, also under the names of CSL, LCSTS and their kin."""

    wanted = "JSON Lines, columns between tabs or LCSTS documents"
    formats = "LCSTS documents (<doc id=0>), columns between tabs or JSON Lines"
    label_name = "part"
    by_character = True
    then = "train cuts the ends of their texts"
    told = (UNRELATED,)

    def parse(self, row: Row) -> TitleExample:
        text, title = (row.text(name_in(row, names)) for names in (TEXTS, TITLES))
        return TitleExample(text, title, row.origin)

    def row(self, example: TitleExample) -> dict[str, Any]:
        return {"text": example.text, "title": example.title}

    def facts(self, example: TitleExample) -> Facts:
        parts = self.row(example)
        return Facts(
            texts=list(parts.values()),
            sequences=[list(parts.values())],
            key=example.text,
            answer=example.title,
            labels=[(part, {"": Size(len(text))}) for part, text in parts.items()],
        )

    @property
    def published(self) -> Mapping[str, Reader[TitleExample]]:
        return {
            name: Reader(recognises, partial(self._read, name, rows_of), direct=True)
            for name, (recognises, rows_of) in PUBLISHED.items()
        }

    def _read(
        self, name: str, rows_of: Callable[[Lines], Rows], lines: Lines
    ) -> tuple[str, Iterator[TitleExample | DataError | Mark]]:
        return name, (
            item if isinstance(item, Mark) else self.tried(item)
            for item in rows_of(lines)
        )


def name_in(row: Row, names: Sequence[str]) -> str:
    """The first of these keys that a row has; where it has none, the first."""
    return next((name for name in names if name in row), names[0])
