"""What ``data check`` says of a file of couplets, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.text.lines import decode_lines
from recipes.couplet.examples import CoupletExample, read_examples
from recipes.couplet.form import broken_rules

_BINS = 10
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
    lengths: Counter[int] = Counter()
    broken: Counter[str] = Counter()
    seen: dict[str, tuple[str | None, str]] = {}
    again: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    formed = unknown = 0
    longest: CoupletExample | None = None
    for example in islice(read_examples(path), limit):
        if isinstance(example, DataError):
            bad.append(str(example))
            continue
        first, second = example.first, example.second or ""
        lengths[len(first)] += 1
        if longest is None or len(first) > len(longest.first):
            longest = example
        rules = broken_rules(first, second)
        broken.update(rules)
        formed += not rules
        if tokenizer is not None:
            ids = tokenizer.character_ids(first + second)
            unknown += int((ids == tokenizer.vocab.unk_id).sum())
        answer, line = seen.setdefault(first, (second, example.line))
        if line != example.line:
            again[answer == second].append({"line": example.line, "first": line})
    count = lengths.total()
    characters = 2 * sum(size * number for size, number in lengths.items())
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": count,
        "bad_lines": bad,
        "formed": round(formed / count, 4) if count else None,
        "unknown": round(unknown / characters, 4) if tokenizer and count else None,
        "labels": [{"broken rule": r, "couplets": broken[r]} for r in _RULES],
        "lengths": _lengths(lengths, longest),
        "tokens": None,
        "windows": {
            "unit": "tokens",
            "max_length": max_length,
            "longer": _longer_than(lengths, (max_length - _SPECIAL_TOKENS) // 2),
        },
        "duplicates": again[True],
        "conflicts": again[False],
    }


def _lengths(
    lengths: Counter[int], longest: CoupletExample | None
) -> dict[str, Any] | None:
    if longest is None:
        return None
    ordered = sorted(lengths.elements())
    return {
        "mean": sum(ordered) / len(ordered),
        "median": _quantile(ordered, 0.5),
        "p95": _quantile(ordered, 0.95),
        "longest": ordered[-1],
        "longest_line": longest.line,
        "histogram": _histogram(lengths, ordered),
    }


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def _histogram(lengths: Counter[int], ordered: Sequence[int]) -> list[dict[str, int]]:
    """Equal bins up to the 95th percentile, then one open bin to the longest."""
    width = max(1, -(-(_quantile(ordered, 0.95) + 1) // _BINS))
    edge = _BINS * width
    bins = [
        {
            "from": start,
            "to": start + width - 1,
            "count": sum(lengths[n] for n in range(start, start + width)),
        }
        for start in range(0, edge, width)
    ]
    if ordered[-1] >= edge:
        rest = _longer_than(lengths, edge - 1)
        bins.append({"from": edge, "to": ordered[-1], "count": rest})
    return bins


def _longer_than(lengths: Counter[int], size: int) -> int:
    return sum(number for length, number in lengths.items() if length > size)
