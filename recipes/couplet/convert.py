"""Couplets as published to canonical JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError, NotFoundError
from nlpcli.files.atomic import refuse_existing, write_lines
from nlpcli.records.lines import decode_lines, where
from recipes.couplet.examples import CoupletExample, couplet, json_line, read_examples

_PAIR = ("in.txt", "out.txt")


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite couplets as JSON Lines; ``.gz`` compresses.

    It reads a folder with in.txt and out.txt or one of the two with the other beside
    it (couplet-dataset: line n of one answers line n of the other, spaces between
    the characters), two columns with a tab between them, and JSON Lines.

    Returns the counts: examples and bad lines skipped. The destination appears whole
    or not at all; the first bad line raises DataError unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    kind, examples = _open(source)
    written: list[str] = []
    skipped = 0
    for example in examples:
        if isinstance(example, DataError):
            if not skip_bad:
                raise example
            skipped += 1
        else:
            written.append(json_line(example) + "\n")
    if not written and not skipped:
        raise DataError(f"{source}: expected couplets, got an empty file")
    write_lines(destination, written)
    return {
        "from": kind,
        "to": "jsonl",
        "examples": len(written),
        "skipped": skipped,
    }


def _open(source: str | Path) -> tuple[str, Iterator[CoupletExample | DataError]]:
    if pair := _pair_of(source):
        return " and ".join(_PAIR), _read_pair(*pair)
    for _, line in decode_lines(source):
        if isinstance(line, DataError) or not line.strip():
            continue
        if line.lstrip().startswith("{"):
            return "jsonl", read_examples(source)
        if "\t" in line:
            return "columns", _read_columns(source)
        raise DataError(
            f"{source}: expected in.txt beside out.txt, two columns with a tab between "
            f"them, or JSON Lines, got {line[:40]!r}"
        )
    raise DataError(f"{source}: expected couplets, got an empty file")


def _pair_of(source: str | Path) -> tuple[Path, Path] | None:
    """in.txt and out.txt, plain or .gz, when the source is one of them or their folder.

    Raises NotFoundError where one is missing.
    """
    path = Path(source)
    if path.is_dir():
        zipped = not (path / _PAIR[0]).exists() and (path / "in.txt.gz").exists()
        found = [path / (name + ".gz" * zipped) for name in _PAIR]
    elif path.name.removesuffix(".gz") in _PAIR:
        end = ".gz" if path.name.endswith(".gz") else ""
        found = [path.with_name(name + end) for name in _PAIR]
    else:
        return None
    for part in found:
        if not part.exists():
            raise NotFoundError(
                f"{part}: no such file (first lines are in in.txt, second in out.txt)"
            )
    return found[0], found[1]


def _read_pair(first: Path, second: Path) -> Iterator[CoupletExample | DataError]:
    for one, other in zip_longest(decode_lines(first), decode_lines(second)):
        if one is None or other is None:
            short, (number, _) = (first, other) if one is None else (second, one)
            yield DataError(f"{short}: expected a line {number}, got the end")
            return
        number, above = one
        below = other[1]
        bad = next((x for x in (above, below) if isinstance(x, DataError)), None)
        if bad is not None:
            yield bad
        elif str(above).strip() or str(below).strip():
            yield _couplet(str(above), str(below), where(first, number))


def _read_columns(path: str | Path) -> Iterator[CoupletExample | DataError]:
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            place, cells = where(path, number), line.split("\t")
            if len(cells) == 2:
                yield _couplet(cells[0], cells[1], place)
            else:
                yield DataError(f"{place}: expected two columns, got {len(cells)}")


def _couplet(first: str, second: str, line: str) -> CoupletExample | DataError:
    try:
        return couplet(first, second, line)
    except DataError as error:
        return error
