"""A line of similarity data: synonyms, a pair with a label, or a triplet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from nlpcli.errors import DataError
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.pairs import PAIRS, TAB, joined
from nlpcli.records.row import Row, shorten, shown
from nlpcli.records.table import read_table

TRIPLET = ("anchor", "positive", "negative")
_COLUMNS = (*PAIRS[0], "label")
_HEADERS = {"label", "score", "similarity", "gold_label", "similarity_score"}


@dataclass(frozen=True)
class SimilarityExample:
    """Texts and what binds them; ``origin`` is "file:12".

    group: a text and its synonyms, perhaps none; pair: two texts with a label, 0 or
    1 or a grade; triplet: a text, a synonym and one that is none. A prompt is a group
    of one or a pair without label.
    """

    texts: tuple[str, ...]
    kind: Literal["group", "pair", "triplet"] = "group"
    label: float | None = None
    origin: str = ""

    @property
    def text(self) -> str:
        """What a user would type: the text, or both of a pair with a tab between."""
        return joined(self.texts) if self.kind == "pair" else self.texts[0]

    def synonyms(self) -> Sequence[tuple[str, ...]]:
        """Pairs that mean the same: neighbours in the ring of a group, so each text is
        in two of them; a pair of label 1; a triplet without its negative."""
        texts = self.texts
        if self.kind == "group":
            return list(pairwise(texts if len(texts) < 3 else (*texts, texts[0])))
        return [] if self.kind == "pair" and self.label != 1 else [texts[:2]]


class SimilarityForm(Form[SimilarityExample]):
    """``{"text", "synonyms"}``, ``{"text_a", "text_b", "label"}`` or triplets.

    Also pairs under the names of AFQMC, and columns between tabs (LCQMC, BQ: text,
    text, label; ATEC: with a number before them).
    """

    wanted = "synonyms or pairs"
    then = "two share it: train cuts the end of a text beyond half"
    told = ("groups", "pairs", "triplets")

    def parse(self, row: Row) -> SimilarityExample:
        for names in PAIRS:
            if all(name in row for name in names):
                pair = tuple(row.text(name) for name in names)
                return SimilarityExample(pair, "pair", _label(row), row.origin)
        if TRIPLET[0] in row:
            triplet = tuple(row.text(name) for name in TRIPLET)
            return SimilarityExample(triplet, "triplet", None, row.origin)
        if "text" not in row:
            keys = ", ".join(f'"{key}"' for key in row.values) or "none"
            raise row.error(
                'expected the keys "text" and "synonyms", "text_a", "text_b" and '
                f'"label", or "anchor", "positive" and "negative", got the keys {keys}'
            )
        synonyms = row.items("synonyms") if "synonyms" in row else []
        texts = [row.text("text")]
        texts += [Row({"synonyms": x}, row.origin).text("synonyms") for x in synonyms]
        # A text that stands twice in its group would be its own synonym.
        return SimilarityExample(tuple(dict.fromkeys(texts)), origin=row.origin)

    def row(self, example: SimilarityExample) -> dict[str, Any]:
        if example.kind == "group":
            text, *synonyms = example.texts
            return {"text": text, "synonyms": synonyms}
        if example.kind == "triplet":
            return dict(zip(TRIPLET, example.texts, strict=True))
        label = example.label
        if label is not None and label.is_integer():
            label = int(label)
        return dict(zip(_COLUMNS, (*example.texts, label), strict=True))

    def facts(self, example: SimilarityExample) -> Facts:
        texts, kind, label = example.texts, example.kind, example.label
        return Facts(
            texts=texts,
            sequences=[[text] for text in texts],
            key=(kind, texts if kind == "triplet" else sorted(texts)),
            answer=label,
            labels=[] if label is None else [(label, {"pairs": 1})],
            counts={
                f"{kind}s": 1,
                "texts": len(texts),
                "synonym_pairs": len(example.synonyms()),
                "alone": int(len(texts) == 1),
            },
        )

    def whole(self, max_length: int) -> int:
        """[CLS] text [SEP]: half of what [CLS] one [SEP] the other [SEP] leaves."""
        return (max_length - 3) // 2 + 2

    def label_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = sorted(rows, key=lambda row: row["label"])
        return [{**row, "label": f"{row['label']:g}"} for row in rows]

    @property
    def published(self) -> Mapping[str, Reader[SimilarityExample]]:
        return {"columns": Reader(_is_no_json, self._columns, direct=True)}

    def _columns(
        self, lines: Lines
    ) -> tuple[str, Iterator[SimilarityExample | DataError]]:
        number, first = lines.first_line()
        count = len((first or "").split(TAB))
        if count not in (3, 4):
            raise DataError(
                f"{lines.origin(number)}: expected JSON Lines, or 3 columns between "
                "tabs (text, text, label), or 4 with a number before them, got "
                f"{count}: {shorten(first or '')!r}"
            )
        return "columns", map(self.tried, map(_named, read_table(lines, _HEADERS)))


def _is_no_json(lines: Lines) -> bool:
    """Anything else, so that a broken file of columns is told as one."""
    first = lines.first()
    return first is not None and not first.lstrip().startswith("{")


def _named(row: Row | DataError) -> Row | DataError:
    """The last three columns, whatever a header calls them."""
    if isinstance(row, DataError):
        return row
    cells = list(row.values.values())[-3:]
    return Row(dict(zip(_COLUMNS, cells, strict=True)), row.origin)


def _label(row: Row) -> float:
    """A class 0 or 1, or a grade, as a number or in quotes."""
    value = row.get("label")
    try:
        label = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        label = math.nan
    if not math.isfinite(label):
        told = "none" if value is None else shown(value)
        raise row.error(f'expected a number for "label", got {told}')
    return label
