"""What ``data check`` says of a file of word problems, which it reads as ``train``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from nlpcli.text.expression import tokens
from recipes.math_qa.cleaning import UnfitRow
from recipes.math_qa.examples import MathExample, read_examples
from recipes.math_qa.numbers import CONSTANTS, question_numbers

_SPECIAL_TOKENS = 3  # [CLS] question [SEP] expression [SEP]


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    def encode_characters(self, text: str) -> _Encoding: ...


def check(
    path: str | Path,
    *,
    max_length: int = 256,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line and
    ``unfit`` how many of them cleaning refused for which reason; ``labels`` how often
    each operator stands in the expressions; ``numbers`` where the numbers of the
    expressions come from, and ``covered`` the share of expressions all of whose
    numbers come from the question or the constants, as the grammar wants them.
    ``lengths`` are characters, ``tokens`` those but spaces (None without a tokenizer),
    both of the question and its expression; ``windows`` counts those longer than
    ``max_length``, special tokens included. ``duplicates`` and ``conflicts`` are
    questions that stand there again with the same and with another value.
    """
    bad: list[str] = []
    unfit: Counter[str] = Counter()
    tables = _Tables()
    characters = Lengths()
    pieces = Lengths()
    for example in _good(islice(read_examples(path), limit), bad, unfit):
        tables.add(example)
        text = example.question + example.expression
        characters.add(len(text), example.line)
        if tokenizer is not None:
            count = len(tokenizer.encode_characters(text).token_ids)
            pieces.add(count, example.line)
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
            "then": "train refuses those; --skip-bad leaves them out",
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
