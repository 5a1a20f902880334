"""Tokenizers: ids and offsets from one pass, for three kinds of vocabulary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nlpcli.text.tokenizers.vocab import Vocab

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Encoding:
    """Pieces of a text, without special tokens.

    token_ids: (pieces,) int32; offsets: (pieces, 2) int32, half-open, code points of
    the original text, whatever normalisation did to it.
    """

    token_ids: np.ndarray
    offsets: np.ndarray


class Tokenizer(Protocol):
    """Text to pieces. User text never becomes a special token."""

    kind: str
    vocab: Vocab

    def encode(self, text: str) -> Encoding:
        """The pieces of one text."""

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """The pieces of each text."""

    def encode_characters(self, text: str) -> Encoding:
        """One piece for each character that is not a space."""

    def character_ids(self, text: str) -> np.ndarray:
        """(len(text),) int32: the id of each character alone, or the unknown id."""

    def with_vocab(self, ids: Sequence[int], extra: Sequence[str]) -> Tokenizer:
        """The same tokenizer over the rows ``ids``, then new tokens."""

    def save(self, folder: Path) -> None:
        """Write the files that load_tokenizer and transformers read."""


def encodable(text: str) -> str:
    """The text with each surrogate as U+FFFD: Rust strings cannot hold them.

    Two that would make a pair stay two, so offsets stay those of the text.
    """
    return _SURROGATE.sub("\ufffd", text)
