"""Which tokenizer a model folder has, and tokenizers over other vocabularies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nlpcli.errors import NotFoundError
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.settings import read_kind, read_settings
from nlpcli.text.tokenizers.unigram import UnigramTokenizer, is_unigram
from nlpcli.text.tokenizers.vocab import Vocab, has_words, tiny_vocab
from nlpcli.text.tokenizers.word_level import WordTokenizer
from nlpcli.text.tokenizers.word_piece import WordPieceTokenizer


def load_tokenizer(folder: Path, kind: str = "auto") -> Tokenizer:
    """The tokenizer of a model folder.

    ``auto``: what nlpcli wrote beside it, else vocab.txt (word-level when it holds
    many words of several Han characters), else a Unigram tokenizer.json.
    Raises NotFoundError or CheckpointError.
    """
    settings = read_settings(folder)
    if kind == "auto":
        kind = read_kind(folder, settings) or _guess(folder)
    if kind == "unigram":
        return UnigramTokenizer.load(folder)
    if kind == "word":
        return WordTokenizer.load(folder, settings)
    return WordPieceTokenizer.load(folder, settings)


def tiny_tokenizer() -> Tokenizer:
    """The built-in tokenizer of the model ``tiny``."""
    return WordPieceTokenizer(tiny_vocab())


def subset(tokenizer: Tokenizer, keep: Iterable[int]) -> tuple[Tokenizer, np.ndarray]:
    """A tokenizer over some ids and all special ones; the old id of each new one."""
    ids = sorted({*keep, *tokenizer.vocab.special_ids})
    return tokenizer.with_vocab(ids, ()), np.array(ids, np.int64)


def extend(
    tokenizer: Tokenizer, tokens: Sequence[str]
) -> tuple[Tokenizer, list[list[int]]]:
    """A tokenizer with more tokens, and the old ids whose mean starts each new row."""
    new = [t for t in dict.fromkeys(tokens) if t not in tokenizer.vocab.index]
    pieces = []
    for token in new:
        encoding = tokenizer.encode(token)
        # The mark that Unigram puts before a text is no part of the token.
        covers = encoding.offsets[:, 1] > encoding.offsets[:, 0]
        ids = encoding.token_ids[covers].tolist()
        pieces.append(ids or [tokenizer.vocab.require("unk")])
    size = len(tokenizer.vocab.tokens)
    return tokenizer.with_vocab(range(size), new), pieces


def text_of(vocab: Vocab, ids: Iterable[int]) -> str:
    """The text of token ids: continuation marks resolved, special tokens dropped."""
    special = set(vocab.special_ids)
    tokens = [vocab.tokens[i] for i in ids if i not in special]
    return "".join(t.removeprefix("##").replace("▁", " ") for t in tokens).strip()


def _guess(folder: Path) -> str:
    vocab = folder / "vocab.txt"
    if vocab.exists():
        return "word" if has_words(vocab) else "wordpiece"
    if is_unigram(folder / "tokenizer.json"):
        return "unigram"
    raise NotFoundError(
        f"{folder}: expected vocab.txt or a Unigram tokenizer.json, found neither"
    )
