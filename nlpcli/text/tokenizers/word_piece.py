"""WordPiece as Google's BERT does it, on the tokenizers library."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Engine
from tokenizers.models import WordPiece

from nlpcli.files.atomic import write_atomic
from nlpcli.text.tokenizers.encoding import Encoding, encodable
from nlpcli.text.tokenizers.engine import encode_all
from nlpcli.text.tokenizers.settings import Cleaning, read_cleaning
from nlpcli.text.tokenizers.tokenizer_json import FILE, word_piece_vocab
from nlpcli.text.tokenizers.vocab import Vocab, read_vocab, text_of

# Google's limit: a longer word is one unknown piece. transformers stops at 100, so
# words of 101 to 200 letters and digits are the ones where it differs.
LONGEST_WORD = 200
# Google drops control and format characters; the library would drop those of private
# use with them, which Google keeps.
_DROPPED = r"[\p{Cc}\p{Cf}\x{fffd}&&[^\t\n\r]]"
# Han characters that the library does not set apart: its range begins too late.
_LATE_HAN = "[\U0002b820-\U0002b91f]"
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")


class WordPieceTokenizer:
    """Clean, space out Han characters, fold case and accents, split, match longest.

    No token is registered as special, so "[SEP]" in a text is plain characters. What
    is a mark or an accent is asked of the library's Unicode tables (version 8): the
    marks of rare scripts that came later count as letters.
    """

    kind = "wordpiece"

    def __init__(
        self,
        vocab: Vocab,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        han_apart: bool = True,
    ) -> None:
        """The flags are those of ``Cleaning``."""
        self.vocab = vocab
        self.lowercase = lowercase
        self.cleaning = Cleaning(lowercase, strip_accents, han_apart)
        self._unknown = vocab.require("unk")
        self._engine = Engine(
            WordPiece(
                vocab=dict(vocab.index),
                unk_token=vocab.tokens[self._unknown],
                max_input_chars_per_word=LONGEST_WORD,
            )
        )
        self._engine.normalizer = normalizers.Sequence(
            [
                normalizers.Replace(Regex(_DROPPED), ""),
                normalizers.BertNormalizer(
                    clean_text=False,
                    handle_chinese_chars=han_apart,
                    strip_accents=strip_accents,
                    lowercase=lowercase,
                ),
            ]
        )
        late = [pre_tokenizers.Split(Regex(_LATE_HAN), "isolated")] if han_apart else []
        self._engine.pre_tokenizer = pre_tokenizers.Sequence(
            [*late, pre_tokenizers.BertPreTokenizer()]
        )
        self._alone: dict[str, int] = {}

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> WordPieceTokenizer:
        """From vocab.txt, or tokenizer.json where there is none, and what the settings
        say of cleaning; CheckpointError."""
        path = folder / "vocab.txt"
        if path.exists() or not (folder / FILE).exists():
            vocab = read_vocab(path)
        else:
            vocab = word_piece_vocab(folder / FILE)
        return cls(vocab, *read_cleaning(folder, settings, vocab))

    def encode(self, text: str) -> Encoding:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        prepared = [self._prepare(text) for text in texts]
        found = encode_all(self._engine, prepared, self.vocab.origin)
        special = self.vocab.special_ids
        return [to_encoding(item, special, self._unknown) for item in found]

    def _prepare(self, text: str) -> str:
        """The text as the library takes it, character for character."""
        text = encodable(text)
        return final_sigmas(text) if self.lowercase and "Σ" in text else text

    def encode_characters(self, text: str) -> Encoding:
        return encode_characters(self, text)

    def character_ids(self, text: str) -> np.ndarray:
        for character in set(text).difference(self._alone):
            ids = self.encode(character).token_ids
            self._alone[character] = int(ids[0]) if len(ids) == 1 else self._unknown
        return np.array([self._alone[c] for c in text], np.int32)

    def text(
        self, ids: Iterable[int], begins: bool = True, finished: bool = True
    ) -> str:
        return text_of(self.vocab, ids)

    def with_vocab(
        self, ids: Sequence[int], extra: Sequence[str]
    ) -> WordPieceTokenizer:
        tokens = [self.vocab.tokens[i] for i in ids]
        old = self.vocab
        vocab = Vocab((*tokens, *extra), roles=old.roles, beside=old.beside)
        return type(self)(vocab, *self.cleaning)

    def save(self, folder: Path) -> None:
        write_atomic(
            folder / "vocab.txt", "".join(f"{token}\n" for token in self.vocab.tokens)
        )
        settings = {
            "tokenizer_class": "BertTokenizer",
            **self.cleaning.as_settings(),
            "nlpcli_kind": self.kind,
        }
        write_atomic(
            folder / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n"
        )


def final_sigmas(text: str) -> str:
    """The text with Σ at a word's end as ς: the one letter whose small form depends
    on its neighbours, which the library folds alone."""
    # İ alone would change the length; a control character is not there for Google.
    folded = _CONTROL.sub("\u00ad", text).replace("İ", "i").lower()
    return "".join(
        "ς" if new == "ς" and old == "Σ" else old
        for old, new in zip(text, folded, strict=True)
    )


def to_encoding(item: Any, special: Sequence[int], unknown: int | None) -> Encoding:
    """Arrays of what the library found; special ids become the unknown one."""
    ids = np.array(item.ids, np.int32)
    if unknown is not None:
        ids[np.isin(ids, [i for i in special if i != unknown])] = unknown
    return Encoding(ids, np.array(item.offsets, np.int32).reshape(-1, 2))


def encode_characters(tokenizer: Any, text: str) -> Encoding:
    """One piece for each character that is not a space."""
    kept = np.array([i for i, c in enumerate(text) if not c.isspace()], np.int32)
    offsets = np.stack([kept, kept + 1], axis=1) if len(kept) else kept.reshape(0, 2)
    return Encoding(tokenizer.character_ids(text)[kept], offsets.astype(np.int32))
