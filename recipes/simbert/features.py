"""Examples to training rows, by objective: what belongs together is one row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np

from nlpcli.heads.similarity import BACK, NEGATIVE, POSITIVE
from nlpcli.text.batching import Features, Field
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.sequences import sequence_fields, training_features
from recipes.simbert.examples import SimilarityExample

_NOTHING = np.zeros(0, np.int32)


def fields_of(reader: SentenceReader) -> dict[str, Field]:
    """How every feature of this module pads."""
    known = {**sequence_fields(reader.tokenizer.vocab.pad_id), "group": Field(())}
    for ending in (BACK, POSITIVE, NEGATIVE):
        known |= {name + ending: field for name, field in known.items() if "_" in name}
    return known


def training_rows(
    examples: Sequence[SimilarityExample], reader: SentenceReader, objective: str
) -> list[list[Features]]:
    """The rows of each example; none where it has nothing to teach the objective."""
    if objective == "simbert":
        return _written_both_ways(examples, reader)
    if objective == "simcse":
        return _alone(examples, reader)
    return _with_negatives(examples, reader)


def synonym_pairs(example: SimilarityExample) -> list[tuple[str, str]]:
    """Pairs that mean the same: neighbours in the ring of a group, so each text is
    in two of them; a pair of label 1; a triplet without its negative."""
    texts = example.texts
    if example.kind == "group":
        ring = texts if len(texts) < 3 else (*texts, texts[0])
        return list(pairwise(ring))
    if example.kind == "pair" and example.label != 1:
        return []
    return [(texts[0], texts[1])]


def _written_both_ways(
    examples: Sequence[SimilarityExample], reader: SentenceReader
) -> list[list[Features]]:
    """A pair as two UniLM sequences, each text the source of the other."""
    pairs = [synonym_pairs(example) for example in examples]
    texts = list(dict.fromkeys(t for own in pairs for pair in own for t in pair))
    room = (reader.longest - 3) // 2
    source = dict(zip(texts, reader.pieces(texts, room), strict=True))
    target = dict(zip(texts, reader.pieces(texts, room, prefixed=False), strict=True))
    vocab = reader.tokenizer.vocab

    def sequence(given: str, written: str, ending: str) -> Features:
        first = [vocab.cls_id, *source[given], vocab.sep_id]
        ids = [*first, *target[written], vocab.sep_id]
        segments = np.arange(len(ids)) >= len(first)
        features = training_features(ids, segments, segments)
        return {name + ending: array for name, array in features.items()}

    return [
        [
            {**sequence(a, b, ""), **sequence(b, a, BACK), **_group(example)}
            for a, b in own
        ]
        for example, own in zip(examples, pairs, strict=True)
    ]


def _alone(
    examples: Sequence[SimilarityExample], reader: SentenceReader
) -> list[list[Features]]:
    rows = iter(reader.features([text for x in examples for text in x.texts]))
    return [
        [{**next(rows), **_group(example)} for _ in example.texts]
        for example in examples
    ]


def _with_negatives(
    examples: Sequence[SimilarityExample], reader: SentenceReader
) -> list[list[Features]]:
    """A sentence, its positive, and a hard negative or an empty row.

    Of a pair with label 0 only the negative is known: the sentence under another
    dropout is the positive.
    """
    triples: list[list[tuple[str, str, str | None]]] = []
    for example in examples:
        texts = example.texts
        if example.kind == "triplet":
            triples.append([(texts[0], texts[1], texts[2])])
        elif example.kind == "pair" and example.label != 1:
            triples.append([(texts[0], texts[0], texts[1])])
        else:
            triples.append([(a, b, None) for a, b in synonym_pairs(example)])
    wanted = {t for own in triples for triple in own for t in triple if t is not None}
    texts = tuple(sorted(wanted))
    read = dict(zip(texts, reader.features(texts), strict=True))
    nothing = {"token_ids": _NOTHING, "padding_mask": np.zeros(0, bool)}

    def row(parts: tuple[str, str, str | None]) -> Features:
        return {
            name + ending: array
            for text, ending in zip(parts, ("", POSITIVE, NEGATIVE), strict=True)
            for name, array in (nothing if text is None else read[text]).items()
        }

    return [
        [{**row(parts), **_group(example)} for parts in own]
        for example, own in zip(examples, triples, strict=True)
    ]


def _group(example: SimilarityExample) -> Features:
    """A number of the group's first text, the same in every process."""
    first = example.texts[0].encode("utf-8", "surrogatepass")
    return {"group": np.array(crc32(first) >> 1, np.int32)}
