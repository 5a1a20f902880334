"""Features of sequences that are generated: what is given, what is to be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlpcli.text.batching import Features, Field
from nlpcli.text.tokenizers.vocab import Vocab

Ids = Sequence[int] | np.ndarray


def sequence_fields(pad_id: int) -> dict[str, Field]:
    """How the features of this module pad."""
    return {
        "token_ids": Field(("tokens",), pad_id, tokens=True),
        "segment_ids": Field(("tokens",)),
        "padding_mask": Field(("tokens",), False),
        "predict_at": Field(("targets",)),
        "target_ids": Field(("targets",), pad_id, tokens=True),
        "target_mask": Field(("targets",), False),
        "next_segment": Field(()),
    }


def lay_out(vocab: Vocab, parts: Sequence[Ids]) -> tuple[np.ndarray, np.ndarray]:
    """[CLS] part [SEP] part [SEP] ...: (tokens,) ids, and each one's part by number.

    A [SEP] belongs to the part that it ends; [CLS] has -1, and is not there where
    the vocabulary has no token for it.
    """
    begin = vocab.begin_id
    ids, owners = ([], []) if begin is None else ([begin], [-1])
    for number, part in enumerate(parts):
        ids += [*part, vocab.end_id]
        owners += [number] * (len(part) + 1)
    return np.array(ids, np.int32), np.array(owners, np.int32)


def asked(vocab: Vocab, source: Ids) -> Features:
    """What stands before an answer to a source."""
    ids, _ = lay_out(vocab, [source])
    return prompt_features(ids, np.zeros(len(ids)), next_segment=1)


def training_features(
    token_ids: Sequence[int] | Any, segment_ids: Sequence[int] | Any, learn: Any
) -> Features:
    """A whole sequence and which of its tokens are targets.

    token_ids, segment_ids, learn: (tokens,); ``learn[i]`` makes token i a target, to
    be predicted at position i - 1; the first token has no position before it.
    """
    ids = np.asarray(token_ids, np.int32)
    places = np.flatnonzero(np.asarray(learn, bool))
    places = places[places > 0]
    return {
        **_inputs(ids, segment_ids),
        "predict_at": (places - 1).astype(np.int32),
        "target_ids": ids[places],
        "target_mask": np.ones(len(places), bool),
    }


def prompt_features(
    token_ids: Sequence[int] | Any, segment_ids: Sequence[int] | Any, next_segment: int
) -> Features:
    """What stands before an answer, and the segment that the answer belongs to."""
    return {
        **_inputs(np.asarray(token_ids, np.int32), segment_ids),
        "next_segment": np.array(next_segment, np.int32),
    }


def _inputs(ids: np.ndarray, segment_ids: Any) -> Features:
    return {
        "token_ids": ids,
        "segment_ids": np.asarray(segment_ids, np.int32),
        "padding_mask": np.ones(len(ids), bool),
    }
