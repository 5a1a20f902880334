"""What ``data check`` says of a file of word problems, which it reads as ``train``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.text.expression import tokens
from nlpcli.text.lines import decode_lines
from recipes.math_qa.cleaning import UnfitRow
from recipes.math_qa.examples import MathExample, read_examples
from recipes.math_qa.numbers import CONSTANTS, question_numbers

_BATCH = 256
_BINS = 10
_SPECIAL_TOKENS = 3  # [CLS] question [SEP] expression [SEP]


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    def encode_batch(self, texts: Sequence[str]) -> Sequence[_Encoding]: ...


def check(
    path: str | Path,
    *,
    max_length: int = 192,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line and
    ``unfit`` how many of them cleaning refused for which reason; ``labels`` how often
    each operator stands in the expressions; ``numbers`` where the numbers of the
    expressions come from, and ``covered`` the share of expressions all of whose
    numbers come from the question or the constants, as the grammar wants them.
    ``lengths`` are characters, ``tokens`` pieces of the tokenizer (None without one),
    both of the question and its expression; ``windows`` counts those longer than
    ``max_length``, special tokens included. ``duplicates`` and ``conflicts`` are
    questions that stand there again with the same and with another value.
    """
    bad: list[str] = []
    unfit: Counter[str] = Counter()
    tables = _Tables()
    characters = _Lengths()
    pieces = _Lengths()
    good = _good(islice(read_examples(path), limit), bad, unfit)
    for batch in _batches(good):
        for example in batch:
            tables.add(example)
            characters.add(len(example.question) + len(example.expression), example)
        if tokenizer is not None:
            questions = tokenizer.encode_batch([item.question for item in batch])
            answers = tokenizer.encode_batch([item.expression for item in batch])
            for example, *parts in zip(batch, questions, answers, strict=True):
                pieces.add(sum(len(part.token_ids) for part in parts), example)
    counted = characters if tokenizer is None else pieces
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": characters.count,
        "bad_lines": bad,
        "unfit": dict(unfit.most_common()),
        **tables.report(),
        "lengths": characters.report(),
        "tokens": None if tokenizer is None else pieces.report(),
        "windows": {
            "unit": "characters" if tokenizer is None else "tokens",
            "max_length": max_length,
            "longer": counted.longer_than(max_length - _SPECIAL_TOKENS),
        },
    }


class _Tables:
    """Operators, numbers, duplicates and conflicts, one example at a time."""

    def __init__(self) -> None:
        self.examples = 0
        self.covered = 0
        self.operators: Counter[str] = Counter()
        self.expressions_with: Counter[str] = Counter()
        self.numbers = Counter(question=0, constants=0, elsewhere=0)
        self.seen: dict[str, tuple[Any, str]] = {}
        self.duplicates: list[dict[str, str]] = []
        self.conflicts: list[dict[str, str]] = []

    def add(self, example: MathExample) -> None:
        self.examples += 1
        written = set(question_numbers(example.question))
        pieces = tokens(example.expression)
        operators = [piece for piece in pieces if not piece[0].isdigit()]
        self.operators.update(operators)
        self.expressions_with.update(set(operators))
        origins = Counter(
            _origin(piece, written) for piece in pieces if piece[0].isdigit()
        )
        self.numbers.update(origins)
        self.covered += not origins["elsewhere"]
        value, line = self.seen.setdefault(
            example.question, (example.value, example.line)
        )
        if line != example.line:
            again = self.duplicates if value == example.value else self.conflicts
            again.append({"line": example.line, "first": line})

    def report(self) -> dict[str, Any]:
        return {
            "covered": self.covered / self.examples if self.examples else None,
            "numbers": dict(self.numbers),
            "labels": [
                {
                    "operator": operator,
                    "count": count,
                    "expressions": self.expressions_with[operator],
                }
                for operator, count in self.operators.most_common()
                if operator != ")"
            ],
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
        }


class _Lengths:
    """How many examples have which length, and where the longest stands."""

    def __init__(self) -> None:
        self.lengths: Counter[int] = Counter()
        self.longest = 0
        self.longest_line: str | None = None

    @property
    def count(self) -> int:
        return self.lengths.total()

    def add(self, length: int, example: MathExample) -> None:
        self.lengths[length] += 1
        if self.longest_line is None or length > self.longest:
            self.longest, self.longest_line = length, example.line

    def longer_than(self, length: int) -> int:
        return sum(count for size, count in self.lengths.items() if size > length)

    def report(self) -> dict[str, Any]:
        total = sum(size * count for size, count in self.lengths.items())
        return {
            "mean": total / self.count if self.count else None,
            "median": self._quantile(0.5),
            "p95": self._quantile(0.95),
            "longest": self.longest,
            "longest_line": self.longest_line,
            "histogram": self._histogram(),
        }

    def _quantile(self, share: float) -> int | None:
        reached = 0
        for size, count in sorted(self.lengths.items()):
            reached += count
            if reached >= share * self.count:
                return size
        return None

    def _histogram(self) -> list[dict[str, int]]:
        """Equal bins up to the 95th percentile, then one open bin to the longest."""
        width = max(1, -(-((self._quantile(0.95) or 0) + 1) // _BINS))
        edge = _BINS * width
        bins = [
            {
                "from": start,
                "to": start + width - 1,
                "count": sum(self.lengths[n] for n in range(start, start + width)),
            }
            for start in range(0, edge, width)
        ]
        if self.longest >= edge:
            rest = self.longer_than(edge - 1)
            bins.append({"from": edge, "to": self.longest, "count": rest})
        return bins


def _origin(number: str, written: set[str]) -> str:
    if number in written:
        return "question"
    return "constants" if number in CONSTANTS else "elsewhere"


def _good(
    examples: Iterable[MathExample | DataError], bad: list[str], unfit: Counter[str]
) -> Iterator[MathExample]:
    for example in examples:
        if isinstance(example, MathExample):
            yield example
            continue
        bad.append(str(example))
        if isinstance(example, UnfitRow):
            unfit[example.reason] += 1


def _batches(examples: Iterator[MathExample]) -> Iterator[list[MathExample]]:
    while batch := list(islice(examples, _BATCH)):
        yield batch
