"""Tokenizers: ids and offsets from one pass, for three kinds of vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.vocab import Vocab

WORDS_OF_A_WORD_VOCABULARY = 1000
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


def load_tokenizer(folder: Path, kind: str = "auto") -> Tokenizer:
    """The tokenizer of a model folder.

    ``auto``: what nlpcli wrote beside it, else vocab.txt (word-level when it holds
    many words of several Han characters), else a Unigram tokenizer.json.
    Raises NotFoundError or CheckpointError.
    """
    from nlpcli.text.unigram import UnigramTokenizer, is_unigram
    from nlpcli.text.word_level import WordTokenizer
    from nlpcli.text.word_piece import WordPieceTokenizer

    settings = read_settings(folder)
    if kind == "auto":
        kind = settings.get("nlpcli_kind") or _guess(folder, is_unigram)
    if kind == "unigram":
        return UnigramTokenizer.load(folder)
    if kind == "word":
        return WordTokenizer.load(folder, settings)
    return WordPieceTokenizer.load(folder, settings)


def tiny_tokenizer() -> Tokenizer:
    """The built-in tokenizer of the model ``tiny``."""
    from nlpcli.text.vocab import tiny_vocab
    from nlpcli.text.word_piece import WordPieceTokenizer

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
        pieces.append(ids or [tokenizer.vocab.unk_id])
    size = len(tokenizer.vocab.tokens)
    return tokenizer.with_vocab(range(size), new), pieces


def read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, or nothing where there is none."""
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: expected JSON ({error})") from error
    return settings if isinstance(settings, dict) else {}


def text_of(vocab: Vocab, ids: Iterable[int]) -> str:
    """The text of token ids: continuation marks resolved, special tokens dropped."""
    special = set(vocab.special_ids)
    tokens = [vocab.tokens[i] for i in ids if i not in special]
    return "".join(t.removeprefix("##").replace("▁", " ") for t in tokens).strip()


def encodable(text: str) -> str:
    """The text with each surrogate as U+FFFD: Rust strings cannot hold them.

    Two that would make a pair stay two, so offsets stay those of the text.
    """
    return _SURROGATE.sub("\ufffd", text)


def _guess(folder: Path, is_unigram: Any) -> str:
    vocab = folder / "vocab.txt"
    if vocab.is_file():
        words = 0
        with vocab.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                token = line.rstrip("\n")
                words += len(token) > 1 and all("一" <= c <= "鿿" for c in token)
        return "word" if words > WORDS_OF_A_WORD_VOCABULARY else "wordpiece"
    if is_unigram(folder / "tokenizer.json"):
        return "unigram"
    raise NotFoundError(
        f"{folder}: expected vocab.txt or a Unigram tokenizer.json, found neither"
    )
