"""What the settings of a model folder say of its tokenizer: obeyed or refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import read_json_object, short
from nlpcli.text.tokenizers.vocab import NAMES, Vocab

logger = logging.getLogger("nlpcli")

KINDS = ("wordpiece", "word", "unigram", "bpe", "cpm")
_FILE = "tokenizer_config.json"
MOST_VALUES = 8_000_000  # of a tokenizer.json: a million pieces are three million
# The names of BertNormalizer in tokenizer.json for those of tokenizer_config.json.
_NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
# Flags that change the pieces and have one value here.
_ONLY = {"do_basic_tokenize": True, "wordpieces_prefix": "##"}


class Cleaning(NamedTuple):
    """What BERT does to a text before it looks for pieces.

    strip_accents: None follows ``lowercase``. han_apart: each Han character is a word.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    han_apart: bool = True

    @property
    def strips(self) -> bool:
        """Whether accents go away."""
        return self.lowercase if self.strip_accents is None else self.strip_accents

    def as_settings(self) -> dict[str, bool | None]:
        """The keys of tokenizer_config.json."""
        return dict(zip(_NORMALIZER, self, strict=True))


def read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, or nothing where there is none.

    Raises CheckpointError for a file that is no JSON object.
    """
    path = folder / _FILE
    return read_json_object(path) if path.exists() else {}


def read_kind(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The kind of tokenizer that nlpcli wrote into the settings; CheckpointError."""
    kind = settings.get("nlpcli_kind")
    if kind is not None and kind not in KINDS:
        raise CheckpointError(
            f"{folder / _FILE}: nlpcli_kind: expected {', '.join(KINDS)}, got "
            f"{short(repr(kind))}"
        )
    return kind


def read_cleaning(folder: Path, settings: Mapping[str, Any], vocab: Vocab) -> Cleaning:
    """The flags of a BERT tokenizer, in the order in which transformers asks for them:
    tokenizer_config.json, then the normalizer of tokenizer.json, then BERT's own.

    Raises CheckpointError for a flag that is no truth value, and for one that would
    change the pieces in a way that is not supported.
    """
    path = folder / _FILE
    problems = [
        f"{path}: {key}: expected {value!r} (others are not supported), "
        f"got {short(repr(settings[key]))}"
        for key, value in _ONLY.items()
        if settings.get(key, value) != value
    ]
    if never := list(_never_split(settings)):
        problems.append(f"{path}: never_split: not supported, got {short(never[0])!r}")
    found, origin = dict(settings), dict.fromkeys(_NORMALIZER, f"{path}: ")
    if not settings.keys() >= _NORMALIZER.keys():
        for key, value in _from_tokenizer_json(folder).items():
            if key not in found:
                found[key] = value
                origin[key] = f"{folder / 'tokenizer.json'}: "
    flags: dict[str, Any] = {}
    for key, default in Cleaning().as_settings().items():
        flags[key] = found.get(key, default)
        if not isinstance(flags[key], bool) and flags[key] is not default:
            either = " or null" if default is None else ""
            problems.append(
                f"{origin[key]}{key}: expected true or false{either}, "
                f"got {short(repr(flags[key]))}"
            )
    if problems:
        raise CheckpointError("\n".join(problems))
    _tell_added(folder, settings, vocab)
    return Cleaning(*flags.values())


def _never_split(settings: Mapping[str, Any]) -> Iterator[str]:
    """Words that were kept whole; a special token typed in a text never is one here."""
    special = {name for names in NAMES.values() for name in names}
    words = settings.get("never_split") or []
    for word in words if isinstance(words, list) else (words,):
        if not isinstance(word, str) or word not in special:
            yield str(word)


def _from_tokenizer_json(folder: Path) -> dict[str, Any]:
    """The flags of tokenizer.json, where it has BERT's normalizer."""
    path = folder / "tokenizer.json"
    raw = read_json_object(path, most_values=MOST_VALUES) if path.exists() else {}
    model = raw.get("model")
    if not isinstance(model, dict) or model.get("type", "WordPiece") != "WordPiece":
        return {}
    normalizer = raw.get("normalizer")
    parts = normalizer.get("normalizers") if isinstance(normalizer, dict) else None
    for part in [normalizer, *(parts if isinstance(parts, list) else ())]:
        if isinstance(part, dict) and part.get("type") == "BertNormalizer":
            if part.get("clean_text", True) is not True:
                logger.warning(
                    "%s: clean_text: not supported, got %s: control characters are "
                    "dropped as BERT does",
                    path,
                    short(repr(part["clean_text"])),
                )
            return {k: part[name] for k, name in _NORMALIZER.items() if name in part}
    if normalizer is not None:
        logger.warning("%s: its normalizer is not BERT's: %s rules", path, _FILE)
    return {}


def _tell_added(folder: Path, settings: Mapping[str, Any], vocab: Vocab) -> None:
    """Say that tokens beside the vocabulary are not looked for in a text."""
    entries = settings.get("added_tokens_decoder")
    names = [
        entry["content"]
        for entry in (entries.values() if isinstance(entries, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("content"), str)
    ]
    path = folder / "added_tokens.json"  # the older place
    names += read_json_object(path) if path.exists() else []
    beside = [name for name in dict.fromkeys(names) if name not in vocab.index]
    if beside:
        logger.warning(
            "%s: added tokens that are not in vocab.txt are not used: %d, the first "
            "is %r",
            folder,
            len(beside),
            short(beside[0]),
        )
