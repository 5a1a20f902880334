"""tokenizer.json, the file of the tokenizers library: read once, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import read_json_object, short
from nlpcli.text.tokenizers.encoding import encodable
from nlpcli.text.tokenizers.settings import MOST_VALUES
from nlpcli.text.tokenizers.vocab import MOST_TOKENS, Vocab, bert_vocab

FILE = "tokenizer.json"
# Models of files that do not name theirs, by a key that only one has.
_UNNAMED = {"merges": "BPE", "max_input_chars_per_word": "WordPiece"}
# What a WordPiece file must have to split a text as BERT does.
_BERT = {"normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer"}


def read_tokenizer_json(path: Path) -> dict[str, Any]:
    """The file as it stands; NotFoundError or CheckpointError."""
    return read_json_object(path, most_values=MOST_VALUES)


def model_type(raw: dict[str, Any]) -> str:
    """Unigram, BPE, WordPiece or whatever else it names; "" where it names nothing."""
    model = raw.get("model")
    if not isinstance(model, dict):
        return ""
    if model.get("type"):
        return str(model["type"])
    return next((name for key, name in _UNNAMED.items() if key in model), "")


def added_tokens(raw: dict[str, Any], origin: str) -> list[dict[str, Any]]:
    """The tokens beside the model; CheckpointError where they are no list of tokens."""
    added = raw.get("added_tokens") or []
    for token in added if isinstance(added, list) else [added]:
        content = token.get("content") if isinstance(token, dict) else None
        if not isinstance(content, str) or encodable(content) != content:
            raise CheckpointError(
                f"{origin}: added_tokens: expected objects with a content, "
                f"got {short(repr(token))}"
            )
    return list(added)


def plain_added(raw: dict[str, Any], origin: str) -> list[dict[str, Any]]:
    """Those that the file does not call special: a text may hold them."""
    return [t for t in added_tokens(raw, origin) if t.get("special") is not True]


def special_added(raw: dict[str, Any], origin: str) -> tuple[str, ...]:
    """The names of those that the file calls special."""
    found = added_tokens(raw, origin)
    return tuple(t["content"] for t in found if t.get("special") is True)


def tokens_by_id(raw: dict[str, Any], origin: str) -> tuple[str, ...]:
    """All tokens of a model that numbers them by name, and those added, in order.

    A number without a token has a name that no text has. Raises CheckpointError for
    numbers that are none, too large, or given twice.
    """
    vocab = raw["model"].get("vocab")
    if not isinstance(vocab, dict):
        raise CheckpointError(
            f"{origin}: model.vocab: expected an object, got {short(repr(vocab))}"
        )
    numbers = dict(vocab)
    for token in added_tokens(raw, origin):
        numbers.setdefault(token["content"], token.get("id"))
    names: dict[int, str] = {}
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number < MOST_TOKENS:
            raise CheckpointError(
                f"{origin}: expected numbers from 0 to {MOST_TOKENS - 1}, got "
                f"{short(repr(number))} for the token {short(name)!r}"
            )
        if names.setdefault(number, name) != name:
            raise CheckpointError(
                f"{origin}: expected a number for each token, got {number} for "
                f"{short(names[number])!r} and for {short(name)!r}"
            )
    size = max(names, default=-1) + 1
    return tuple(names.get(i, f"<no token {i}>") for i in range(size))


def word_piece_vocab(path: Path) -> Vocab:
    """The tokens of a BERT tokenizer that has no vocab.txt.

    Raises CheckpointError for another model, and for one that splits a text in another
    way than BERT.
    """
    raw, origin = read_tokenizer_json(path), str(path)
    expect_model(raw, "WordPiece", origin)
    prefix = raw["model"].get("continuing_subword_prefix", "##")
    if prefix != "##":
        raise CheckpointError(
            f"{origin}: continuing_subword_prefix: expected '##', got "
            f"{short(repr(prefix))}"
        )
    for key, name in _BERT.items():
        if not has_part(raw, key, name):
            raise CheckpointError(f"{origin}: {key}: expected {name}, found none")
    tokens = tokens_by_id(raw, origin)
    broken = next((token for token in tokens if "\n" in token), None)
    if broken is not None:
        raise CheckpointError(
            f"{origin}: expected tokens of one line, got {short(repr(broken))}"
        )
    return bert_vocab(tokens, origin, special_added(raw, origin))


def expect_model(raw: dict[str, Any], name: str, origin: str) -> None:
    """Raise CheckpointError for a file with another model."""
    found = model_type(raw)
    if found != name:
        raise CheckpointError(
            f"{origin}: expected a {name} model, got {short(found) or 'none'}"
        )


def parts(raw: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    """The normalizers, pre-tokenizers or decoders of a file, sequences taken apart."""
    waiting = [raw.get(key)]
    while waiting:
        part = waiting.pop(0)
        if not isinstance(part, dict):
            continue
        yield part
        for inner in ("normalizers", "pretokenizers", "decoders"):
            more = part.get(inner)
            waiting += more if isinstance(more, list) else []


def has_part(raw: dict[str, Any], key: str, name: str) -> bool:
    """Whether a part of some type is among them."""
    return any(part.get("type") == name for part in parts(raw, key))


def stands_first(raw: dict[str, Any], name: str) -> bool:
    """Whether the file's post-processor puts a token before a text."""
    for part in _processors(raw.get("post_processor")):
        single = part.get("single")
        for item in single if isinstance(single, list) else []:
            token = item.get("SpecialToken") if isinstance(item, dict) else None
            if not isinstance(token, dict):
                break
            if token.get("id") == name:
                return True
        cls = part.get("cls")  # of BertProcessing and RobertaProcessing
        if isinstance(cls, list) and cls[:1] == [name]:
            return True
    return False


def _processors(processor: Any) -> Iterator[dict[str, Any]]:
    if isinstance(processor, dict):
        yield processor
        more = processor.get("processors")
        for part in more if isinstance(more, list) else []:
            yield from _processors(part)
