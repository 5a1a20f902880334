"""Tokenizers: ids and offsets from one pass, for every kind of vocabulary."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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

    def text(
        self, ids: Iterable[int], begins: bool = True, finished: bool = True
    ) -> str:
        """The text of tokens, special ones left out.

        ``begins``: nothing stands before it, so that a first space that only marks
        the beginning goes. Not ``finished``: more follows, so that a character of
        which only some bytes are there is not told yet.
        """

    def save(self, folder: Path) -> None:
        """Write the files that load_tokenizer and transformers read."""


def uncover_mark(item: Any, offsets: np.ndarray) -> None:
    """Let the mark that only stands before a text cover nothing, in place.

    item: what the library found, which lets the mark cover the first character, as
    the next token does.
    """
    shared = len(offsets) > 1 and offsets[0, 0] == offsets[1, 0]
    if shared and item.tokens[0] in ("▁", "Ġ"):
        offsets[0, 1] = offsets[0, 0]


def encodable(text: str) -> str:
    """The text with each surrogate as U+FFFD: Rust strings cannot hold them.

    Two that would make a pair stay two, so offsets stay those of the text.
    """
    return _SURROGATE.sub("\ufffd", text)


def from_bytes(raw: bytes, finished: bool) -> str:
    """The text of some bytes, U+FFFD for what is no UTF-8.

    Where it is not ``finished``, a last character that is not whole is left out.
    """
    return codecs.getincrementaldecoder("utf-8")("replace").decode(raw, finished)


def piece_bytes(piece: str, byte_fallback: bool) -> bytes:
    """The bytes of a SentencePiece piece: "▁" is a space, <0xE4> a byte."""
    if byte_fallback and len(piece) == 6 and piece[:3] == "<0x" and piece[5] == ">":
        try:
            return bytes.fromhex(piece[3:5])
        except ValueError:
            pass
    return piece.replace("▁", " ").encode()
