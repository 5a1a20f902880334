"""What ``data check`` says of an NER file, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.ner.columns import detect_scheme
from recipes.ner.examples import (
    NerExample,
    first_overlap,
    is_json_lines,
    read_examples,
    read_tagged,
)

_BATCH = 256
_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    def encode_batch(self, texts: Sequence[str]) -> Sequence[_Encoding]: ...


def check(
    path: str | Path,
    *,
    nested: bool = False,
    max_length: int = 256,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line,
    ``labels`` one row a label (most frequent first), ``lengths`` and ``tokens`` a
    histogram (``tokens`` None without a tokenizer), ``windows`` the texts longer than
    ``max_length`` pieces, special tokens included. Without a tokenizer a character
    counts as a piece. ``duplicates`` and ``conflicts`` are texts that stand there
    again with the same and with another labelling.
    """
    scheme = None if is_json_lines(path) else detect_scheme(path)
    found = read_tagged(path, scheme) if scheme else read_examples(path, nested)
    bad: list[str] = []
    tables = _Tables()
    characters = Lengths()
    tokens = Lengths()
    examples = _good(islice(found, limit), bad)
    for batch in _batches(examples):
        for example in batch:
            tables.add(example)
            characters.add(len(example.text), example.line)
        if tokenizer is not None:
            encodings = tokenizer.encode_batch([example.text for example in batch])
            for example, encoding in zip(batch, encodings, strict=True):
                tokens.add(len(encoding.token_ids), example.line)
    pieces = characters if tokenizer is None else tokens
    return {
        "file": str(path),
        "format": scheme or "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": characters.count,
        "bad_lines": bad,
        **tables.report(),
        "lengths": characters.report(),
        "tokens": None if tokenizer is None else tokens.report(),
        "windows": {
            "unit": "characters" if tokenizer is None else "tokens",
            "max_length": max_length,
            "longer": pieces.longer_than(max_length - _SPECIAL_TOKENS),
        },
    }


class _Tables:
    """Labels, duplicates and conflicts, one example at a time."""

    def __init__(self) -> None:
        self.empty = 0
        self.without_entities = 0
        self.nested = 0
        self.counts: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self.surfaces: defaultdict[str, set[str]] = defaultdict(set)
        # digest of a text -> its labelling and line; the texts may not fit in memory
        self.seen: dict[bytes, tuple[bytes, str]] = {}
        self.duplicates: list[dict[str, str]] = []
        self.conflicts: list[dict[str, str]] = []

    def add(self, example: NerExample) -> None:
        self.empty += not example.text
        self.without_entities += not example.entities
        self.nested += first_overlap(example.entities) is not None
        for entity in example.entities:
            self.counts[entity.label] += 1
            self.characters[entity.label] += entity.end - entity.start
            self.surfaces[entity.label].add(example.text[entity.start : entity.end])
        text, labelling = _digest(example.text), _digest(repr(example.entities))
        if text not in self.seen:
            self.seen[text] = (labelling, example.line)
            return
        first_labelling, first_line = self.seen[text]
        again = self.duplicates if labelling == first_labelling else self.conflicts
        again.append({"line": example.line, "first": first_line})

    def report(self) -> dict[str, Any]:
        return {
            "entities": self.counts.total(),
            "empty": self.empty,
            "without_entities": self.without_entities,
            "nested": self.nested,
            "labels": [
                {
                    "label": label,
                    "count": count,
                    "distinct": len(self.surfaces[label]),
                    "mean_length": self.characters[label] / count,
                }
                for label, count in sorted(
                    self.counts.items(), key=lambda item: (-item[1], item[0])
                )
            ],
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
        }


def _good(
    examples: Iterable[NerExample | DataError], bad: list[str]
) -> Iterator[NerExample]:
    for example in examples:
        if isinstance(example, DataError):
            bad.append(str(example))
        else:
            yield example


def _batches(examples: Iterator[NerExample]) -> Iterator[list[NerExample]]:
    while batch := list(islice(examples, _BATCH)):
        yield batch


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
