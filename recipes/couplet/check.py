"""What ``data check`` says of a file of couplets, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.couplet.examples import read_examples
from recipes.couplet.form import broken_rules

_SPECIAL_TOKENS = 3  # [CLS] first [SEP] second [SEP]
_RULES = ("marks", "repetition", "sharing")


class _Tokenizer(Protocol):
    @property
    def vocab(self) -> Any: ...

    def character_ids(self, text: str) -> Any: ...


def check(
    path: str | Path,
    *,
    max_length: int = 128,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line;
    ``formed`` is the share of couplets that keep the rules of the form, ``labels``
    how many break each; ``unknown`` the share of characters that the tokenizer does
    not know (None without one). ``lengths`` are characters of one side; ``windows``
    counts the couplets longer than ``max_length`` tokens, special ones included.
    ``duplicates`` and ``conflicts`` are first lines that stand there again with the
    same and with another second.
    """
    bad: list[str] = []
    lengths = Lengths()
    broken: Counter[str] = Counter()
    seen: dict[str, tuple[str | None, str]] = {}
    again: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    formed = unknown = 0
    for example in islice(read_examples(path), limit):
        if isinstance(example, DataError):
            bad.append(str(example))
            continue
        first, second = example.first, example.second or ""
        lengths.add(len(first), example.line)
        rules = broken_rules(first, second)
        broken.update(rules)
        formed += not rules
        if tokenizer is not None:
            ids = tokenizer.character_ids(first + second)
            unknown += int((ids == tokenizer.vocab.unk_id).sum())
        answer, line = seen.setdefault(first, (second, example.line))
        if line != example.line:
            again[answer == second].append({"line": example.line, "first": line})
    count = lengths.count
    characters = 2 * sum(size * number for size, number in lengths.lengths.items())
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": count,
        "bad_lines": bad,
        "formed": round(formed / count, 4) if count else None,
        "unknown": round(unknown / characters, 4) if tokenizer and count else None,
        "labels": [{"broken rule": r, "couplets": broken[r]} for r in _RULES],
        "lengths": lengths.report(),
        "tokens": None,
        "windows": {
            "unit": "tokens",
            "max_length": max_length,
            "longer": lengths.longer_than((max_length - _SPECIAL_TOKENS) // 2),
            "then": "to train they are bad lines",
        },
        "duplicates": again[True],
        "conflicts": again[False],
    }
