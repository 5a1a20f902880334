"""WoBERT's tokenizer: jieba words that the vocabulary has, WordPiece for the rest."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nlpcli.text.tokenizers.encoding import Encoding
from nlpcli.text.tokenizers.word_piece import WordPieceTokenizer


class WordTokenizer(WordPieceTokenizer):
    """jieba without HMM; a word if it is in the vocabulary, else its pieces.

    (kexue.fm archives/7758.) As there, case and accents are folded before the text is
    cut, as far as the flags of cleaning say.
    """

    kind = "word"

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        index = self.vocab.index
        cuts = [self._cut(text) for text in texts]
        rest = {
            word: None
            for words, _ in cuts
            for word in words
            if len(word) == 1 or word not in index
        }
        # One call for the words of all texts: a call for each costs ten times that.
        pieces = dict(zip(rest, super().encode_batch(list(rest)), strict=True))
        return [self._join(words, origins, pieces) for words, origins in cuts]

    def _cut(self, text: str) -> tuple[list[str], np.ndarray]:
        """Words of the folded text, and the character each of its own came from."""
        text = self._prepare(text)
        strips = self.cleaning.strips
        folded = [fold(c, self.lowercase, strips) for c in text]
        lengths = [len(part) for part in folded]
        words = segmenter().cut("".join(folded), HMM=False)
        return list(words), np.repeat(np.arange(len(text)), lengths)

    def _join(
        self, words: list[str], origins: np.ndarray, pieces: dict[str, Encoding]
    ) -> Encoding:
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        start = 0
        for word in words:
            if found := pieces.get(word):
                ids += found.token_ids.tolist()
                spans += [(start + a, start + b) for a, b in found.offsets.tolist()]
            else:
                ids.append(self.vocab.index[word])
                spans.append((start, start + len(word)))
            start += len(word)
        offsets = np.array(spans, np.int32).reshape(-1, 2)
        if len(offsets):
            offsets = np.stack(
                [origins[offsets[:, 0]], origins[offsets[:, 1] - 1] + 1], axis=1
            )
        return Encoding(np.array(ids, np.int32), offsets.astype(np.int32))


@cache
def fold(character: str, lowercase: bool, strips: bool) -> str:
    """A character in small letters, and taken apart without its accents, or either."""
    folded = character.lower() if lowercase else character
    if not strips:
        return folded
    return "".join(
        part
        for part in unicodedata.normalize("NFD", folded)
        if unicodedata.category(part) != "Mn"
    )


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
