"""Masked tokens: what may stand in each masked place of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpcli.errors import CheckpointError, DataError
from nlpcli.records.row import Row
from nlpcli.text.batching import Features
from nlpcli.text.sequences import lay_out
from nlpcli.text.tokenizers.encoding import Tokenizer

MASK = "[MASK]"


@dataclass(frozen=True)
class MaskedText:
    """A text with masks in it, and how the model reads it."""

    text: str
    features: Features


class MaskedReader:
    """How texts with ``[MASK]`` in them are read, and what fills them is told.

    ``longest``: tokens that the model has positions for, None without a limit. Raises
    CheckpointError for a vocabulary without a mask.
    """

    def __init__(self, tokenizer: Tokenizer, longest: int | None) -> None:
        vocab = tokenizer.vocab
        if vocab.mask_id is None:
            raise CheckpointError(f"{vocab.origin}: expected a mask token, found none")
        self.tokenizer = tokenizer
        self.longest = longest
        # as people write it, or as the vocabulary has it
        names = dict.fromkeys((MASK, vocab.tokens[vocab.mask_id]))
        self._mask = re.compile("|".join(map(re.escape, names)))

    def ask(self, row: Row) -> MaskedText:
        """[CLS] text [SEP], its masks as targets; DataError for a text without any,
        or of too many tokens."""
        vocab, text = self.tokenizer.vocab, row.string("text")
        parts = self._mask.split(text)
        ids = list(self.tokenizer.encode(parts[0]).token_ids)
        for part in parts[1:]:
            ids += [vocab.mask_id, *self.tokenizer.encode(part).token_ids]
        if len(parts) == 1:
            raise DataError(f"expected {MASK} in the text, got none")
        if self.longest is not None and len(ids) + 2 > self.longest:
            raise DataError(
                f"expected at most {self.longest - 2} tokens, got {len(ids)}"
            )
        laid, _ = lay_out(vocab, [ids])
        features = {
            "token_ids": laid,
            "segment_ids": np.zeros(len(laid), np.int32),
            "padding_mask": np.ones(len(laid), bool),
            "predict_at": np.flatnonzero(laid == vocab.mask_id).astype(np.int32),
        }
        return MaskedText(text, features)

    def answer(self, text: str, logits: np.ndarray, top: int) -> dict[str, Any]:
        """``masks``: for each, where it stands and its likeliest tokens.

        logits: (masks or more, vocabulary); special tokens and rows beyond the
        vocabulary are left out.
        """
        places = [match.span() for match in self._mask.finditer(text)]
        vocab = self.tokenizer.vocab
        never = [*vocab.special_ids, *range(len(vocab.tokens), logits.shape[-1])]
        masks = []
        for (start, end), scores in zip(
            places, logits.astype(np.float64), strict=False
        ):
            chances = np.exp(scores - scores.max())
            chances /= chances.sum()
            chances[never] = 0.0
            best = np.argsort(-chances, kind="stable")[:top]
            masks.append(
                {"start": start, "end": end, "tokens": self._told(best, chances)}
            )
        return {"masks": masks}

    def _told(self, ids: np.ndarray, chances: np.ndarray) -> list[dict[str, Any]]:
        vocab = self.tokenizer.vocab
        return [
            {
                "token": vocab.tokens[i],
                "text": self.tokenizer.text([i]),
                "probability": round(float(chances[i]), 4),
            }
            for i in ids.tolist()
        ]
