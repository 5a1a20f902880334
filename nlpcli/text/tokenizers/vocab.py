"""Vocabularies: tokens by id, special tokens by name."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlpcli.errors import CheckpointError, NotFoundError

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

    Special ids are looked up by name, never by number: published files disagree on
    the numbers. Raises CheckpointError for duplicates or a missing special token
    (only the mask may be missing).
    """

    tokens: tuple[str, ...]
    origin: str = "vocabulary"

    def __post_init__(self) -> None:
        if len(self.index) != len(self.tokens):
            seen: set[str] = set()
            for number, token in enumerate(self.tokens, 1):
                if token in seen:
                    raise CheckpointError(
                        f"{self.origin}:{number}: token {token!r} stands twice"
                    )
                seen.add(token)
        for role, names in NAMES.items():
            if role != "mask" and self._find(role) is None:
                raise CheckpointError(
                    f"{self.origin}: expected a token {' or '.join(names)}, found none"
                )

    @cached_property
    def index(self) -> dict[str, int]:
        """Token to id."""
        return {token: number for number, token in enumerate(self.tokens)}

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
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: expected UTF-8 ({error})") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return Vocab(tuple(line.removesuffix("\r") for line in lines), str(path))


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
