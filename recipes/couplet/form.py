"""A line of couplet data: a first line and the second that answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError, NotFoundError
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row, shorten
from nlpcli.records.table import TAB, is_table

from .verse import broken_rules, without_spaces

_PAIR = ("in.txt", "out.txt")
_RULES = ("marks", "repetition", "sharing")


@dataclass(frozen=True)
class CoupletExample:
    """A first line as it was written; a prompt has no second."""

    text: str
    second: str | None = None
    origin: str = ""

    @property
    def first(self) -> str:
        """The characters of the first line."""
        return without_spaces(self.text)


class CoupletForm(Form[CoupletExample]):
    """``{"first", "second"}``, both of one length."""

    formats = (
        "in.txt beside out.txt, two columns with a tab between them, or JSON Lines"
    )
    hint = ' ("nlpcli data convert" reads in.txt and out.txt, and columns)'
    label_name = "broken rule"
    by_character = True
    then = "to train they are bad lines"

    def parse(self, row: Row) -> CoupletExample:
        return couplet(row.string("first"), row.string("second"), row.origin)

    def row(self, example: CoupletExample) -> dict[str, Any]:
        return {"first": example.first, "second": example.second}

    def facts(self, example: CoupletExample) -> Facts:
        first, second = example.first, example.second or ""
        broken = broken_rules(first, second)
        return Facts(
            texts=[first],
            sequences=[[first, second]],
            key=first,
            answer=second,
            labels=[(rule, {"couplets": int(rule in broken)}) for rule in _RULES],
            shares={"formed": not broken},
        )

    def label_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return rows

    @property
    def published(self) -> Mapping[str, Reader[CoupletExample]]:
        return {
            "pair": Reader(lambda lines: _pair_of(lines.source) is not None, _pair),
            "columns": Reader(is_table, _columns),
        }


def couplet(first: str, second: str, origin: str) -> CoupletExample:
    """An example from two sides; DataError, which begins with ``origin``, for none.

    Spaces between characters are no part of a side.
    """
    first, second = without_spaces(first), without_spaces(second)
    for name, side in (("first", first), ("second", second)):
        if not side:
            raise DataError(f'{origin}: expected text for "{name}", got none')
    if len(first) != len(second):
        raise DataError(
            f"{origin}: expected two sides of one length, got {len(first)} and "
            f"{len(second)} characters: {shorten(f'{first} / {second}')!r}"
        )
    return CoupletExample(first, second, origin)


def _pair_of(source: Any) -> tuple[Path, Path] | None:
    """in.txt and out.txt, plain or .gz, when the source is one of them or their folder
    (couplet-dataset: line n of one answers line n of the other)."""
    path = Path(str(source))
    if path.is_dir():
        zipped = not (path / _PAIR[0]).exists() and (path / "in.txt.gz").exists()
        return path / (_PAIR[0] + ".gz" * zipped), path / (_PAIR[1] + ".gz" * zipped)
    if path.name.removesuffix(".gz") in _PAIR:
        end = ".gz" if path.name.endswith(".gz") else ""
        return path.with_name(_PAIR[0] + end), path.with_name(_PAIR[1] + end)
    return None


def _pair(lines: Lines) -> tuple[str, Iterator[CoupletExample | DataError]]:
    found = _pair_of(lines.source) or ()
    for part in found:
        if not part.exists():
            raise NotFoundError(
                f"{part}: no such file (first lines are in in.txt, second in out.txt)"
            )
    return " and ".join(_PAIR), _read_pair(lines.longest, *found)


def _read_pair(
    longest: int, first: Path, second: Path
) -> Iterator[CoupletExample | DataError]:
    with Lines(first, longest) as firsts, Lines(second, longest) as seconds:
        for one, other in zip_longest(firsts, seconds):
            if one is None or other is None:
                short, (number, _) = (first, other) if one is None else (second, one)
                yield DataError(f"{short}: expected a line {number}, got the end")
                return
            sides = one[1], other[1]
            bad = next((x for x in sides if isinstance(x, DataError)), None)
            if bad is not None:
                yield bad
            elif str(sides[0]).strip() or str(sides[1]).strip():
                yield _tried([str(side) for side in sides], firsts.origin(one[0]))


def _columns(lines: Lines) -> tuple[str, Iterator[CoupletExample | DataError]]:
    return "columns", (
        line
        if isinstance(line, DataError)
        else _tried(line.split(TAB), lines.origin(n))
        for n, line in lines
        if isinstance(line, DataError) or line.strip()
    )


def _tried(cells: list[str], origin: str) -> CoupletExample | DataError:
    if len(cells) != 2:
        return DataError(f"{origin}: expected two columns, got {len(cells)}")
    try:
        return couplet(cells[0], cells[1], origin)
    except DataError as error:
        return error
