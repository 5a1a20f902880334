"""A SentencePiece model as the tokenizer.json that the tokenizers library reads."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.text.tokenizers.piece_model import PieceModel, PieceType
from nlpcli.text.tokenizers.vocab import Vocab, is_sentinel

SENTINELS = 100  # of a T5 model whose file has none
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_CHINESE = re.compile(
    "[\u0020-\u007e\u00b0\u00b1\u00b7\u00d7\u00f7\u2010-\u2027\u2030-\u205e"
    "\u2100-\u22ff\u2460-\u27bf\u3000-\u303f\u3200-\u33ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff65\uffe0-\uffe6\U0001f300-\U0001faff"
    "\U00020000-\U0003ffff]+"
)


def fairseq_order(model: PieceModel) -> PieceModel:
    """The pieces as XLM-RoBERTa numbers them: its own four first, <mask> last.

    Its files have <unk>, <s>, </s> before the pieces; its models were trained with
    <s>, <pad>, </s>, <unk>, and every piece one further.
    """
    own = ["<s>", "<pad>", "</s>", "<unk>"]
    types = [PieceType.CONTROL] * 3 + [PieceType.UNKNOWN]
    model.pieces = [*own, *model.pieces[3:], "<mask>"]
    model.scores = [0.0] * 4 + model.scores[3:] + [0.0]
    model.types = [*types, *model.types[3:], PieceType.CONTROL]
    model.bos_id, model.pad_id, model.eos_id, model.unk_id = 0, 1, 2, 3
    return model


def with_sentinels(model: PieceModel, count: int) -> PieceModel:
    """T5's <extra_id_0> ... behind the pieces, the first one last, where the file has
    none; mT5's file has its own."""
    if not any(map(is_sentinel, model.pieces)):
        model.pieces += [f"<extra_id_{i}>" for i in reversed(range(count))]
        model.scores += [0.0] * count
        model.types += [PieceType.CONTROL] * count
    return model


def as_tokenizer_json(
    model: PieceModel,
    origin: str,
    before: Sequence[int] = (),
    after: Sequence[int] = (),
) -> dict[str, Any]:
    """The library's file that finds the same pieces.

    before, after: ids that transformers puts around a text. Raises CheckpointError for
    a model that has no unknown piece or a piece twice.
    """
    unknown = model.piece(model.unk_id)
    if unknown is None:
        raise CheckpointError(f"{origin}: expected an unknown piece, found none")
    if len(set(model.pieces)) < len(model.pieces):
        twice, _ = Counter(model.pieces).most_common(1)[0]
        raise CheckpointError(f"{origin}: the piece {short(twice)!r} stands twice")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(model),
        "normalizer": _normalizer(model),
        "pre_tokenizer": _pre_tokenizer(model),
        "post_processor": _template(model, before, after),
        "decoder": _decoder(model),
        "model": _unigram(model) if model.algorithm == 1 else _bpe(model, unknown),
    }


def chinese_pieces(
    vocab: Vocab, counts: Mapping[int, int] | None = None, least: int = 1000
) -> list[int]:
    """The ids of a multilingual vocabulary (mT5's) that Chinese text needs, ascending.

    The published list keeps 32,598 of mT5's 250,112 rows (kexue.fm/archives/7867,
    bojone/t5_in_bert4keras): the three special tokens and 256 bytes that the file
    begins with, each piece found at least a thousand times in the author's corpus, the
    last hundred pieces, and two rows behind them. So it cannot be derived from the
    vocabulary alone. With ``counts`` (how often each id was found in
    a corpus) this is that rule: special tokens, bytes, sentinels, and what was found
    ``least`` times. Without: special tokens, bytes, sentinels, and each piece of
    nothing but Han characters, ASCII, Chinese punctuation, full-width forms, and the
    symbols that stand between them (units, arrows, marks, emoji).
    The vocabulary was not at hand when this was written: how many that keeps of mT5's
    could not be counted.
    """
    special = set(vocab.special_ids)
    return [
        number
        for number, token in enumerate(vocab.tokens)
        if number in special
        or is_sentinel(token)
        or _BYTE.fullmatch(token)
        or (
            counts.get(number, 0) >= least
            if counts is not None
            else _CHINESE.fullmatch(token)
        )
    ]


def _added(model: PieceModel) -> list[dict[str, Any]]:
    """Control pieces, which no text has, and those that SentencePiece was told of."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    special = {PieceType.CONTROL, PieceType.UNKNOWN}
    found = enumerate(zip(model.pieces, model.types, strict=True))
    named = [(i, p, kind in special or is_sentinel(p), kind) for i, (p, kind) in found]
    return [
        {"id": number, "content": piece, "special": is_special, **flags}
        for number, piece, is_special, kind in named
        if is_special or kind == PieceType.USER_DEFINED
    ]


def _normalizer(model: PieceModel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        coded = base64.b64encode(model.charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": coded})
    if model.squeezes_spaces:
        patterns = (" {2,}", " "), (r" \z", ""), (r"\A ", "")
        steps += [_replace({"Regex": regex}, new) for regex, new in patterns]
    # Not the library's Metaspace, which puts nothing before a "▁" of the text itself.
    if model.dummy_prefix:
        steps.append({"type": "Prepend", "prepend": "▁"})
    steps.append(_replace({"String": " "}, "▁"))
    return {"type": "Sequence", "normalizers": steps}


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _pre_tokenizer(model: PieceModel) -> dict[str, Any] | None:
    """A word at a time: quicker, and the same where no piece spans two and unknown
    characters of two words are not neighbours."""
    if "▁" not in model.pieces or any("▁" in piece[1:] for piece in model.pieces):
        return None
    return {
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": "never",
        "split": True,
    }


def _decoder(model: PieceModel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [_replace({"String": "▁"}, " ")]
    if model.byte_fallback:
        steps.append({"type": "ByteFallback"})
    steps.append({"type": "Fuse"})
    if model.dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _template(
    model: PieceModel, before: Sequence[int], after: Sequence[int]
) -> dict[str, Any] | None:
    if not (before or after):
        return None
    names = {number: model.pieces[number] for number in (*before, *after)}

    def around(text: str, kind: int) -> list[dict[str, Any]]:
        return [
            *({"SpecialToken": {"id": names[i], "type_id": kind}} for i in before),
            {"Sequence": {"id": text, "type_id": kind}},
            *({"SpecialToken": {"id": names[i], "type_id": kind}} for i in after),
        ]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for number, name in names.items()
        },
    }


def _unigram(model: PieceModel) -> dict[str, Any]:
    return {
        "type": "Unigram",
        "unk_id": model.unk_id,
        "vocab": [list(pair) for pair in zip(model.pieces, model.scores, strict=True)],
        "byte_fallback": model.byte_fallback,
    }


def _bpe(model: PieceModel, unknown: str) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece: number for number, piece in enumerate(model.pieces)},
        "merges": _merges(model),
    }


def _merges(model: PieceModel) -> list[list[str]]:
    """What is joined, first things first: each piece of any two others, by its score.

    SentencePiece keeps the pieces only; two that make the same piece tie, and the
    longer first part is asked for first, as transformers has it.
    """
    plain = {
        piece: score
        for piece, score, kind in zip(
            model.pieces, model.scores, model.types, strict=True
        )
        if kind in (PieceType.NORMAL, PieceType.USER_DEFINED)
    }
    found = [
        (score, cut, len(piece) - cut, piece)
        for piece, score in plain.items()
        for cut in range(1, len(piece))
        if piece[:cut] in plain and piece[cut:] in plain
    ]
    found.sort(key=lambda one: one[:3], reverse=True)
    return [[piece[:cut], piece[cut:]] for _, cut, _, piece in found]
