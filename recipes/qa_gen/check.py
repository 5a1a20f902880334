"""What ``data check`` says of a file of questions, which it reads as ``train`` does."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.qa_gen.examples import AnswerNotInside, QaExample, read_examples
from recipes.qa_gen.layout import SPECIAL_TOKENS
from recipes.qa_gen.options import TaskOptions

_PARTS = ("passage", "answer", "question")


class _Vocab(Protocol):
    @property
    def unk_id(self) -> int: ...


class _Tokenizer(Protocol):
    @property
    def vocab(self) -> _Vocab: ...

    def character_ids(self, text: str) -> Any: ...


def check(
    path: str | Path,
    *,
    max_length: int = 268,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line and
    ``not_inside`` how many of them have an answer that does not stand in its passage;
    ``labels`` a row of lengths for each part, with how many are longer than the
    default of that part. ``lengths`` are of passage, answer and question together, in
    characters without spaces, each of which is a token; ``windows`` counts those
    longer than ``max_length``, special tokens included, of whose passage a window is
    read. ``unknown_characters`` are those a tokenizer does not know. ``duplicates``
    and ``conflicts`` are questions that stand at the same passage again with the same
    and with another answer.
    """
    bad: list[str] = []
    not_inside = 0
    repeats = _Repeats()
    parts = {part: Lengths() for part in _PARTS}
    characters = Lengths()
    unknown = 0
    for item in islice(read_examples(path), limit):
        if isinstance(item, DataError):
            bad.append(str(item))
            not_inside += isinstance(item, AnswerNotInside)
            continue
        repeats.add(item)
        sizes = {part: _size(getattr(item, part)) for part in _PARTS}
        for part, size in sizes.items():
            parts[part].add(size, item.line)
        characters.add(sum(sizes.values()), item.line)
        if tokenizer is not None:
            unknown += _unknown(tokenizer, item)
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": characters.count,
        "passages": len(repeats.passages),
        "not_inside": not_inside,
        **({} if tokenizer is None else {"unknown_characters": unknown}),
        "bad_lines": bad,
        "labels": [_row(part, lengths) for part, lengths in parts.items()],
        "duplicates": repeats.duplicates,
        "conflicts": repeats.conflicts,
        "lengths": characters.report(),
        "tokens": None,
        "windows": {
            "unit": "characters",
            "max_length": max_length,
            "longer": characters.longer_than(max_length - SPECIAL_TOKENS),
            "then": "train reads the window around the answer",
        },
    }


class _Repeats:
    """Passages, and questions that stand at one of them again."""

    def __init__(self) -> None:
        self.passages: set[int] = set()
        self.seen: dict[tuple[int, str], tuple[str, str]] = {}
        self.duplicates: list[dict[str, str]] = []
        self.conflicts: list[dict[str, str]] = []

    def add(self, example: QaExample) -> None:
        passage = hash(example.passage)  # the passages may not fit in memory
        self.passages.add(passage)
        answer, first = self.seen.setdefault(
            (passage, example.question), (example.answer, example.line)
        )
        if first != example.line:
            again = self.duplicates if answer == example.answer else self.conflicts
            again.append({"line": example.line, "first": first})


def _row(part: str, lengths: Lengths) -> dict[str, Any]:
    report = lengths.report()
    limit = getattr(TaskOptions(), f"{part}_length")
    return {
        "part": part,
        **{name: report[name] for name in ("mean", "median", "p95", "longest")},
        "over_default": lengths.longer_than(limit),
        "default": limit,
    }


def _size(text: str) -> int:
    """Characters that the model reads: all but spaces."""
    return sum(1 for character in text if not character.isspace())


def _unknown(tokenizer: _Tokenizer, example: QaExample) -> int:
    text = "".join((example.passage + example.question).split())
    return int((tokenizer.character_ids(text) == tokenizer.vocab.unk_id).sum())
