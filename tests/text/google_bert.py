"""Google's BasicTokenizer and WordpieceTokenizer, as their rules say, in plain Python.

An independent truth for the tests: one character after another, no library.
"""

import unicodedata
from functools import cache

HAN = [
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
]


def words(text, lowercase=True, strip=None, han_apart=True):
    found = []
    for word in "".join(spaced(c, han_apart) for c in text).split():
        word = word.lower() if lowercase else word
        if lowercase if strip is None else strip:
            parts = unicodedata.normalize("NFD", word)
            word = "".join(c for c in parts if unicodedata.category(c) != "Mn")
        found += "".join(f" {c} " if is_mark(c) else c for c in word).split()
    return found


@cache
def is_mark(c):
    ascii_mark = 33 <= ord(c) <= 126 and not c.isalnum()
    return ascii_mark or unicodedata.category(c).startswith("P")


@cache
def spaced(c, han_apart=True):
    """A character as the cleaned text has it."""
    if c in " \t\n\r" or unicodedata.category(c) == "Zs":
        return " "
    if c in "\0\ufffd" or unicodedata.category(c) in ("Cc", "Cf"):
        return ""
    han = han_apart and any(low <= ord(c) <= high for low, high in HAN)
    return f" {c} " if han else c


def pieces(word, vocab, longest=200, unknown="[UNK]"):
    if len(word) > longest:
        return [unknown]
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab:
                break
        else:
            return [unknown]
        found.append(piece)
        start = end
    return found


def tokenize(text, vocab, *cleaning):
    text = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return [p for word in words(text, *cleaning) for p in pieces(word, vocab)]
