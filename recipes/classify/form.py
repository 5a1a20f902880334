"""A line to classify: a text or a pair of texts, and the labels it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.pairs import PAIRS, TEXTS, joined, texts_of
from nlpcli.records.row import Row, shown
from nlpcli.records.table import is_table, read_table

# CLUE's descriptions say more than its numbers
_LABELS = ("label_desc", "label_des", "label")


@dataclass(frozen=True)
class ClassifyExample:
    """One text or two, and the labels in order; ``several``: they came as a list."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    several: bool = False
    origin: str = ""

    @property
    def text(self) -> str:
        """The text, or both with a tab between."""
        return joined(self.texts)


class ClassifyForm(Form[ClassifyExample]):
    """``{"text"}`` or ``{"text_a", "text_b"}`` with ``{"label"}`` or ``{"labels"}``.

    TNEWS, IFLYTEK, AFQMC and their kin are read under their own names.
    """

    wanted = "JSON Lines or columns between tabs"
    then = "train cuts their ends"

    def parse(self, row: Row) -> ClassifyExample:
        texts = texts_of(row)
        if not all(texts):
            raise row.error("expected text, got none")
        if several := "labels" in row:
            labels = sorted({_label(row, value) for value in row.items("labels")})
        else:
            name = next((name for name in _LABELS if name in row), "label")
            labels = [_label(row, row.value(name))]
        return ClassifyExample(texts, tuple(labels), several, row.origin)

    def row(self, example: ClassifyExample) -> dict[str, Any]:
        names = PAIRS[0] if len(example.texts) == 2 else TEXTS[:1]
        texts: dict[str, Any] = dict(zip(names, example.texts, strict=True))
        if example.several:
            return {**texts, "labels": list(example.labels)}
        return {**texts, "label": example.labels[0]}

    def facts(self, example: ClassifyExample) -> Facts:
        return Facts(
            texts=example.texts,
            sequences=[example.texts],
            key=example.texts,
            answer=example.labels,
            labels=[(label, {"count": 1}) for label in example.labels],
            counts={"pairs": len(example.texts) - 1, "several": int(example.several)},
        )

    @property
    def published(self) -> Mapping[str, Reader[ClassifyExample]]:
        return {"columns": Reader(is_table, self._columns, direct=True)}

    def _columns(
        self, lines: Lines
    ) -> tuple[str, Iterator[ClassifyExample | DataError]]:
        names = {*TEXTS, *_LABELS, *(name for pair in PAIRS for name in pair)}
        return "columns", map(self.tried, read_table(lines, names))


def _label(row: Row, value: Any) -> str:
    """A name; numbers are names too."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise row.error(f"expected a label as text or number, got {shown(value)}")
    if not (label := str(value).strip()):
        raise row.error("expected a label, got none")
    return label
