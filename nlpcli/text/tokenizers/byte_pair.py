"""Byte-pair encoding from a tokenizer.json: of bytes (GPT-2, LLaMA 3, Qwen), and of
characters with "▁" for a space and bytes for what is unknown (LLaMA 2, Mistral)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.errors import CheckpointError
from nlpcli.files.atomic import write_atomic
from nlpcli.text.tokenizers.encoding import (
    Encoding,
    Tokenizer,
    encodable,
    from_bytes,
    piece_bytes,
    uncover_mark,
)
from nlpcli.text.tokenizers.engine import encode_all, open_engine, probe
from nlpcli.text.tokenizers.roles import Told, roles_of
from nlpcli.text.tokenizers.tokenizer_json import (
    FILE,
    added_tokens,
    has_part,
    parts,
    plain_added,
    special_added,
    stands_first,
    tokens_by_id,
)
from nlpcli.text.tokenizers.vocab import Vocab
from nlpcli.text.tokenizers.word_piece import to_encoding

# A character that no text of ours is made of: names behind it are never found.
_HIDDEN = "\U0010ffff"


class BytePairTokenizer:
    """The file's own splitting and merges, without its special tokens in text.

    Tokens that the file adds without calling them special (runs of spaces, tags) are
    found in a text, as everywhere. A character that is several tokens is covered by
    each of them. ``told``: the names of special tokens. A token begins a sequence only
    where the file puts it there, or the settings do (``puts_begin``): GPT-2 has a name
    for one and uses none.
    """

    kind = "bpe"

    def __init__(
        self,
        raw: dict[str, Any],
        origin: str,
        told: Told | None = None,
        puts_begin: bool | None = None,
    ) -> None:
        self.raw, self.origin, self.told = raw, origin, dict(told or {})
        self.puts_begin = puts_begin
        tokens = tokens_by_id(raw, origin)
        index = {token: number for number, token in enumerate(tokens)}
        roles = roles_of(self.told, index)
        unknown = raw["model"].get("unk_token")
        known = isinstance(unknown, str) and unknown in index and unknown != roles.end
        roles = roles._replace(unk=unknown if known else None)
        if puts_begin is None:
            puts_begin = roles.begin is not None and stands_first(raw, roles.begin)
        if not puts_begin:
            roles = roles._replace(begin=None)
        self.vocab = Vocab(tokens, origin, roles, special_added(raw, origin))
        hidden = {tokens[i] for i in self.vocab.special_ids} - {roles.unk}
        self._engine = open_engine(json.dumps(_plain(raw, hidden, origin)), origin)
        probe(self._engine, origin)
        self._of_bytes = has_part(raw, "pre_tokenizer", "ByteLevel") or has_part(
            raw, "decoder", "ByteLevel"
        )
        self._added = {token["content"] for token in added_tokens(raw, origin)}
        self._marked = _puts_space_before(raw)
        self._alone: dict[str, int] = {}
        self._bytes: dict[int, bytes] = {}

    def encode(self, text: str) -> Encoding:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        plain = [encodable(text) for text in texts]
        special, unknown = self.vocab.special_ids, self.vocab.unk_id
        encodings = []
        for item in encode_all(self._engine, plain, self.origin):
            encoding = to_encoding(item, special, unknown)
            uncover_mark(item, encoding.offsets)
            encodings.append(encoding)
        return encodings

    def encode_characters(self, text: str) -> Encoding:
        """Refused: most characters are no token of their own."""
        raise CheckpointError(
            f"{self.origin}: expected a vocabulary of characters, got byte-pair "
            "encoding, which takes them apart"
        )

    def character_ids(self, text: str) -> np.ndarray:
        """As everywhere; the end's id for a character of several tokens, where there
        is no unknown token."""
        new = sorted(set(text).difference(self._alone))
        unknown = self.vocab.end_id if self.vocab.unk_id is None else self.vocab.unk_id
        for character, found in zip(new, self.encode_batch(new), strict=True):
            ids = found.token_ids[found.offsets[:, 1] > found.offsets[:, 0]]
            self._alone[character] = int(ids[0]) if len(ids) == 1 else unknown
        return np.array([self._alone[c] for c in text], np.int32)

    def text(
        self, ids: Iterable[int], begins: bool = True, finished: bool = True
    ) -> str:
        special, size = set(self.vocab.special_ids), len(self.vocab.tokens)
        known = (int(i) for i in ids if i not in special and i < size)
        text = from_bytes(b"".join(map(self._bytes_of, known)), finished)
        return text.removeprefix(" ") if begins and self._marked else text

    def _bytes_of(self, number: int) -> bytes:
        if number not in self._bytes:
            token = self.vocab.tokens[number]
            if token in self._added:
                found = token.encode()
            elif self._of_bytes:
                found = b"".join(_byte_table().get(c, c.encode()) for c in token)
            else:
                found = piece_bytes(token, bool(self.raw["model"].get("byte_fallback")))
            self._bytes[number] = found
        return self._bytes[number]

    def with_vocab(self, ids: Sequence[int], extra: Sequence[str]) -> BytePairTokenizer:
        """The same with new tokens; CheckpointError for fewer: a token is made of
        others, so that none may go."""
        size = len(self.vocab.tokens)
        if list(ids) != list(range(size)):
            raise CheckpointError(
                f"{self.origin}: expected all tokens (backbone.prune_vocab: false, no "
                "--pieces): byte-pair encoding makes each token of shorter ones, so "
                "that none can be left out"
            )
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        new = [
            {"id": size + place, "content": token, "special": False, **flags}
            for place, token in enumerate(extra)
        ]
        added = [*added_tokens(self.raw, self.origin), *new]
        raw = {**self.raw, "added_tokens": added}
        return type(self)(raw, self.origin, self.told, self.puts_begin)

    def save(self, folder: Path) -> None:
        save_json(folder, self.raw, self.vocab, self.kind, self.told, self.puts_begin)


def refuse_joined(tokenizer: Tokenizer, config: RunConfig, spells: bool) -> None:
    """Raise CheckpointError with all that byte-pair encoding cannot do for a recipe;
    ``spells``: it goes by character, whatever ``tokenizer.pieces`` is."""
    if not isinstance(tokenizer, BytePairTokenizer):
        return
    problems = []
    if config.backbone.prune_vocab:
        problems.append(
            "backbone.prune_vocab: expected false (byte-pair encoding makes each token "
            "of shorter ones, so that none can be left out), got true"
        )
    if spells:
        problems.append(
            f"backbone.model: expected a vocabulary of characters, since "
            f"{config.recipe} goes by character, got byte-pair encoding"
        )
    elif config.tokenizer.pieces == "characters":
        problems.append(
            "tokenizer.pieces: expected whole (byte-pair encoding takes characters "
            "apart), got characters"
        )
    if problems:
        found = (f"{tokenizer.origin}: {problem}" for problem in problems)
        raise CheckpointError("\n".join(found))


def save_json(
    folder: Path,
    raw: dict[str, Any],
    vocab: Vocab,
    kind: str,
    told: Told,
    puts_begin: bool | None = None,
) -> None:
    """Write tokenizer.json and the settings that transformers and nlpcli read."""
    write_atomic(folder / FILE, json.dumps(raw, ensure_ascii=False, indent=1) + "\n")
    names = dict(told)
    names.setdefault("eos_token", vocab.tokens[vocab.end_id])
    names.setdefault("pad_token", vocab.tokens[vocab.pad_id])
    for role, key in (("begin", "bos_token"), ("unk", "unk_token")):
        number = getattr(vocab, f"{role}_id")
        if number is not None:
            names.setdefault(key, vocab.tokens[number])
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "clean_up_tokenization_spaces": False,
        "nlpcli_kind": kind,
    }
    if puts_begin is not None:
        settings["add_bos_token"] = puts_begin
    write_atomic(
        folder / "tokenizer_config.json",
        json.dumps(settings, ensure_ascii=False, indent=2) + "\n",
    )


def _plain(raw: dict[str, Any], hidden: set[str], origin: str) -> dict[str, Any]:
    """The file as the library shall read it: special tokens keep their numbers under
    names that no text has, and merges that would make one are gone."""
    model, vocab = raw["model"], dict(raw["model"]["vocab"])
    plain = [t for t in plain_added(raw, origin) if t["content"] not in hidden]
    for token in plain:
        vocab.setdefault(token["content"], token.get("id"))
    vocab = {_HIDDEN + t if t in hidden else t: i for t, i in vocab.items()}
    merges = model.get("merges")
    if isinstance(merges, list):
        merges = [merge for merge in merges if not _makes(merge, hidden)]
    return {
        **raw,
        "model": {**model, "vocab": vocab, "merges": merges},
        "added_tokens": plain,
        **dict.fromkeys(("post_processor", "padding", "truncation")),
    }


def _makes(merge: Any, hidden: set[str]) -> bool:
    pair = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(pair, list) or not all(isinstance(part, str) for part in pair):
        return False  # the library says what is wrong with it
    return "".join(pair) in hidden or any(part in hidden for part in pair)


def _puts_space_before(raw: dict[str, Any]) -> bool:
    """Whether a text is read as if a space stood before it."""
    if has_part(raw, "normalizer", "Prepend"):
        return True
    for part in parts(raw, "pre_tokenizer"):
        if part.get("type") == "ByteLevel" and part.get("add_prefix_space", True):
            return True
        if part.get("type") == "Metaspace":
            scheme = part.get("prepend_scheme", "always")
            return bool(scheme != "never" and part.get("add_prefix_space", True))
    return False


@cache
def _byte_table() -> dict[str, bytes]:
    """The byte that each character of a byte-level token stands for.

    Bytes that print stand for themselves, the others for characters from U+0100 on,
    in order (Radford et al. 2019).
    """
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printed]
    table = {chr(byte): bytes([byte]) for byte in sorted(printed)}
    return table | {chr(256 + n): bytes([byte]) for n, byte in enumerate(others)}
