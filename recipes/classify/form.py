"""A line to classify: a text or a pair of texts, and the labels it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlpcli.records.annotation import annotation_readers
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.pairs import NAMES, joined, named, texts_of
from nlpcli.records.row import Row, shown
from nlpcli.records.table import columns

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
        elif name := next((name for name in _LABELS if name in row), None):
            labels = [_label(row, row.value(name))]
        else:
            raise row.missing("label", "labels")
        return ClassifyExample(texts, tuple(labels), several, row.origin)

    def row(self, example: ClassifyExample) -> dict[str, Any]:
        name, labels = "labels" if example.several else "label", list(example.labels)
        return {**named(example.texts), name: labels if example.several else labels[0]}

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
        table = columns(self, {*NAMES, *_LABELS})
        return {**annotation_readers(self, "label"), "columns": table}


def _label(row: Row, value: Any) -> str:
    """A name; numbers are names too."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise row.error(f"expected a label as text or number, got {shown(value)}")
    if not (label := str(value).strip()):
        raise row.error("expected a label, got none")
    return label
