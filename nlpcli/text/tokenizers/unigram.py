"""Unigram (SentencePiece) tokenizers from a tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.json_file import read_json_object, short
from nlpcli.text.tokenizers.encoding import Encoding, encodable
from nlpcli.text.tokenizers.engine import encode_all, guarded, open_engine, probe
from nlpcli.text.tokenizers.settings import MOST_VALUES
from nlpcli.text.tokenizers.vocab import Vocab
from nlpcli.text.tokenizers.word_piece import encode_characters, to_encoding


class UnigramTokenizer:
    """The file's own normalisation and pieces, without its special tokens in text.

    The entries of ``added_tokens`` are taken out of the matcher, and a special piece
    that still comes out of a text ("<s>" typed by a user) becomes the unknown id. The
    "▁" that normalisation puts before a text covers nothing: (0, 0).
    """

    kind = "unigram"

    def __init__(self, raw: dict[str, Any], origin: str) -> None:
        self.raw = raw
        self.origin = origin
        plain = {**raw, "added_tokens": [], "post_processor": None, "padding": None}
        self._engine = open_engine(json.dumps({**plain, "truncation": None}), origin)
        if raw["model"].get("unk_id") is None:
            raise CheckpointError(f"{origin}: expected an unk_id, found none")
        probe(self._engine, origin)
        _check_added(raw, origin)
        self.vocab = Vocab(tuple(piece for piece, _ in raw["model"]["vocab"]), origin)
        self._unknown = self.vocab.require("unk")
        self._alone: dict[str, int] = {}

    @classmethod
    def load(cls, folder: Path) -> UnigramTokenizer:
        """From tokenizer.json."""
        path = folder / "tokenizer.json"
        raw = _read(path)
        if raw is None:
            raise CheckpointError(f"{path}: expected a Unigram model")
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
            offsets = encoding.offsets
            # The library lets it cover the first character, as the next piece does.
            shared = len(offsets) > 1 and offsets[0, 0] == offsets[1, 0]
            if shared and item.tokens[0] == "▁":
                offsets[0, 1] = offsets[0, 0]
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
        found = index.get(plain, index.get(f"▁{plain}", self._unknown))
        return self._unknown if found in self.vocab.special_ids else found

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
        return UnigramTokenizer(raw, self.origin)

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


def is_unigram(path: Path) -> bool:
    """Whether a file is a tokenizer.json with a Unigram model; CheckpointError for one
    that cannot be read."""
    try:
        return _read(path) is not None
    except NotFoundError:
        return False


def _check_added(raw: dict[str, Any], origin: str) -> None:
    """Raise CheckpointError where the tokens beside the model are no list of tokens."""
    added = raw.get("added_tokens") or []
    for token in added if isinstance(added, list) else [added]:
        content = token.get("content") if isinstance(token, dict) else None
        if not isinstance(content, str):
            raise CheckpointError(
                f"{origin}: added_tokens: expected objects with a content, "
                f"got {short(repr(token))}"
            )


def _read(path: Path) -> dict[str, Any] | None:
    raw = read_json_object(path, most_values=MOST_VALUES)
    model = raw.get("model")
    if not isinstance(model, dict) or model.get("type") != "Unigram":
        return None
    return raw


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
