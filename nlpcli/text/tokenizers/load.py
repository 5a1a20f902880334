"""Which tokenizer a model folder has, and tokenizers over other vocabularies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import short
from nlpcli.text.tokenizers import cpm
from nlpcli.text.tokenizers.byte_pair import BytePairTokenizer
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.piece_model import PieceModel, read_piece_model
from nlpcli.text.tokenizers.pieces import (
    SENTINELS,
    as_tokenizer_json,
    fairseq_order,
    with_sentinels,
)
from nlpcli.text.tokenizers.roles import Told, read_puts_begin, read_told
from nlpcli.text.tokenizers.settings import read_kind, read_settings
from nlpcli.text.tokenizers.tokenizer_json import (
    FILE,
    expect_model,
    model_type,
    read_tokenizer_json,
)
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from nlpcli.text.tokenizers.vocab import are_words, has_words, tiny_vocab
from nlpcli.text.tokenizers.word_level import WordTokenizer
from nlpcli.text.tokenizers.word_piece import WordPieceTokenizer

_FAIRSEQ = "sentencepiece.bpe.model"
# Names that SentencePiece models go by; where there is none, any single *.model.
_PIECES = (
    "spiece.model",
    _FAIRSEQ,
    "sentencepiece.model",
    "tokenizer.model",
    "chinese_vocab.model",
)
_TYPES = {"unigram": "Unigram", "bpe": "BPE"}


def load_tokenizer(folder: Path, kind: str = "auto") -> Tokenizer:
    """The tokenizer of a model folder.

    ``auto``: what nlpcli wrote beside it, else what its files are: vocab.txt
    (word-level when it holds many words of several Han characters), tokenizer.json, a
    SentencePiece model. Raises NotFoundError or CheckpointError.
    """
    settings = read_settings(folder)
    if kind == "auto":
        kind = read_kind(folder, settings) or "auto"
    if kind == "auto" and (folder / "vocab.txt").exists():
        kind = guess_kind(folder) or kind
    path, pieces = folder / FILE, piece_file(folder)
    raw: dict[str, Any] = {}
    if kind == "auto" and path.exists():
        raw = read_tokenizer_json(path)
        kind = _kind_of(raw)
    if kind == "word":
        return WordTokenizer.load(folder, settings)
    if kind == "wordpiece":
        return WordPieceTokenizer.load(folder, settings)
    if kind == "auto" and pieces is None:
        raise NotFoundError(
            f"{folder}: expected vocab.txt, tokenizer.json or a SentencePiece model, "
            "found none"
        )
    if pieces is None or (path.exists() and kind != "cpm"):
        raw, origin = raw or read_tokenizer_json(path), str(path)
        told: Told = read_told(folder, settings)
    else:
        model, origin = read_piece_model(pieces), str(pieces)
        kind = kind if kind != "auto" else _kind_of_pieces(model)
        if kind == "cpm":
            raw, told = as_tokenizer_json(cpm.with_newline(model), origin), cpm.TOLD
        else:
            told = read_told(folder, settings)
            raw, told = _from_pieces(model, pieces, settings, told)
    if kind == "cpm":
        return cpm.CpmTokenizer(_of_pieces(raw, origin, cpm.TOLD))
    if kind in _TYPES:
        expect_model(raw, _TYPES[kind], origin)
    return _of_pieces(raw, origin, told, read_puts_begin(folder, settings))


def guess_kind(folder: Path) -> str | None:
    """The kind of tokenizer that the files of a folder are, None where there is none;
    CheckpointError for files that cannot be read."""
    vocab, path = folder / "vocab.txt", folder / FILE
    if vocab.exists():
        return "word" if has_words(vocab) else "wordpiece"
    if path.exists():
        return _kind_of(read_tokenizer_json(path))
    pieces = piece_file(folder)
    return None if pieces is None else _kind_of_pieces(read_piece_model(pieces))


def _kind_of(raw: dict[str, Any]) -> str:
    name, tokens = model_type(raw).lower(), _names(raw)
    if name == "wordpiece":
        return "word" if are_words(tokens) else name
    if name in _TYPES and cpm.is_cpm(tokens):
        return "cpm"
    return short(name) or "unknown tokenizer.json"


def _kind_of_pieces(model: PieceModel) -> str:
    if cpm.is_cpm(model.pieces):
        return "cpm"
    return "unigram" if model.algorithm == 1 else "bpe"


def _names(raw: dict[str, Any]) -> Iterable[str]:
    """The names of the tokens of a model, whatever form its vocabulary has."""
    vocab = raw["model"].get("vocab") if model_type(raw) else None
    if isinstance(vocab, dict):
        return vocab
    pairs = vocab if isinstance(vocab, list) else []
    return (pair[0] for pair in pairs if isinstance(pair, list) and pair)


def piece_file(folder: Path) -> Path | None:
    """The SentencePiece model of a folder, None where there is none or several."""
    for name in _PIECES:
        if (folder / name).exists():
            return folder / name
    others = sorted(folder.glob("*.model"))
    return others[0] if len(others) == 1 else None


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


def _of_pieces(
    raw: dict[str, Any], origin: str, told: Told, puts_begin: bool | None = None
) -> UnigramTokenizer | BytePairTokenizer:
    name = model_type(raw)
    if name == "Unigram":
        # What its files name differs from the pieces of its model in old folders.
        return UnigramTokenizer(raw, origin, told if told is cpm.TOLD else None)
    if name == "BPE":
        return BytePairTokenizer(raw, origin, told, puts_begin)
    raise CheckpointError(
        f"{origin}: expected a Unigram, BPE or WordPiece model, got "
        f"{short(name) or 'none'}"
    )


def _from_pieces(
    model: PieceModel, path: Path, settings: Mapping[str, Any], told: Told
) -> tuple[dict[str, Any], Told]:
    """A SentencePiece model as tokenizer.json, and the names of its special tokens."""
    if path.name == _FAIRSEQ:
        model = fairseq_order(model)
        return as_tokenizer_json(model, str(path), (0,), (2,)), {}
    if (model.pad_id, model.eos_id, model.bos_id) == (0, 1, -1):  # T5
        count = settings.get("extra_ids", SENTINELS)
        if type(count) is not int or not 0 <= count <= 10 * SENTINELS:
            raise CheckpointError(
                f"{path.parent}: extra_ids: expected 0 to {10 * SENTINELS}, "
                f"got {short(repr(count))}"
            )
        model = with_sentinels(model, count)
        return as_tokenizer_json(model, str(path), (), (1,)), {}
    puts_begin = read_puts_begin(path.parent, settings)
    before = [] if puts_begin is False else [model.bos_id]
    after = [model.eos_id] if settings.get("add_eos_token", False) else []
    own = {
        "bos_token": model.piece(model.bos_id),
        "eos_token": model.piece(model.eos_id),
        "pad_token": model.piece(model.pad_id),
    }
    raw = as_tokenizer_json(
        model,
        str(path),
        *([i for i in ids if model.piece(i)] for ids in (before, after)),
    )
    return raw, {**own, **told}
