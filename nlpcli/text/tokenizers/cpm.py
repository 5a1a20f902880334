"""CPM's tokenizer: words by jieba, two signs for what stands between, SentencePiece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nlpcli.text.tokenizers.byte_pair import BytePairTokenizer, save_json
from nlpcli.text.tokenizers.encoding import Encoding, encodable
from nlpcli.text.tokenizers.piece_model import PieceModel, PieceType
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from nlpcli.text.tokenizers.word_level import segmenter
from nlpcli.text.tokenizers.word_piece import encode_characters

SPACE, NEWLINE = "\u2582", "\u2583"
_SIGNS = str.maketrans({" ": SPACE, "\n": NEWLINE})
_CHARACTERS = str.maketrans({" ": None, SPACE: " ", NEWLINE: "\n"})
_NEWLINE_PIECE = "<cls>"
# <s> and </s> are among the pieces, but no text of its training had them.
TOLD: dict[str, str | None] = {
    "bos_token": None,
    "eos_token": "<eod>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": None,
}


class CpmTokenizer:
    """jieba's words (precise mode, with its HMM) joined by spaces, then pieces.

    In each word a space is U+2582 and a newline U+2583; the spaces between words are
    no text (TsinghuaAI/CPM-1-Generate: data_utils/tokenization_gpt2.py).
    """

    kind = "cpm"

    def __init__(self, pieces: UnigramTokenizer | BytePairTokenizer) -> None:
        """``pieces``: made with the roles of TOLD."""
        self._pieces = pieces
        self.vocab = pieces.vocab

    def encode(self, text: str) -> Encoding:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        joined = [_joined(encodable(text)) for text in texts]
        found = self._pieces.encode_batch([words for words, _ in joined])
        return [
            Encoding(encoding.token_ids, _original(encoding.offsets, spans))
            for encoding, (_, spans) in zip(found, joined, strict=True)
        ]

    def encode_characters(self, text: str) -> Encoding:
        return encode_characters(self, text)

    def character_ids(self, text: str) -> np.ndarray:
        return self._pieces.character_ids(text.translate(_SIGNS))

    def text(
        self, ids: Iterable[int], begins: bool = True, finished: bool = True
    ) -> str:
        return self._pieces.text(ids, False, finished).translate(_CHARACTERS)

    def with_vocab(self, ids: Sequence[int], extra: Sequence[str]) -> CpmTokenizer:
        return CpmTokenizer(self._pieces.with_vocab(ids, extra))

    def save(self, folder: Path) -> None:
        save_json(folder, self._pieces.raw, self.vocab, self.kind, TOLD)


def is_cpm(pieces: Iterable[str]) -> bool:
    """Whether a vocabulary is CPM's: it has its end and its sign for a space."""
    return {"<eod>", SPACE}.issubset(p for p in pieces if isinstance(p, str))


def with_newline(model: PieceModel) -> PieceModel:
    """CPM's pieces with the sign for a newline, whose id 3 its file names <cls>."""
    if NEWLINE not in model.pieces and _NEWLINE_PIECE in model.pieces:
        place = model.pieces.index(_NEWLINE_PIECE)
        model.pieces[place], model.types[place] = NEWLINE, PieceType.NORMAL
    return model


def _joined(text: str) -> tuple[str, np.ndarray]:
    """Words with spaces between, and the characters of the text under each of theirs.

    (characters, 2): of a space between words, nothing.
    """
    words = [word.translate(_SIGNS) for word in segmenter().cut(text)]
    spans: list[tuple[int, int]] = []
    place = 0
    for word in words:
        if place:
            spans.append((place, place))
        spans += [(i, i + 1) for i in range(place, place + len(word))]
        place += len(word)
    return " ".join(words), np.array(spans, np.int32).reshape(-1, 2)


def _original(offsets: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(pieces, 2): offsets in the joined words as offsets in the text."""
    if not len(offsets) or not len(spans):
        return np.zeros_like(offsets)
    starts, ends = offsets.T
    first = spans[np.minimum(starts, len(spans) - 1), 0]
    last = spans[np.maximum(ends - 1, 0), 1]
    last = np.where(ends > starts, last, first)
    return np.stack([first, last], axis=1).astype(np.int32)
