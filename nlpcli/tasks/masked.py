"""Masked tokens: what may stand in each masked place of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpcli.errors import CheckpointError, DataError
from nlpcli.text.batching import Features
from nlpcli.text.sequences import lay_out
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import text_of

MASK = "[MASK]"


@dataclass(frozen=True)
class MaskedReader:
    """How texts with ``[MASK]`` in them are read, and what fills them is told.

    ``longest``: tokens that the model has positions for, None without a limit. Raises
    CheckpointError for a vocabulary without a mask.
    """

    tokenizer: Tokenizer
    longest: int | None

    def features(self, text: str) -> Features:
        """[CLS] text [SEP], its masks as targets; DataError for a text without any,
        or of too many tokens."""
        vocab = self.tokenizer.vocab
        if vocab.mask_id is None:
            raise CheckpointError(f"{vocab.origin}: expected a mask token, found none")
        parts = self._parts(text)
        ids = list(self.tokenizer.encode(parts[0]).token_ids)
        for part in parts[1:]:
            ids += [vocab.mask_id, *self.tokenizer.encode(part).token_ids]
        if len(parts) == 1:
            raise DataError(f"expected {MASK} in the text, got none")
        if self.longest is not None and len(ids) + 2 > self.longest:
            raise DataError(
                f"expected at most {self.longest - 2} tokens, got {len(ids)}"
            )
        row, _ = lay_out(vocab, [ids])
        return {
            "token_ids": row,
            "segment_ids": np.zeros(len(row), np.int32),
            "padding_mask": np.ones(len(row), bool),
            "predict_at": np.flatnonzero(row == vocab.mask_id).astype(np.int32),
        }

    def answer(self, text: str, logits: np.ndarray, top: int) -> dict[str, Any]:
        """``masks``: for each, where it stands and its likeliest tokens.

        logits: (masks or more, vocabulary); special tokens and rows beyond the
        vocabulary are left out.
        """
        places = [match.span() for match in re.finditer(self._pattern, text)]
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
                "text": text_of(vocab, [i]),
                "probability": round(float(chances[i]), 4),
            }
            for i in ids.tolist()
        ]

    def _parts(self, text: str) -> list[str]:
        return re.split(self._pattern, text)

    @property
    def _pattern(self) -> str:
        """The mask as people write it, or as the vocabulary has it."""
        mask_id = self.tokenizer.vocab.mask_id
        own = MASK if mask_id is None else self.tokenizer.vocab.tokens[mask_id]
        return "|".join(re.escape(name) for name in dict.fromkeys((MASK, own)))
