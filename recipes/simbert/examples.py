"""Synonyms, scored pairs and triplets, from JSON Lines or columns between tabs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import SHOWN, decode_lines, parse_object, where
from recipes.simbert.text_pairs import TAB, join_pair

Kind = Literal["group", "pair", "triplet"]

# the names of the two texts of a pair: ours, short, and those of AFQMC
PAIR_KEYS = (("text_a", "text_b"), ("a", "b"), ("sentence1", "sentence2"))
TRIPLET_KEYS = ("anchor", "positive", "negative")
HEADERS = {"label", "score", "similarity", "gold_label", "similarity_score"}


@dataclass(frozen=True)
class SimilarityExample:
    """Texts and what binds them; ``line`` is "file:12".

    group: a text and its synonyms, perhaps none; pair: two texts with a label, 0 or
    1 or a grade; triplet: a text, a synonym and one that is none. A prompt is a group
    of one or a pair without label. ``raw`` asks for the vector before whitening.
    """

    texts: tuple[str, ...]
    kind: Kind = "group"
    label: float | None = None
    line: str = ""
    raw: bool = False

    @property
    def text(self) -> str:
        """What a user would type: the text, or both of a pair with a tab between."""
        return join_pair(*self.texts) if self.kind == "pair" else self.texts[0]


def read_examples(path: str | Path) -> Iterator[SimilarityExample | DataError]:
    """Read JSON Lines, or columns when the first line is no JSON; ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it; blank lines are passed over. Raises DataError for a file with nothing
    in it, NotFoundError for a missing one.
    """
    columns: int | None = None
    as_json: bool | None = None
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            yield line
            continue
        if not line.strip():
            continue
        place = where(path, number)
        if as_json is None:
            as_json = line.lstrip().startswith("{")
            if not as_json:
                columns = _column_count(line, place)
                if _is_header(line):
                    continue
        try:
            if columns is None:
                yield parse_example(parse_object(line, place), place)
            else:
                yield parse_columns(line, place, columns)
        except DataError as error:
            yield error
    if as_json is None:
        raise DataError(f"{path}: expected synonyms or pairs, got an empty file")


def parse_example(row: Mapping[str, Any], line: str) -> SimilarityExample:
    """Check one JSON object; DataError begins with ``line``."""
    for names in PAIR_KEYS:
        if names[0] in row and names[1] in row:
            pair = tuple(_text(row, name, line) for name in names)
            return SimilarityExample(pair, "pair", _label(row.get("label"), line), line)
    if "anchor" in row:
        triplet = tuple(_text(row, name, line) for name in TRIPLET_KEYS)
        return SimilarityExample(triplet, "triplet", None, line)
    if "text" not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(
            f'{line}: expected the keys "text" and "synonyms", "text_a", "text_b" and '
            f'"label", or "anchor", "positive" and "negative", got the keys {keys}'
        )
    synonyms = row.get("synonyms", [])
    if not isinstance(synonyms, list):
        raise DataError(
            f'{line}: expected a list for "synonyms", got {_shown(dumps(synonyms))}'
        )
    texts = [_text(row, "text", line)]
    texts += [_text({"synonyms": one}, "synonyms", line) for one in synonyms]
    # A text that stands twice in its group would be its own synonym.
    return SimilarityExample(tuple(dict.fromkeys(texts)), "group", None, line)


def parse_columns(line: str, place: str, columns: int) -> SimilarityExample:
    """text, text, label between tabs, with a number before them where four are."""
    cells = line.split(TAB)
    if len(cells) != columns:
        raise DataError(
            f"{place}: expected {columns} columns between tabs, as the first line has, "
            f"got {len(cells)}"
        )
    text_a, text_b, label = cells[-3:]
    row = {"text_a": text_a, "text_b": text_b, "label": label}
    return parse_example(row, place)


def json_line(example: SimilarityExample) -> str:
    """The canonical JSON line of an example with gold, without its line end."""
    if example.kind == "pair":
        values: dict[str, Any] = dict(zip(PAIR_KEYS[0], example.texts, strict=True))
        label = example.label
        if label is not None and label == int(label):
            label = int(label)
        return dumps({**values, "label": label})
    if example.kind == "triplet":
        return dumps(dict(zip(TRIPLET_KEYS, example.texts, strict=True)))
    text, *synonyms = example.texts
    return dumps({"text": text, "synonyms": synonyms})


def _column_count(line: str, place: str) -> int:
    count = len(line.split(TAB))
    if count not in (3, 4):
        raise DataError(
            f"{place}: expected JSON Lines, or 3 columns between tabs (text, text, "
            f"label), or 4 with a number before them, got {count}: {_shown(line)!r}"
        )
    return count


def _is_header(line: str) -> bool:
    return line.split(TAB)[-1].strip().lower() in HEADERS


def _text(row: Mapping[str, Any], key: str, line: str) -> str:
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row)
        raise DataError(f'{line}: expected the key "{key}", got the keys {keys}')
    value = row[key]
    if not isinstance(value, str):
        raise DataError(
            f'{line}: expected a string for "{key}", got {_shown(dumps(value))}'
        )
    text = value.strip()
    if not text:
        raise DataError(f'{line}: expected text for "{key}", got none')
    return text


def _label(value: Any, line: str) -> float:
    """A class 0 or 1, or a grade, as a number or in quotes."""
    try:
        label = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        label = math.nan
    if not math.isfinite(label):
        told = "none" if value is None else _shown(dumps(value))
        raise DataError(f'{line}: expected a number for "label", got {told}')
    return label


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
