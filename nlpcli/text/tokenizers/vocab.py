"""Vocabularies: tokens by id, special tokens by name."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlpcli.errors import CheckpointError
from nlpcli.files.plain_file import read_plain

WORDS_OF_A_WORD_VOCABULARY = 1000
MOST_TOKENS = 1_000_000
NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}


@dataclass(frozen=True)
class Vocab:
    """Tokens in the order of their ids.

    Rows of the model follow the numbers. A published file may have a token twice: it
    then has the last of its numbers, as with BERT, and the others stay without text.
    Special ids are looked up by name, never by number: published files disagree on
    the numbers. Raises CheckpointError for a missing special token (only the mask may
    be missing).
    """

    tokens: tuple[str, ...]
    origin: str = "vocabulary"

    def __post_init__(self) -> None:
        for role, names in NAMES.items():
            if role != "mask" and self._find(role) is None:
                raise CheckpointError(
                    f"{self.origin}: expected a token {' or '.join(names)}, found none"
                )

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
        """Id of the padding token."""
        return self._require("pad")

    @cached_property
    def unk_id(self) -> int:
        """Id of the unknown token."""
        return self._require("unk")

    @cached_property
    def cls_id(self) -> int:
        """Id of the token that begins a sequence."""
        return self._require("cls")

    @cached_property
    def sep_id(self) -> int:
        """Id of the token that ends a sequence."""
        return self._require("sep")

    @cached_property
    def mask_id(self) -> int | None:
        """Id of the mask token, None where there is none."""
        return self._find("mask")

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of all special tokens, in the order of the file."""
        found = {self._find(role) for role in NAMES}
        return tuple(sorted(i for i in found if i is not None))

    def _find(self, role: str) -> int | None:
        for name in NAMES[role]:
            if name in self.index:
                return self.index[name]
        return None

    def _require(self, role: str) -> int:
        found = self._find(role)
        if found is None:
            raise CheckpointError(f"{self.origin}: no {role} token")
        return found


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
    return Vocab(tuple(line.removesuffix("\r") for line in lines), str(path))


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
    words = 0
    for line in _read(path).split(b"\n"):
        token = line.removesuffix(b"\r").decode("utf-8", "replace")
        words += len(token) > 1 and all("一" <= c <= "鿿" for c in token)
    return words > WORDS_OF_A_WORD_VOCABULARY


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
