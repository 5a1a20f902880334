"""LCCC and other public dialogues to canonical JSON Lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from nlpcli.records.lines import decode_lines, where
from recipes.dialog.examples import DialogExample, dialogue, json_line

_KEYS = ("turns", "dialog", "dialogue", "conversation")
_LOOKED_AT = 200  # lines by which the format is told

Line = tuple[int, str | DataError]


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite dialogues as JSON Lines; ``.gz`` compresses.

    It reads a JSON list of dialogues, or an object of such lists (LCCC and the toy
    data of CDial-GPT), a dialogue a line as a JSON list or under "turns" or "dialog",
    turns with tabs between them, and a turn a line with empty lines between dialogues.
    Spaces that only cut a turn into characters go.

    Returns the counts: examples and bad dialogues skipped. The destination appears
    whole or not at all; the first bad one raises DataError unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    kind, examples = read_published(source)
    written: list[str] = []
    skipped = 0
    for example in examples:
        if isinstance(example, DataError):
            if not skip_bad:
                raise example
            skipped += 1
        else:
            written.append(json_line(example) + "\n")
    write_lines(destination, written)
    return {
        "from": kind,
        "to": "jsonl",
        "examples": len(written),
        "skipped": skipped,
    }


def read_published(
    path: str | Path,
) -> tuple[str, Iterator[DialogExample | DataError]]:
    """The format of a file, told by its first lines, and its dialogues.

    What is none comes out as a DataError in its place. Raises DataError for a file
    with nothing in it, NotFoundError for a missing one.
    """
    lines = decode_lines(path)
    head = list(islice(lines, _LOOKED_AT))
    texts = [line for _, line in head if isinstance(line, str) and line.strip()]
    if not texts:
        raise next(
            (line for _, line in head if isinstance(line, DataError)),
            DataError(f"{path}: expected dialogues, got an empty file"),
        )
    rest = chain(head, lines)
    if texts[0].lstrip()[0] in "[{":
        if _is_dialogue(_parsed(texts[0])):
            return "json lines", _json_lines(path, rest)
        return "json", _json_file(path, rest)
    if any("\t" in text for text in texts):
        return "columns", _columns(path, rest)
    return "blocks", _blocks(path, rest)


def without_cuts(turn: str) -> str:
    """A turn without the spaces that cut it: all pieces are characters or ASCII.

    ``我 喜 欢 deep learning`` is 我喜欢deep learning; 你好 在吗 stays as it is.
    """
    pieces = turn.split()
    if all(len(piece) == 1 or piece.isascii() for piece in pieces):
        return _CUT.sub("", " ".join(pieces))
    return turn.strip()


# a space beside what is not ASCII
_CUT = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


def _json_lines(
    path: str | Path, lines: Iterator[Line]
) -> Iterator[DialogExample | DataError]:
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            yield _example(_turns(_parsed(line)), where(path, number))


def _json_file(
    path: str | Path, lines: Iterator[Line]
) -> Iterator[DialogExample | DataError]:
    texts = []
    for _, line in lines:
        if isinstance(line, DataError):
            raise line
        texts.append(line)
    try:
        value = json.loads("\n".join(texts))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON ({error})") from error
    parts = value.items() if isinstance(value, dict) else [("", value)]
    for name, part in parts:
        place = f"{path}: {name}".rstrip(": ")
        if not isinstance(part, list):
            raise DataError(f"{place}: expected a list of dialogues")
        for number, row in enumerate(part, start=1):
            yield _example(_turns(row), f"{place}: dialogue {number}")


def _columns(
    path: str | Path, lines: Iterator[Line]
) -> Iterator[DialogExample | DataError]:
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            yield _example(line.split("\t"), where(path, number))


def _blocks(
    path: str | Path, lines: Iterator[Line]
) -> Iterator[DialogExample | DataError]:
    block: list[str] = []
    start = 1
    for number, line in chain(lines, [(0, "")]):
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            start = start if block else number
            block.append(line)
        elif block:
            yield _example(block, where(path, start))
            block = []


def _example(turns: Any, place: str) -> DialogExample | DataError:
    if isinstance(turns, list):
        turns = [without_cuts(t) if isinstance(t, str) else t for t in turns]
    try:
        return dialogue(turns, place)
    except DataError as error:
        return error


def _turns(row: Any) -> Any:
    """The list of turns in a row, or the row, which is none."""
    if isinstance(row, dict):
        return next((row[key] for key in _KEYS if key in row), row)
    return row


def _is_dialogue(row: Any) -> bool:
    turns = _turns(row)
    return isinstance(turns, list) and all(isinstance(turn, str) for turn in turns)


def _parsed(line: str) -> Any:
    """The JSON value of a line; the line itself where it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line
