"""Examples to training rows, by objective: what belongs together is one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np

from nlpcli.heads.endings import BACK, NEGATIVE, POSITIVE
from nlpcli.text.batching import Features
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.sequences import lay_out, training_features

from .form import SimilarityExample

Texts = tuple[str, ...]
Read = Callable[[Texts, int], Features]  # of a row's texts, and the place of one

# Stands where a row has no hard negative and others have.
NO_NEGATIVE: Features = {
    "token_ids" + NEGATIVE: np.zeros(0, np.int32),
    "padding_mask" + NEGATIVE: np.zeros(0, bool),
}


def training_rows(
    examples: Sequence[SimilarityExample], reader: SentenceReader, objective: str
) -> list[list[Features]]:
    """The rows of each example; none where it has nothing to teach the objective."""
    rows = [_rows(example, objective) for example in examples]
    texts = list(dict.fromkeys(t for own in rows for row in own for t in row))
    writes = objective == "simbert"
    read = _both_ways(texts, reader) if writes else _side_by_side(texts, reader)
    endings = ("", BACK if writes else POSITIVE, NEGATIVE)

    def features(row: Texts, group: np.ndarray) -> Features:
        found = {"group": group}
        for place in range(len(row)):
            for name, array in read(row, place).items():
                found[name + endings[place]] = array
        return found

    return [
        [features(row, _group(example)) for row in own]
        for example, own in zip(examples, rows, strict=True)
    ]


def has_negative(example: SimilarityExample) -> bool:
    """Whether it has a text that means something else."""
    pair = example.kind == "pair" and example.label != 1
    return pair or example.kind == "triplet"


def _rows(example: SimilarityExample, objective: str) -> Sequence[Texts]:
    """A sentence, its positive and, where there is one, a hard negative.

    Of a pair with label 0 only the negative is known: the sentence under another
    dropout is the positive, as it is for simcse.
    """
    if objective == "simcse":
        return [(text,) for text in example.texts]
    if objective == "simbert" or not has_negative(example):
        return example.synonyms()
    first = example.texts[:1] if example.kind == "pair" else ()
    return [(*first, *example.texts)]


def _both_ways(texts: Sequence[str], reader: SentenceReader) -> Read:
    """Each text of a pair as a UniLM sequence after the other, its source."""
    room = (reader.longest - 3) // 2
    source = dict(zip(texts, reader.pieces(texts, room), strict=True))
    target = dict(zip(texts, reader.pieces(texts, room, prefixed=False), strict=True))

    def read(row: Texts, place: int) -> Features:
        parts = [source[row[place]], target[row[1 - place]]]
        ids, owners = lay_out(reader.tokenizer.vocab, parts)
        return training_features(ids, owners == 1, owners == 1)

    return read


def _side_by_side(texts: Sequence[str], reader: SentenceReader) -> Read:
    known = dict(zip(texts, reader.features(texts), strict=True))
    return lambda row, place: known[row[place]]


def _group(example: SimilarityExample) -> np.ndarray:
    """A number of the group's first text, the same in every process."""
    first = example.texts[0].encode("utf-8", "surrogatepass")
    return np.array(crc32(first) >> 1, np.int32)
