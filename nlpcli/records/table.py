"""Columns between tabs: with names in the first line, or told by what they hold.

Quotes are data: no cell is quoted, none holds a tab or a line end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nlpcli.errors import DataError
from nlpcli.records.form import E, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.read import parsed
from nlpcli.records.row import Row

TAB = "\t"


def columns(form: Form[E], names: Collection[str]) -> Reader[E]:
    """Such a file as a format of a form, which training reads as it is."""

    def read(lines: Lines) -> tuple[str, Iterator[E | DataError]]:
        rows = read_table(lines, names)
        return "columns", (item for row in rows for item in parsed(form, row))

    return Reader(is_table, read, direct=True)


def is_table(lines: Lines) -> bool:
    """Whether the first line has tabs and is no JSON."""
    first = lines.first()
    return first is not None and TAB in first and not first.lstrip().startswith("{")


def read_table(lines: Lines, names: Collection[str]) -> Iterator[Row | DataError]:
    """The rows of a table; a line with another number of cells is a bad line.

    The first line is a header when it holds one of ``names``. Without one, two columns
    are text and label, three text_a, text_b and label, four the same after a number;
    of two the label is the one with fewer different values.
    """
    header: list[str] | None = None
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
            continue
        if not line.strip():
            continue
        cells = line.split(TAB)
        if header is None:
            header = _unnamed([cells, *(text.split(TAB) for text in _texts(lines))])
            named = [cell.strip().lower() for cell in cells]
            if not set(named).isdisjoint(names):
                if "text_b" not in named:  # ERNIE's tables of one text
                    named = ["text" if cell == "text_a" else cell for cell in named]
                # A name that stands there twice tells no column from the other.
                header = named if len({*named}) == len(named) else header
                continue
        origin = lines.origin(number)
        if len(cells) != len(header):
            yield DataError(
                f"{origin}: expected {len(header)} columns between tabs, as the first "
                f"line has, got {len(cells)}"
            )
            continue
        yield Row(dict(zip(header, cells, strict=True)), origin)


def _texts(lines: Lines) -> list[str]:
    return [text for _, text in lines.head() if isinstance(text, str) and text.strip()]


def _unnamed(rows: Sequence[Sequence[str]]) -> list[str]:
    count = len(rows[0])
    if count == 2:
        pairs = [row for row in rows if len(row) == 2]
        first, last = (len({row[place] for row in pairs}) for place in (0, 1))
        return ["label", "text"] if first < last else ["text", "label"]
    names = ["text_a", "text_b", "label"]
    return names if count == 3 else [*(f"column {i}" for i in range(count - 3)), *names]
