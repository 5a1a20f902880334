"""Dialogue examples: turns of two speakers by turns, read from JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where
from recipes.dialog.turns import join_turns

SHOWN = 40  # characters of a bad value in its message


@dataclass(frozen=True)
class DialogExample:
    """What was said and, in gold data, the reply to it; ``line`` is "file:12".

    A context without turns is an empty input line, which has no answer.
    """

    context: tuple[str, ...]
    reply: str | None = None
    line: str = ""

    @property
    def turns(self) -> tuple[str, ...]:
        """All turns, the reply last."""
        return self.context if self.reply is None else (*self.context, self.reply)

    @cached_property
    def text(self) -> str:
        """The context as one text."""
        return join_turns(self.context)


def read_examples(path: str | Path) -> Iterator[DialogExample | DataError]:
    """Read JSON Lines of turns, ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it. Raises DataError for a file with nothing in it, NotFoundError for a
    missing one.
    """
    empty = True
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            empty = False
            yield line
            continue
        if not line.strip():
            continue
        empty = False
        place = where(path, number)
        try:
            yield parse_example(parse_object(line, place), place)
        except DataError as error:
            yield error
    if empty:
        raise DataError(f"{path}: expected JSON Lines, got an empty file")


def parse_example(row: dict[str, Any], line: str) -> DialogExample:
    """Check one JSON object; DataError begins with ``line``."""
    if "turns" not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(
            f'{line}: expected the key "turns", got the keys {keys} ("nlpcli data '
            'convert" reads LCCC and columns)'
        )
    return dialogue(row["turns"], line)


def dialogue(turns: Any, line: str) -> DialogExample:
    """An example of a list of turns; DataError, which begins with ``line``, if none."""
    if not isinstance(turns, list):
        raise DataError(f"{line}: expected a list of turns, got {_shown(turns)}")
    kept = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, str):
            raise DataError(
                f"{line}: turn {number}: expected a string, got {_shown(turn)}"
            )
        if not turn.strip():
            raise DataError(f"{line}: turn {number}: expected text, got none")
        kept.append(turn.strip())
    if len(kept) < 2:
        raise DataError(f"{line}: expected two turns or more, got {len(kept)}")
    return DialogExample(tuple(kept[:-1]), kept[-1], line)


def json_line(example: DialogExample) -> str:
    """The canonical JSON line of an example with gold, without its line end."""
    return dumps({"turns": list(example.turns)})


def _shown(value: Any) -> str:
    text = dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
