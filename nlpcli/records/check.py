"""What ``data check`` says of a file, which it reads as ``train`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nlpcli.errors import DataError
from nlpcli.records.form import E, Facts, Form, Mark, Unfit
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import LONGEST_LINE, Lines
from nlpcli.records.read import open_items
from nlpcli.records.tally import Tally

_BATCH = 256


class Pieces(Protocol):
    """What a tokenizer gives for a text."""

    @property
    def token_ids(self) -> Sequence[int] | Any: ...


class Tokenizer(Protocol):
    """What a count of tokens needs."""

    @property
    def vocab(self) -> Any: ...

    def encode_batch(self, texts: Sequence[str]) -> Sequence[Pieces]: ...

    def encode_characters(self, text: str) -> Pieces: ...


def check(
    form: Form[E],
    source: str | Path,
    *,
    max_length: int = 256,
    tokenizer: Tokenizer | None = None,
    limit: int | None = None,
    longest: int = LONGEST_LINE,
) -> dict[str, Any]:
    """Read a file, at most ``limit`` examples of it, and report what is in it.

    The rest of a file is counted, not read; what else has come by a pipe stays there.
    ``longest``: bytes of a line. Plain data, ready for JSON: ``bad_lines`` holds the
    message of every bad line (of very many ``unlisted`` counts the rest),
    ``labels`` the rows of the form's table, ``lengths`` a histogram in characters,
    ``tokens`` one of what the model reads at once (None without a tokenizer, whose
    ``unknown`` share is told where each character is a token), ``windows`` how many
    exceed what the form takes whole of ``max_length``, special tokens included;
    without a tokenizer a character counts as a piece. ``duplicates`` and ``conflicts``
    are keys that stand there again with the same and with another answer. The rest are
    the form's own counts.
    """
    reasons: Counter[str] = Counter()
    tally, measure = Tally(), _Measure(form, tokenizer)
    with Lines(source, longest) as lines:
        name, items = open_items(form, lines, every=False)
        kept = (item for item in items if not isinstance(item, Mark))
        for examples in _batches(islice(kept, limit)):
            found: list[tuple[Facts, str]] = []
            for item in examples:
                if isinstance(item, DataError):
                    tally.tell("bad_lines", str(item))
                    reasons.update([item.reason] if isinstance(item, Unfit) else [])
                    continue
                facts = form.facts(item)
                tally.add(facts, item.origin)
                found.append((facts, item.origin))
            measure.add(found)
        if limit is None or not lines.flows():
            for _ in lines:  # the rest is counted, not read
                pass
        count = lines.taken
    return {
        "file": lines.name,
        "format": name,
        "lines": count,
        "examples": tally.examples,
        **tally.told(),
        **form.reasons(reasons),
        **measure.unknown(),
        "bad_lines": tally.listed["bad_lines"],
        "labels": form.label_rows(tally.label_rows(form.label_name)),
        "lengths": measure.characters.report(),
        "tokens": None if tokenizer is None else measure.tokens.report(),
        "windows": {
            "unit": "characters" if tokenizer is None else "tokens",
            "max_length": max_length,
            "longer": measure.sequences.longer_than(form.whole(max_length)),
            "then": form.then,
        },
        "duplicates": tally.listed["duplicates"],
        "conflicts": tally.listed["conflicts"],
        **({"unlisted": dict(tally.unlisted)} if tally.unlisted else {}),
    }


class _Measure:
    """Lengths in characters and in tokens."""

    def __init__(self, form: Form[Any], tokenizer: Tokenizer | None) -> None:
        self.by_character = form.by_character
        self.tokenizer = tokenizer
        self.characters, self.tokens, self.sequences = Lengths(), Lengths(), Lengths()
        self.strange = 0

    def add(self, found: Sequence[tuple[Facts, str]]) -> None:
        """Take in the facts of some examples."""
        for facts, origin in found:
            for text in facts.texts:
                self.characters.add(len(text), origin)
        sizes = iter(self._sizes([p for f, _ in found for s in f.sequences for p in s]))
        for facts, origin in found:
            for parts in facts.sequences:
                size = sum(next(sizes) for _ in parts)
                self.tokens.add(size, origin)
                self.sequences.add(size + len(parts) + 1, origin)

    def unknown(self) -> dict[str, Any]:
        """The share of tokens that the tokenizer does not know."""
        if self.tokenizer is None or not self.by_character:
            return {}
        count = sum(size * n for size, n in self.tokens.lengths.items())
        return {"unknown": round(self.strange / count, 4) if count else None}

    def _sizes(self, parts: Sequence[str]) -> list[int]:
        if self.tokenizer is None:
            return [len(part) for part in parts]
        if not self.by_character:
            return [len(x.token_ids) for x in self.tokenizer.encode_batch(parts)]
        unknown, sizes = self.tokenizer.vocab.unk_id, []
        for part in parts:
            ids = self.tokenizer.encode_characters(part).token_ids
            self.strange += int((ids == unknown).sum())
            sizes.append(len(ids))
        return sizes


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(items, _BATCH)):
        yield batch
