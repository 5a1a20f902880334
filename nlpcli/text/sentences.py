"""Sentences as an encoder reads them: prefix, pieces, cut to a length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlpcli.text.batching import Features, Field
from nlpcli.text.tokenizers.encoding import Tokenizer


@dataclass(frozen=True)
class SentenceReader:
    """How texts become token ids.

    ``longest`` counts the special tokens; what is longer is cut at the end.
    ``prefix`` stands before each text (E5 wants "query: "); with ``characters`` each
    character is a piece.
    """

    tokenizer: Tokenizer
    longest: int
    prefix: str = ""
    characters: bool = False

    def fields(self) -> dict[str, Field]:
        """How the features of ``features`` pad."""
        return {
            "token_ids": Field(("tokens",), self.tokenizer.vocab.pad_id, tokens=True),
            "padding_mask": Field(("tokens",), False),
        }

    def features(self, texts: Sequence[str]) -> list[Features]:
        """[CLS] prefix text [SEP], unpadded, for each text."""
        vocab = self.tokenizer.vocab
        ends = [vocab.require("begin")], [vocab.end_id]
        found = []
        for ids in self.pieces(texts, self.longest - 2):
            row = np.concatenate([ends[0], ids, ends[1]]).astype(np.int32)
            found.append({"token_ids": row, "padding_mask": np.ones(len(row), bool)})
        return found

    def pieces(
        self, texts: Sequence[str], room: int | None, prefixed: bool = True
    ) -> list[np.ndarray]:
        """Token ids of each text without special ones, at most ``room`` of them."""
        if prefixed and self.prefix:
            texts = [self.prefix + text for text in texts]
        if self.characters:
            encodings = [self.tokenizer.encode_characters(text) for text in texts]
        else:
            encodings = self.tokenizer.encode_batch(texts)
        return [encoding.token_ids[:room] for encoding in encodings]
