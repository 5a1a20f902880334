"""WoBERT's tokenizer: jieba words that the vocabulary has, WordPiece for the rest."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nlpcli.text.tokenizer import Encoding
from nlpcli.text.word_piece import WordPieceTokenizer


class WordTokenizer(WordPieceTokenizer):
    """jieba without HMM; a word if it is in the vocabulary, else its pieces.

    (kexue.fm archives/7758.) Case is folded character by character before words are
    looked up, so that offsets stay those of the text.
    """

    kind = "word"

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        return [self._encode_words(text) for text in texts]

    def _encode_words(self, text: str) -> Encoding:
        ids: list[Any] = []
        offsets: list[Any] = []
        start = 0
        for word in segmenter().cut(self._fold(text), HMM=False):
            end = start + len(word)
            if len(word) > 1 and word in self.vocab.index:
                ids.append([self._plain(self.vocab.index[word])])
                offsets.append([[start, end]])
            else:
                pieces = super().encode_batch([text[start:end]])[0]
                ids.append(pieces.token_ids)
                offsets.append(pieces.offsets + start)
            start = end
        if not ids:
            return Encoding(np.zeros(0, np.int32), np.zeros((0, 2), np.int32))
        return Encoding(
            np.concatenate(ids).astype(np.int32),
            np.concatenate(offsets).astype(np.int32),
        )

    def _plain(self, token_id: int) -> int:
        special = token_id in self.vocab.special_ids
        return self.vocab.unk_id if special else token_id

    def _fold(self, text: str) -> str:
        if not self.lowercase:
            return text
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)

    def character_ids(self, text: str) -> np.ndarray:
        for character in set(text).difference(self._alone):
            ids = super().encode_batch([character])[0].token_ids
            self._alone[character] = int(ids[0]) if len(ids) == 1 else self.vocab.unk_id
        return np.array([self._alone[c] for c in text], np.int32)


@cache
def segmenter() -> Any:
    """jieba with its own dictionary, read directly.

    jieba would keep a marshalled cache under a known name in the shared temporary
    folder and load what it finds there; reading the dictionary takes a second.
    """
    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    with tokenizer.get_dict_file() as stream:
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(stream)
    tokenizer.initialized = True
    return tokenizer
