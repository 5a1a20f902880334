"""Where a source and what is written about it stand: in one sequence, or apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nlpcli.text.batching import Features, Field
from nlpcli.text.sequences import (
    Ids,
    lay_out,
    prompt_features,
    sequence_fields,
    training_features,
)
from nlpcli.text.tokenizers.vocab import Vocab


class Layout(Protocol):
    """Sources and targets as the features of a model that writes."""

    @property
    def fields(self) -> dict[str, Field]:
        """How the features pad."""

    def learnt(self, source: Ids, target: Ids, learn: Any) -> Features:
        """A target, its ends in it, and which of its tokens are learnt: (target,)."""

    def asked(self, source: Ids, begun: Ids = ()) -> Features:
        """What stands before an answer, of which some may be there already."""


@dataclass(frozen=True)
class Prefix:
    """[CLS] source [SEP] target, for one stack."""

    vocab: Vocab

    @property
    def fields(self) -> dict[str, Field]:
        return sequence_fields(self.vocab.pad_id)

    def learnt(self, source: Ids, target: Ids, learn: Any) -> Features:
        ids, owners = self._whole(source, target)
        here = np.zeros(len(ids), bool)
        here[len(ids) - len(target) :] = learn
        return training_features(ids, owners, here)

    def asked(self, source: Ids, begun: Ids = ()) -> Features:
        ids, owners = self._whole(source, begun)
        return prompt_features(ids, owners, next_segment=1)

    def _whole(self, source: Ids, target: Ids) -> tuple[np.ndarray, np.ndarray]:
        before, _ = lay_out(self.vocab, [source])
        ids = np.concatenate([before, np.asarray(target, np.int32)])
        return ids, np.arange(len(ids)) >= len(before)


@dataclass(frozen=True)
class Apart:
    """[CLS] source [SEP] for an encoder; start and target for a decoder."""

    vocab: Vocab
    start: int

    @property
    def fields(self) -> dict[str, Field]:
        pad = self.vocab.pad_id
        return {
            "token_ids": Field(("tokens",), pad, tokens=True),
            "padding_mask": Field(("tokens",), False),
            "answer_ids": Field(("answer",), pad, tokens=True),
            "answer_mask": Field(("answer",), False),
            "predict_at": Field(("targets",)),
            "target_ids": Field(("targets",), pad, tokens=True),
            "target_mask": Field(("targets",), False),
        }

    def learnt(self, source: Ids, target: Ids, learn: Any) -> Features:
        ids = np.asarray(target, np.int32)
        places = np.flatnonzero(learn).astype(np.int32)
        return {
            **self.asked(source, ids[:-1]),
            "predict_at": places,
            "target_ids": ids[places],
            "target_mask": np.ones(len(places), bool),
        }

    def asked(self, source: Ids, begun: Ids = ()) -> Features:
        ids, _ = lay_out(self.vocab, [source])
        answer = np.array([self.start, *begun], np.int32)
        return {
            "token_ids": ids,
            "padding_mask": np.ones(len(ids), bool),
            "answer_ids": answer,
            "answer_mask": np.ones(len(answer), bool),
        }


def ended(vocab: Vocab, parts: Sequence[Ids]) -> tuple[np.ndarray, np.ndarray]:
    """Parts of an answer, each with its end: ids, and the number of each one's part."""
    ids, owners = lay_out(vocab, parts)
    return ids[owners >= 0], owners[owners >= 0]


def start_id(vocab: Vocab, told: int = -1) -> int:
    """What a decoder reads before its first token.

    ``told``, or the vocabulary's begin, or its padding token, as T5 has it.
    """
    if told >= 0:
        return told
    return vocab.pad_id if vocab.begin_id is None else vocab.begin_id
