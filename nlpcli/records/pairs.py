"""A text or two, under the names that data sets give them."""

from __future__ import annotations

from nlpcli.records.row import Row

TEXTS = ("text", "sentence", "review", "content", "title")
PAIRS = (("text_a", "text_b"), ("sentence1", "sentence2"), ("a", "b"))
NAMES = frozenset((*TEXTS, *(name for pair in PAIRS for name in pair)))
TAB = "\t"


def texts_of(row: Row) -> tuple[str, ...]:
    """The text of a row, or both of a pair, which may also stand in one text with a
    tab between; blank texts stay. Raises DataError."""
    for names in PAIRS:
        if all(name in row for name in names):
            return tuple(row.string(name).strip() for name in names)
    text = row.string(next((name for name in TEXTS if name in row), "text"))
    parts = tuple(part.strip() for part in text.split(TAB))
    return parts if len(parts) == 2 and all(parts) else (text.strip(),)


def named(texts: tuple[str, ...]) -> dict[str, str]:
    """A text, or both of a pair, under the names that we give them."""
    names = PAIRS[0] if len(texts) == 2 else TEXTS[:1]
    return dict(zip(names, texts, strict=True))


def joined(texts: tuple[str, ...]) -> str:
    """One line of them; a tab inside a text becomes a space."""
    return TAB.join(text.replace(TAB, " ") for text in texts)
