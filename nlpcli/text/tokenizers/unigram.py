"""Unigram (SentencePiece) tokenizers from a tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.errors import CheckpointError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.json_file import short
from nlpcli.text.tokenizers.encoding import (
    Encoding,
    encodable,
    from_bytes,
    piece_bytes,
    uncover_mark,
)
from nlpcli.text.tokenizers.engine import encode_all, guarded, open_engine, probe
from nlpcli.text.tokenizers.roles import Told, roles_of
from nlpcli.text.tokenizers.tokenizer_json import (
    FILE,
    expect_model,
    read_tokenizer_json,
    special_added,
)
from nlpcli.text.tokenizers.vocab import Vocab, is_sentinel
from nlpcli.text.tokenizers.word_piece import encode_characters, to_encoding


class UnigramTokenizer:
    """The file's own normalisation and pieces, without its special tokens in text.

    The entries of ``added_tokens`` are taken out of the matcher, and a special piece
    that still comes out of a text ("<s>" typed by a user) becomes the unknown id. The
    "▁" that normalisation puts before a text covers nothing: (0, 0).
    """

    kind = "unigram"

    def __init__(
        self, raw: dict[str, Any], origin: str, told: Told | None = None
    ) -> None:
        """``told``: the names of special tokens where they are not the usual ones."""
        self.raw, self.origin, self.told = raw, origin, told
        plain = {**raw, "added_tokens": [], "post_processor": None, "padding": None}
        self._engine = open_engine(json.dumps({**plain, "truncation": None}), origin)
        if raw["model"].get("unk_id") is None:
            raise CheckpointError(f"{origin}: expected an unk_id, found none")
        probe(self._engine, origin)
        pieces = tuple(piece for piece, _ in raw["model"]["vocab"])
        index = dict.fromkeys(pieces, 0)
        roles = None if told is None else roles_of(told, index)
        beside = (*special_added(raw, origin), *filter(is_sentinel, pieces))
        self.vocab = Vocab(pieces, origin, roles, beside)
        self._unknown = self.vocab.require("unk")
        self._fallback = bool(raw["model"].get("byte_fallback"))
        self._alone: dict[str, int] = {}

    @classmethod
    def load(cls, folder: Path) -> UnigramTokenizer:
        """From tokenizer.json."""
        path = folder / FILE
        raw = read_tokenizer_json(path)
        expect_model(raw, "Unigram", str(path))
        return cls(raw, str(path))

    def encode(self, text: str) -> Encoding:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        found = encode_all(
            self._engine, [encodable(text) for text in texts], self.origin
        )
        special = self.vocab.special_ids
        encodings = [to_encoding(item, special, self._unknown) for item in found]
        for item, encoding in zip(found, encodings, strict=True):
            uncover_mark(item, encoding.offsets)
        return encodings

    def encode_characters(self, text: str) -> Encoding:
        return encode_characters(self, text)

    def character_ids(self, text: str) -> np.ndarray:
        for character in set(text).difference(self._alone):
            self._alone[character] = self._character_id(character)
        return np.array([self._alone[c] for c in text], np.int32)

    def _character_id(self, character: str) -> int:
        index, normalizer = self.vocab.index, self._engine.normalizer
        plain = encodable(character)
        if normalizer is not None:
            with guarded(self.origin):
                plain = normalizer.normalize_str(plain)
        plain = plain.removeprefix("▁") or plain  # the normalizer's, in some files
        found = index.get(plain, index.get(f"▁{plain}", self._unknown))
        return self._unknown if found in self.vocab.special_ids else found

    def text(
        self, ids: Iterable[int], begins: bool = True, finished: bool = True
    ) -> str:
        special, fallback = set(self.vocab.special_ids), self._fallback
        tokens = (self.vocab.tokens[i] for i in ids if i not in special)
        pieces = b"".join(piece_bytes(token, fallback) for token in tokens)
        text = from_bytes(pieces, finished)
        return text.strip() if begins else text

    def with_vocab(self, ids: Sequence[int], extra: Sequence[str]) -> UnigramTokenizer:
        pieces = self.raw["model"]["vocab"]
        kept = [list(pieces[i]) for i in ids]
        # As likely as the best piece, so that a new token wins over its parts.
        best = max((score for _, score in pieces), default=0.0)
        kept += [[token, best] for token in extra]
        new_id = {pieces[old][0]: new for new, old in enumerate(ids)}
        model = {
            **self.raw["model"],
            "vocab": kept,
            "unk_id": new_id[pieces[self.raw["model"]["unk_id"]][0]],
        }
        added = [
            {**token, "id": new_id[token["content"]]}
            for token in self.raw.get("added_tokens") or []
            if token["content"] in new_id
        ]
        raw = {**self.raw, "model": model, "added_tokens": added}
        processor = raw.get("post_processor")
        if processor is not None:
            try:
                raw["post_processor"] = _renumber(processor, new_id)
            except (KeyError, TypeError) as error:
                raise CheckpointError(
                    f"{self.origin}: post_processor: expected tokens of the "
                    f"vocabulary, got {short(str(error))}"
                ) from error
        return UnigramTokenizer(raw, self.origin, self.told)

    def save(self, folder: Path) -> None:
        write_atomic(
            folder / "tokenizer.json",
            json.dumps(self.raw, ensure_ascii=False, indent=1) + "\n",
        )
        vocab = self.vocab
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": vocab.tokens[vocab.end_id],
            "sep_token": vocab.tokens[vocab.end_id],
            "pad_token": vocab.tokens[vocab.pad_id],
            "unk_token": vocab.tokens[self._unknown],
            "nlpcli_kind": self.kind,
        }
        if vocab.begin_id is not None:
            begin = vocab.tokens[vocab.begin_id]
            settings |= {"bos_token": begin, "cls_token": begin}
        if vocab.mask_id is not None:
            settings["mask_token"] = vocab.tokens[vocab.mask_id]
        write_atomic(
            folder / "tokenizer_config.json",
            json.dumps(settings, ensure_ascii=False, indent=2) + "\n",
        )


def _renumber(processor: Any, new_id: dict[str, int]) -> Any:
    """A post-processor with the ids of its special tokens moved to the new rows."""
    if isinstance(processor, dict):
        moved = {key: _renumber(value, new_id) for key, value in processor.items()}
        if "ids" in moved and "tokens" in moved:
            moved["ids"] = [new_id[token] for token in moved["tokens"]]
        return moved
    if isinstance(processor, list):
        pair = len(processor) == 2 and isinstance(processor[0], str)
        if pair and isinstance(processor[1], int) and processor[0] in new_id:
            return [processor[0], new_id[processor[0]]]
        return [_renumber(value, new_id) for value in processor]
    return processor
