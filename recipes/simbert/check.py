"""What ``data check`` says of a file of synonyms or pairs, read as ``train`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import decode_lines
from recipes.simbert.examples import SimilarityExample, read_examples
from recipes.simbert.features import synonym_pairs

_SPECIAL_TOKENS = 3  # [CLS] one text [SEP] the other [SEP]


class _Encoding(Protocol):
    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class _Tokenizer(Protocol):
    def encode(self, text: str) -> _Encoding: ...


def check(
    path: str | Path,
    *,
    max_length: int = 64,
    tokenizer: _Tokenizer | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` lines of it, and report on it.

    Plain data, ready for JSON: ``bad_lines`` holds the message of every bad line;
    ``texts`` and ``synonym_pairs`` count what is there to learn from; ``labels`` one
    row a label of pairs; ``alone`` groups without a synonym. ``lengths`` are
    characters of a text, ``tokens`` pieces (None without a tokenizer); ``windows``
    counts the texts that training cuts because half of ``max_length`` is a text's
    share. ``duplicates`` and ``conflicts`` are pairs, either way round, that stand
    there again with the same and with another label.
    """
    bad: list[str] = []
    kinds: Counter[str] = Counter()
    labels: Counter[float] = Counter()
    characters, tokens = Lengths(), Lengths()
    pairs = alone = 0
    seen: dict[bytes, tuple[float | None, str]] = {}
    again: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for item in islice(read_examples(path), limit):
        if isinstance(item, DataError):
            bad.append(str(item))
            continue
        kinds[item.kind] += 1
        pairs += len(synonym_pairs(item))
        alone += len(item.texts) == 1
        for text in item.texts:
            characters.add(len(text), item.line)
            if tokenizer is not None:
                tokens.add(len(tokenizer.encode(text).token_ids), item.line)
        if item.kind == "pair":
            labels[item.label or 0.0] += 1
            label, line = seen.setdefault(_key(item), (item.label, item.line))
            if line != item.line:
                again[label == item.label].append({"line": item.line, "first": line})
    pieces = characters if tokenizer is None else tokens
    return {
        "file": str(path),
        "format": _format(path),
        "lines": sum(1 for _ in decode_lines(path)),
        "examples": kinds.total(),
        **{f"{kind}s": count for kind, count in sorted(kinds.items())},
        "texts": characters.count,
        "synonym_pairs": pairs,
        "alone": alone,
        "bad_lines": bad,
        "labels": [
            {"label": f"{label:g}", "pairs": count}
            for label, count in sorted(labels.items())
        ],
        "lengths": characters.report(),
        "tokens": None if tokenizer is None else tokens.report(),
        "windows": {
            "unit": "characters" if tokenizer is None else "tokens",
            "max_length": max_length,
            "longer": pieces.longer_than((max_length - _SPECIAL_TOKENS) // 2),
            "then": "two share it: train cuts the end of a text beyond half",
        },
        "duplicates": again[True],
        "conflicts": again[False],
    }


def _format(path: str | Path) -> str:
    for _, line in decode_lines(path):
        if isinstance(line, str) and line.strip():
            return "jsonl" if line.lstrip().startswith("{") else "columns"
    return "columns"


def _key(example: SimilarityExample) -> bytes:
    """A digest of both texts in either order; the texts may not fit in memory."""
    both = "\t".join(sorted(example.texts))
    return blake2b(both.encode("utf-8", "surrogatepass"), digest_size=16).digest()
