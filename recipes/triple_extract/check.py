"""What ``data check`` says of a file of triples, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.triple_extract.examples import (
    NotInText,
    Span,
    TripleExample,
    read_examples,
)

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    def encode(self, text: str) -> _Encoding: ...


def check(
    path: str | Path,
    *,
    max_length: int = 256,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` lines and bad triples of it, and report on it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line and
    of every triple left out, ``not_inside`` how many are triples that do not stand in
    their text; ``labels`` one row a predicate, most frequent first; ``overlapping``
    counts the texts with arguments that share characters without being the same,
    ``repeated`` those where a subject has several objects or an object several
    subjects. ``lengths`` are characters, ``tokens`` pieces (None without a tokenizer);
    ``windows`` counts the texts longer than ``max_length`` pieces, special ones
    included. ``duplicates`` and ``conflicts`` are texts that stand there again with
    the same and with other triples.
    """
    bad: list[str] = []
    not_inside = 0
    tables = _Tables()
    characters, tokens = Lengths(), Lengths()
    for item in islice(read_examples(path), limit):
        if isinstance(item, DataError):
            bad.append(str(item))
            not_inside += isinstance(item, NotInText)
            continue
        tables.add(item)
        characters.add(len(item.text), item.line)
        if tokenizer is not None:
            tokens.add(len(tokenizer.encode(item.text).token_ids), item.line)
    pieces = characters if tokenizer is None else tokens
    return {
        "file": str(path),
        "format": "jsonl",
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": characters.count,
        "not_inside": not_inside,
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
    """Predicates, duplicates and conflicts, one example at a time."""

    def __init__(self) -> None:
        self.empty = self.without_triples = self.overlapping = self.repeated = 0
        self.counts: Counter[str] = Counter()
        self.subjects: defaultdict[str, set[str]] = defaultdict(set)
        self.objects: defaultdict[str, set[str]] = defaultdict(set)
        # digest of a text -> its triples' and its line; the texts may not fit in memory
        self.seen: dict[bytes, tuple[bytes, str]] = {}
        self.duplicates: list[dict[str, str]] = []
        self.conflicts: list[dict[str, str]] = []

    def add(self, example: TripleExample) -> None:
        text, triples = example.text, example.triples
        subjects = {triple.subject for triple in triples}
        objects = {triple.object for triple in triples}
        self.empty += not text
        self.without_triples += not triples
        self.overlapping += _overlap(subjects | objects)
        links = {(triple.subject, triple.object) for triple in triples}
        self.repeated += len(links) > min(len(subjects), len(objects))
        for triple in triples:
            self.counts[triple.predicate] += 1
            self.subjects[triple.predicate].add(text[slice(*triple.subject)])
            self.objects[triple.predicate].add(text[slice(*triple.object)])
        answer = _digest(repr(triples))
        first, line = self.seen.setdefault(_digest(text), (answer, example.line))
        if line != example.line:
            again = self.duplicates if first == answer else self.conflicts
            again.append({"line": example.line, "first": line})

    def report(self) -> dict[str, Any]:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {
            "triples": self.counts.total(),
            "empty": self.empty,
            "without_triples": self.without_triples,
            "overlapping": self.overlapping,
            "repeated": self.repeated,
            "labels": [
                {
                    "predicate": predicate,
                    "count": count,
                    "subjects": len(self.subjects[predicate]),
                    "objects": len(self.objects[predicate]),
                }
                for predicate, count in ranked
            ],
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
        }


def _overlap(spans: set[Span]) -> bool:
    furthest = 0
    for start, end in sorted(spans):
        if start < furthest:
            return True
        furthest = max(furthest, end)
    return False


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
