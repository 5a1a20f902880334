"""What ``data check`` says of a file of dialogues, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.dialog.examples import DialogExample, read_examples

_MANY = 10  # turns; longer dialogues are counted together


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    @property
    def vocab(self) -> Any: ...

    def encode_characters(self, text: str) -> _Encoding: ...


def check(
    path: str | Path,
    *,
    max_length: int = 128,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line;
    ``labels`` how many dialogues have how many turns; ``lengths`` are characters of a
    turn, ``tokens`` those of a dialogue, one a character, special tokens included
    (None without a tokenizer, whose ``unknown`` share of characters is told);
    ``windows`` counts the dialogues longer than ``max_length``. ``duplicates`` are
    dialogues that stand there again, ``conflicts`` contexts with another reply,
    which is no mistake.
    """
    bad: list[str] = []
    turns: Counter[int] = Counter()
    characters, dialogues = Lengths(), Lengths()
    repeats = _Repeats()
    unknown = total = 0
    for example in islice(read_examples(path), limit):
        if isinstance(example, DataError):
            bad.append(str(example))
            continue
        turns[min(len(example.turns), _MANY)] += 1
        size = 1
        for turn in example.turns:
            characters.add(len(turn), example.line)
            if tokenizer is None:
                size += len(turn) + 1
                continue
            ids = tokenizer.encode_characters(turn).token_ids
            size += len(ids) + 1
            total += len(ids)
            unknown += sum(i == tokenizer.vocab.unk_id for i in ids)
        dialogues.add(size, example.line)
        repeats.add(example)
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": dialogues.count,
        "turns": characters.count,
        "bad_lines": bad,
        "unknown": unknown / total if total else None,
        "labels": [
            {
                "turns": f"{count} or more" if count == _MANY else count,
                "dialogues": turns[count],
            }
            for count in sorted(turns)
        ],
        "duplicates": repeats.duplicates,
        "conflicts": repeats.conflicts,
        "lengths": characters.report(),
        "tokens": None if tokenizer is None else dialogues.report(),
        "windows": {
            "unit": "characters" if tokenizer is None else "tokens",
            "max_length": max_length,
            "longer": dialogues.longer_than(max_length),
            "then": "train cuts those between turns and learns each turn once",
        },
    }


class _Repeats:
    """Dialogues and contexts that stand there more than once."""

    def __init__(self) -> None:
        self.duplicates: list[dict[str, str]] = []
        self.conflicts: list[dict[str, str]] = []
        self._contexts: dict[int, str] = {}
        self._dialogues: dict[int, str] = {}

    def add(self, example: DialogExample) -> None:
        # hashes, since the dialogues may not fit in memory
        context, whole = hash(example.context), hash(example.turns)
        first = self._dialogues.setdefault(whole, example.line)
        before = self._contexts.setdefault(context, example.line)
        if first != example.line:
            self.duplicates.append({"line": example.line, "first": first})
        elif before != example.line:
            self.conflicts.append({"line": example.line, "first": before})
