"""The form of a couplet: what a second line owes to its first.

Same length; the same marks (punctuation, symbols) at the same places; the same
character again where the first line has one again, and nowhere else; no character of
the first line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from nlpcli.text.batching import Features, Field
from nlpcli.text.tokenizers.encoding import Tokenizer

VERSE_FIELDS = {
    "first_ids": Field(("first",), -1),
    "repeat_of": Field(("first",)),
    "punctuation": Field(("first",), False),
    "tone": Field(("first",)),
    "answer_length": Field(()),
}


def verse_features(first: str, first_ids: np.ndarray, tones: Sequence[int]) -> Features:
    """What a decoder has to know of a first line.

    first_ids: (length,), the ids of its characters. ``repeat_of`` is the place where
    the character of a place stands first, told by code points: unknown characters
    that differ stay different. ``tones`` is 0, 1 (level) or 2 (oblique) for each
    place of the answer; all places of one character get the same.
    """
    places: dict[str, int] = {}
    repeat_of = np.array(
        [places.setdefault(c, i) for i, c in enumerate(first)], np.int32
    )
    demands = np.zeros(len(first), np.int32)
    np.maximum.at(demands, repeat_of, np.asarray(tones, np.int32))
    return {
        "first_ids": first_ids.astype(np.int32),
        "repeat_of": repeat_of,
        "punctuation": np.array([is_mark(character) for character in first], bool),
        "tone": demands[repeat_of],
        "answer_length": np.array(len(first), np.int32),
    }


def broken_rules(first: str, second: str) -> list[str]:
    """The rules that a second line breaks: length, marks, repetition, sharing."""
    if len(first) != len(second):
        return ["length"]
    broken = []
    for one, other in zip(first, second, strict=True):
        if (is_mark(one) or is_mark(other)) and one != other:
            broken.append("marks")
            break
    pairs = {(a, b) for a, b in zip(first, second, strict=True) if not is_mark(a)}
    above, below = {a for a, _ in pairs}, {b for _, b in pairs}
    if not len(pairs) == len(above) == len(below):  # one to one
        broken.append("repetition")
    if above & below:
        broken.append("sharing")
    return broken


def is_mark(character: str) -> bool:
    """Whether a character is neither a letter nor a number: it is carried over."""
    return unicodedata.category(character)[0] not in "LN"


def without_spaces(text: str) -> str:
    """The characters of a line; spaces between them are no part of it."""
    return "".join(text.split())


def answer_tokens(tokenizer: Tokenizer, rows: int) -> np.ndarray:
    """(rows,) bool: tokens that are one character and no mark.

    ``rows``: of the model's table, perhaps more than there are tokens. Only tokens
    that the tokenizer gives for their own character, so that what is written reads
    back as the same tokens.
    """
    vocab = tokenizer.vocab
    allowed = np.zeros(rows, bool)
    single = [i for i, t in enumerate(vocab.tokens) if len(t) == 1 and not is_mark(t)]
    ids = tokenizer.character_ids("".join(vocab.tokens[i] for i in single))
    kept = np.array(single, np.int64)
    allowed[kept[ids == kept]] = True
    allowed[list(vocab.special_ids)] = False
    return allowed
