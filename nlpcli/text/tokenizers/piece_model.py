"""SentencePiece's own files (spiece.model and others), read without its library.

They are protocol buffers of sentencepiece_model.proto, of which a few fields matter:
pieces, what kind of model they are for, and how a text is cleaned. Nothing nests
deeper than two levels, so nothing here calls itself.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.files.plain_file import read_plain
from nlpcli.text.tokenizers.vocab import MOST_TOKENS

LONGEST_PIECE = 256  # characters; SentencePiece itself makes none of more than 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class PieceType(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass
class PieceModel:
    """The file's content. ``algorithm``: 1 Unigram, 2 BPE; ids: -1 for none.

    scores: natural logarithms of Unigram's probabilities, or the order of merges,
    the first one highest.
    """

    pieces: list[str]
    scores: list[float]
    types: list[int]
    algorithm: int = 1
    byte_fallback: bool = False
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    pad_id: int = -1
    charsmap: bytes = b""
    dummy_prefix: bool = True
    squeezes_spaces: bool = True
    escapes_spaces: bool = True

    def piece(self, number: int) -> str | None:
        """The piece of an id, None where there is none."""
        return self.pieces[number] if 0 <= number < len(self.pieces) else None


class _Bad(ValueError):
    """What is wrong with the bytes."""


def read_piece_model(path: Path) -> PieceModel:
    """The content of a file; raises NotFoundError for none and CheckpointError for
    one that is no such model, is damaged, or has a model of another kind."""
    try:
        model = _parse(read_plain(path))
    except _Bad as problem:
        raise CheckpointError(
            f"{path}: expected a SentencePiece model: {problem}"
        ) from (None)
    if model.algorithm not in (1, 2):
        raise CheckpointError(
            f"{path}: expected a Unigram or BPE model (model_type 1 or 2), "
            f"got {model.algorithm}"
        )
    if not model.escapes_spaces:
        raise CheckpointError(f"{path}: escape_whitespaces: expected true, got false")
    return model


def _parse(raw: bytes) -> PieceModel:
    model = PieceModel([], [], [])
    trainer: dict[int, Any] = {}
    cleaning: dict[int, Any] = {}
    for number, value in _fields(raw, 0, len(raw)):
        if number not in (1, 2, 3):
            continue
        start, end = _span(number, value)
        if number == 1:
            _add_piece(model, raw, start, end)
        else:
            (trainer if number == 2 else cleaning).update(_fields(raw, start, end))
    if not model.pieces:
        raise _Bad("it has no pieces")
    model.algorithm = _whole(trainer, 3, 1)
    model.byte_fallback = bool(_whole(trainer, 35, 0))
    model.unk_id, model.bos_id = _whole(trainer, 40, 0), _whole(trainer, 41, 1)
    model.eos_id, model.pad_id = _whole(trainer, 42, 2), _whole(trainer, 43, -1)
    start, end = _span(2, cleaning.get(2, (0, 0)))
    model.charsmap = raw[start:end]
    model.dummy_prefix = bool(_whole(cleaning, 3, 1))
    model.squeezes_spaces = bool(_whole(cleaning, 4, 1))
    model.escapes_spaces = bool(_whole(cleaning, 5, 1))
    return model


def _add_piece(model: PieceModel, raw: bytes, start: int, end: int) -> None:
    place = len(model.pieces)
    if place >= MOST_TOKENS:
        raise _Bad(f"expected at most {MOST_TOKENS} pieces, got more")
    found = dict(_fields(raw, start, end))
    first, last = _span(1, found.get(1, (0, 0)))
    try:
        piece = raw[first:last].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Bad(f"piece {place} is no UTF-8 ({error})") from None
    if not 0 < len(piece) <= LONGEST_PIECE:
        raise _Bad(
            f"piece {place}: expected 1 to {LONGEST_PIECE} characters, got {len(piece)}"
        )
    score = found.get(2, 0.0)
    if not isinstance(score, float) or not math.isfinite(score):
        raise _Bad(
            f"piece {place}: expected a number as score, got {short(str(score))}"
        )
    model.pieces.append(piece)
    model.scores.append(score)
    model.types.append(_whole(found, 3, PieceType.NORMAL))


def _fields(raw: bytes, place: int, end: int) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, a float, or where its bytes stand."""
    while place < end:
        key, place = _varint(raw, place, end)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == _VARINT:
            value, place = _varint(raw, place, end)
        elif wire == _BYTES:
            length, place = _varint(raw, place, end)
            if not 0 <= length <= end - place:
                raise _Bad(f"field {number} has {length} bytes, {end - place} are left")
            value, place = (place, place + length), place + length
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
            if end - place < size:
                raise _Bad(f"it ends within field {number}")
            value = struct.unpack_from("<f" if size == 4 else "<d", raw, place)[0]
            place += size
        else:
            raise _Bad(f"field {number} has the wire type {wire}")
        yield number, value


def _varint(raw: bytes, place: int, end: int) -> tuple[int, int]:
    """A whole number of at most 64 bits, with its sign, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise _Bad("it ends within a number")
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value - (1 << 64) if value >> 63 else value, place
    raise _Bad("a number has more than 64 bits")


def _span(number: int, value: Any) -> tuple[int, int]:
    if not isinstance(value, tuple):
        raise _Bad(f"field {number} is no text and no message")
    return value


def _whole(found: dict[int, Any], number: int, default: int) -> int:
    value = found.get(number, default)
    if not isinstance(value, int):
        raise _Bad(f"field {number} is no whole number")
    return value
