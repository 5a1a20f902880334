"""A line of dialogue data: turns of two speakers by turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.lines import BESIDE, Lines
from nlpcli.records.read import document
from nlpcli.records.row import Row, shown

Rows = Iterator[Row | DataError]

_MANY = 10  # turns; longer dialogues are counted together
_KEYS = ("turns", "dialog", "dialogue", "conversation")
_MARK = re.compile(r"\\([\\|])|\|")
# A space beside what is not ASCII.
_CUT = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


@dataclass(frozen=True)
class DialogExample:
    """What was said and, in gold data, the reply to it.

    A context without turns is an empty input line, which has no answer.
    """

    context: tuple[str, ...]
    reply: str | None = None
    origin: str = ""

    @property
    def turns(self) -> tuple[str, ...]:
        """All turns, the reply last."""
        return self.context if self.reply is None else (*self.context, self.reply)

    @property
    def text(self) -> str:
        """The context as one text."""
        return join_turns(self.context)


class DialogForm(Form[DialogExample]):
    """``{"turns": [...]}``, two or more, and the formats of ``_PUBLISHED``."""

    hint = ' ("nlpcli data convert" reads LCCC and columns)'
    label_name = "turns"
    by_character = True
    then = "train cuts those between turns and learns each turn once"

    def parse(self, row: Row) -> DialogExample:
        turns = row.value("turns")
        if not isinstance(turns, list):
            raise row.error(f"expected a list of turns, got {shown(turns)}")
        for number, turn in enumerate(turns, start=1):
            if not isinstance(turn, str):
                raise row.error(f"turn {number}: expected a string, got {shown(turn)}")
            if not turn.strip():
                raise row.error(f"turn {number}: expected text, got none")
        if len(turns) < 2:
            raise row.error(f"expected two turns or more, got {len(turns)}")
        *context, reply = (turn.strip() for turn in turns)
        return DialogExample(tuple(context), reply, row.origin)

    def row(self, example: DialogExample) -> dict[str, Any]:
        return {"turns": list(example.turns)}

    def facts(self, example: DialogExample) -> Facts:
        turns = example.turns
        return Facts(
            texts=turns,
            sequences=[turns],
            key=example.context,
            answer=example.reply,
            labels=[(min(len(turns), _MANY), {"dialogues": 1})],
            counts={"turns": len(turns)},
        )

    def label_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        many = {_MANY: f"{_MANY} or more"}
        rows.sort(key=lambda row: int(row["turns"]))
        return [{**row, "turns": many.get(row["turns"], row["turns"])} for row in rows]

    @property
    def published(self) -> Mapping[str, Reader[DialogExample]]:
        return {
            name: Reader(recognises, partial(self._read, name, rows_of))
            for name, (recognises, rows_of) in _PUBLISHED.items()
        }

    def _read(
        self, name: str, rows_of: Callable[[Lines], Rows], lines: Lines
    ) -> tuple[str, Iterator[DialogExample | DataError]]:
        return name, map(self.tried, rows_of(lines))


def join_turns(turns: Sequence[str]) -> str:
    """One text, ``你好|你好呀``; a bar inside a turn is written ``\\|``."""
    return "|".join(re.sub(r"[\\|]", r"\\\g<0>", turn) for turn in turns)


def split_turns(text: str) -> tuple[str, ...]:
    """The turns of a text, as ``heard`` has them.

    A backslash before a bar or a backslash makes it an ordinary character, and stands
    for itself elsewhere.
    """
    begin, *rest = _MARK.split(text)
    turns = [[begin]]
    for escaped, piece in zip(rest[::2], rest[1::2], strict=True):
        if escaped is None:
            turns.append([piece])
        else:
            turns[-1] += [escaped, piece]
    bars = 'between the bars, got none (a bar inside a turn is written "\\|")'
    return heard(["".join(turn) for turn in turns], f"expected text {bars}")


def heard(
    turns: Sequence[str], told: str = "expected text, got none"
) -> tuple[str, ...]:
    """Turns without the space around them; none for a single blank one.

    Raises DataError, which ends with ``told``, for another with nothing in it.
    """
    stripped = tuple(turn.strip() for turn in turns)
    if stripped == ("",):
        return ()
    for number, turn in enumerate(stripped, start=1):
        if not turn:
            raise DataError(f"turn {number} of {len(stripped)}: {told}")
    return stripped


def without_cuts(turn: str) -> str:
    """A turn without the spaces that cut it: all pieces are characters or ASCII.

    ``我 喜 欢 deep learning`` is 我喜欢deep learning; 你好 在吗 stays as it is.
    """
    pieces = turn.split()
    if all(len(piece) == 1 or piece.isascii() for piece in pieces):
        return _CUT.sub("", " ".join(pieces))
    return turn.strip()


def _is_dialogue(lines: Lines) -> bool:
    turns = _told(lines.first() or "")
    return isinstance(turns, list) and all(isinstance(turn, str) for turn in turns)


def _json(lines: Lines) -> Rows:
    value = document(lines)
    for name, part in value.items() if isinstance(value, dict) else [("", value)]:
        place = f"{lines.name}: {name}".rstrip(": ")
        if not isinstance(part, list):
            raise DataError(f"{place}: expected a list of dialogues")
        for number, row in enumerate(part, start=1):
            yield _row(_turns(row), f"{place}: dialogue {number}")


def _blocks(lines: Lines) -> Rows:
    block: list[str] = []
    start = size = 0
    for number, line in chain(lines, [(0, "")]):
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            start, size = (start, size) if block else (number, 0)
            block.append(line)
            size += len(line) + BESIDE
            if size > lines.longest:
                yield lines.too_long(start, "dialogue")
                block = []
        elif block:
            yield _row(block, lines.origin(start))
            block = []


# The first that recognises a file reads it: a dialogue a line; a list of dialogues or
# an object of such lists (LCCC, the toy data of CDial-GPT); turns with tabs between
# them; a turn a line, with empty lines between dialogues.
_PUBLISHED: dict[str, tuple[Callable[[Lines], bool], Callable[[Lines], Rows]]] = {
    "json lines": (_is_dialogue, lambda lines: _each(lines, _told)),
    "json": (lambda lines: (lines.first() or "").lstrip()[:1] in ("[", "{"), _json),
    "columns": (
        lambda lines: any(isinstance(x, str) and "\t" in x for _, x in lines.head()),
        lambda lines: _each(lines, lambda line: line.split("\t")),
    ),
    "blocks": (lambda lines: lines.first() is not None, _blocks),
}


def _each(lines: Lines, turns_of: Callable[[str], Any]) -> Rows:
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            yield _row(turns_of(line), lines.origin(number))


def _row(turns: Any, origin: str) -> Row:
    if isinstance(turns, list):
        turns = [without_cuts(t) if isinstance(t, str) else t for t in turns]
    return Row({"turns": turns}, origin)


def _told(line: str) -> Any:
    """The list of turns in a line of JSON; the line itself where it is none."""
    try:
        return _turns(parse_json(line))
    except NotJson:
        return line


def _turns(row: Any) -> Any:
    """The list of turns in a row, or the row, which is none."""
    found = (row[key] for key in _KEYS if isinstance(row, dict) and key in row)
    return next(found, row)
