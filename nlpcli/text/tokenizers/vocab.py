"""Vocabularies: tokens by id, and which of them have a role, by name."""

from __future__ import annotations

import re
import string
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from nlpcli.errors import CheckpointError
from nlpcli.files.plain_file import read_plain

WORDS_OF_A_WORD_VOCABULARY = 1000
MOST_TOKENS = 1_000_000
# By role: what BERT and the fairseq models call it.
NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "begin": ("[CLS]", "<s>"),
    "end": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
# What others call it, the likeliest first; asked where those names are not there.
_OTHERS = {
    "begin": ("<|begin_of_text|>", "<|startoftext|>", "<bos>"),
    "end": ("<eod>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<eos>"),
}
_SENTINEL = re.compile("▁?<extra_id_[0-9]+>")


class Roles(NamedTuple):
    """The token of each role by its name; None where a vocabulary has none."""

    pad: str | None = None
    unk: str | None = None
    begin: str | None = None
    end: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Vocab:
    """Tokens in the order of their ids.

    Rows of the model follow the numbers. A published file may have a token twice: it
    then has the last of its numbers, as with BERT, and the others stay without text.
    Ids of roles are looked up by name, never by number: published files disagree on
    the numbers. ``roles``: None for the well-known names; any but the end may be
    missing. ``beside``: further tokens that are no text (markup of a chat, sentinels).
    Raises CheckpointError where no token ends a sequence.
    """

    tokens: tuple[str, ...]
    origin: str = "vocabulary"
    roles: Roles | None = None
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.require("end")

    @cached_property
    def index(self) -> dict[str, int]:
        """Token to id; of a token that stands twice, the last."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def repeated(self) -> dict[str, list[int]]:
        """Every token that stands twice or more, and all its numbers."""
        if len(self.index) == len(self.tokens):
            return {}
        found: dict[str, list[int]] = {}
        for number, token in enumerate(self.tokens):
            found.setdefault(token, []).append(number)
        return {t: numbers for t, numbers in found.items() if len(numbers) > 1}

    @cached_property
    def pad_id(self) -> int:
        """Id that fills rows: of the end, where no token is for it (it is masked)."""
        found = self._find("pad")
        return self.end_id if found is None else found

    @cached_property
    def end_id(self) -> int:
        """Id of the token that ends a sequence."""
        return self.require("end")

    @cached_property
    def begin_id(self) -> int | None:
        """Id of the token that begins a sequence, None where there is none."""
        return self._find("begin")

    @cached_property
    def unk_id(self) -> int | None:
        """Id of the unknown token, None where every text has pieces."""
        return self._find("unk")

    @cached_property
    def mask_id(self) -> int | None:
        """Id of the mask token, None where there is none."""
        return self._find("mask")

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of all tokens that are no text, in the order of the file."""
        found = {self._find(role) for role in Roles._fields}
        found |= {self.index.get(name) for name in self.beside}
        return tuple(sorted(i for i in found if i is not None))

    def require(self, role: str) -> int:
        """The id of a role; raises CheckpointError where there is none."""
        found = self._find(role)
        if found is not None:
            return found
        named = getattr(self.roles or Roles(), role)
        raise _missing(self.origin, [named] if named else NAMES[role])

    def _find(self, role: str) -> int | None:
        if self.roles is not None:
            name = getattr(self.roles, role)
            return None if name is None else self.index.get(name)
        name = known_name(role, self.index)
        return None if name is None else self.index[name]


def known_name(role: str, tokens: Container[str]) -> str | None:
    """The first of the well-known names of a role that is among some tokens."""
    names = (*NAMES[role], *_OTHERS.get(role, ()))
    return next((name for name in names if name in tokens), None)


def is_sentinel(piece: str) -> bool:
    """Whether a piece is one of T5's marks of what was left out of a text."""
    return piece.endswith(">") and _SENTINEL.fullmatch(piece) is not None


def read_vocab(path: Path) -> Vocab:
    """A vocab.txt, one token a line; all of the line is the token, spaces too.

    Raises NotFoundError for a missing file, else CheckpointError.
    """
    raw = _read(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: expected UTF-8 ({error})") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return bert_vocab(tuple(line.removesuffix("\r") for line in lines), str(path))


def bert_vocab(
    tokens: tuple[str, ...], origin: str, beside: tuple[str, ...] = ()
) -> Vocab:
    """A vocabulary whose special tokens have BERT's names; CheckpointError for one
    without a token that pads, ends or is unknown."""
    known = set(tokens)
    for role in ("pad", "unk", "end"):
        if known.isdisjoint(NAMES[role]):
            raise _missing(origin, NAMES[role])
    return Vocab(tokens, origin, beside=beside)


def _missing(origin: object, names: Iterable[str]) -> CheckpointError:
    expected = " or ".join(names)
    return CheckpointError(f"{origin}: expected a token {expected}, found none")


def _read(path: Path) -> bytes:
    raw = read_plain(path)
    lines = raw.count(b"\n")
    if lines > MOST_TOKENS:
        raise CheckpointError(
            f"{path}: expected at most {MOST_TOKENS} tokens, got {lines}"
        )
    return raw


def check_rows(vocab: Vocab, rows: int, name: str) -> None:
    """Raise CheckpointError for more tokens than the table of a model has rows."""
    if len(vocab.tokens) > rows:
        raise CheckpointError(
            f"{name}: expected a vocabulary of at most {rows} tokens (vocab_size), "
            f"got {len(vocab.tokens)} in {vocab.origin}"
        )


def has_words(path: Path) -> bool:
    """Whether a vocab.txt holds so many words of several Han characters that its
    tokenizer must be word-level."""
    lines = _read(path).split(b"\n")
    return are_words(x.removesuffix(b"\r").decode("utf-8", "replace") for x in lines)


def are_words(tokens: Iterable[str]) -> bool:
    """Whether so many tokens are words of several Han characters."""
    words = 0
    for token in tokens:
        words += len(token) > 1 and all("一" <= c <= "鿿" for c in token)
    return words > WORDS_OF_A_WORD_VOCABULARY


def text_of(vocab: Vocab, ids: Iterable[int]) -> str:
    """The text of token ids: continuation marks resolved, special tokens dropped."""
    special = set(vocab.special_ids)
    tokens = [vocab.tokens[i] for i in ids if i not in special]
    return "".join(t.removeprefix("##").replace("▁", " ") for t in tokens).strip()


def tiny_vocab() -> Vocab:
    """The vocabulary of the built-in encoder: GB 2312, ASCII and its ## forms.

    Every Han character and mark of GB 2312 is in it, but neither capital letters nor
    the ideographic space, which the normaliser never lets through.
    """
    characters = []
    for high in range(0xA1, 0xF8):
        for low in range(0xA1, 0xFF):
            try:
                characters.append(bytes((high, low)).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    ascii_marks = [c for c in string.printable[:94] if not c.isupper()]
    letters = string.ascii_lowercase + string.digits
    tokens = [names[0] for names in NAMES.values()]
    tokens += ascii_marks + [f"##{c}" for c in letters]
    tokens += [c for c in characters if c.strip() and c == c.lower()]
    return Vocab(tuple(dict.fromkeys(tokens)), "tiny")
