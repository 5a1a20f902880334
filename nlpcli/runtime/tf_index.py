"""What the index of a TensorFlow checkpoint promises, checked before it is opened.

TensorFlow ends the whole process at an entry that cannot be read or a shape that cannot
be (a negative size, 2**62 times 2**62), and makes room for a tensor before it looks
whether the data has one.

Format: a table of LevelDB's (blocks of keys and values, a footer that leads to them),
whose values are protocol buffers; tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.files.plain_file import read_plain

MOST_AXES = 8
MOST_BYTES = 16 * 2**20  # BERT's is 10 KB
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5
# Bytes of a number by DataType, 0 for strings; resources and references cannot be.
_WIDTHS = {
    7: 0,
    **dict.fromkeys((4, 6, 10, 11, 12), 1),  # uint8, int8, bool, qint8, quint8
    **dict.fromkeys((5, 14, 15, 16, 17, 19), 2),  # int16, bfloat16, uint16, half ...
    **dict.fromkeys((1, 3, 13, 22), 4),  # float, int32, qint32, uint32
    **dict.fromkeys((2, 8, 9, 23), 8),  # double, complex64, int64, uint64
    18: 16,  # complex128
}


class _Absurd(Exception):
    """What is wrong with an index."""


def check_index(index: Path, data_bytes: int) -> None:
    """Raise CheckpointError for an index whose tensors cannot be.

    data_bytes: those of the files beside it that hold the numbers.
    """
    raw = read_plain(index, MOST_BYTES)
    try:
        total, last = 0, None
        for key, value in _entries(raw):
            # the first, without a name, is about the whole
            if (last is None) != (not key) or (last or b"") > key or last == key:
                raise _Absurd("its names are not in order")
            last = key
            total += _bytes_of(key, value, data_bytes)
            if total > data_bytes:
                raise _Absurd(f"{total} bytes promised, the data has {data_bytes}")
    except (_Absurd, IndexError) as problem:
        why = "it is cut short" if isinstance(problem, IndexError) else problem
        raise CheckpointError(
            f"{index}: not a whole TensorFlow checkpoint: {why}"
        ) from problem


def _bytes_of(key: bytes, value: bytes, data_bytes: int) -> int:
    """Bytes of the data that an entry is about, after all it says was checked."""
    from tensorflow.core.protobuf import tensor_bundle_pb2

    if not key:
        _parsed(tensor_bundle_pb2.BundleHeaderProto(), value, "the header")
        return 0
    name = short(key.decode("utf-8", "replace"))
    entry = _parsed(tensor_bundle_pb2.BundleEntryProto(), value, name)
    shape = tuple(axis.size for axis in entry.shape.dim)
    if entry.slices:
        raise _Absurd(f"{name} is in slices, which is not supported")
    if len(shape) > MOST_AXES or entry.shape.unknown_rank:
        raise _Absurd(f"{name} has {len(shape)} axes")
    width = _WIDTHS.get(entry.dtype)
    if width is None:
        raise _Absurd(f"{name} has type {entry.dtype}, expected numbers")
    if not 0 <= entry.size <= data_bytes or min(shape, default=0) < 0:
        raise _Absurd(f"{name} has shape {shape} and {entry.size} bytes")
    # a zero among the sizes must not hide that their product cannot be
    if math.prod(axis or 1 for axis in shape) * width > max(data_bytes, 2**31):
        raise _Absurd(f"{name} has shape {shape}, the data {data_bytes} bytes")
    if width and math.prod(shape) * width != entry.size:
        raise _Absurd(f"{name} has shape {shape} and {entry.size} bytes")
    if not width and math.prod(shape) > entry.size:  # a string takes a byte at least
        raise _Absurd(f"{name} has shape {shape} and {entry.size} bytes")
    return int(entry.size)


def _parsed(message: Any, value: bytes, name: str) -> Any:
    """The message, if it is written exactly as TensorFlow writes it."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        message.ParseFromString(value)
    except DecodeError:
        raise _Absurd(f"{name} cannot be read") from None
    if message.SerializeToString(deterministic=True) != value:
        raise _Absurd(f"{name} is not as TensorFlow writes it")
    return message


def _entries(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the whole table, in its order."""
    footer = raw[-_FOOTER:]
    if len(raw) < _FOOTER or footer[-8:] != _MAGIC:
        raise _Absurd("no table at its end")
    _, place = _handle(footer, 0)  # of a block that nobody reads
    (start, length), _ = _handle(footer, place)
    for _, handle in _block(raw, start, length):
        (start, length), _ = _handle(handle, 0)
        yield from _block(raw, start, length)


def _block(raw: bytes, start: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    if start + length + _TRAILER > len(raw) - _FOOTER or length < 4:
        raise _Absurd("a block beyond its end")
    if raw[start + length]:
        raise _Absurd("a packed block, which is not supported")
    block = raw[start : start + length]
    restarts = int.from_bytes(block[-4:], "little")
    end = length - 4 * (restarts + 1)
    if end < 0:
        raise _Absurd("a block without its end")
    begins = {
        int.from_bytes(block[place : place + 4], "little")
        for place in range(end, length - 4, 4)
    }
    whole, place, key = {0}, 0, b""
    while place < end:
        shared, at = _varint(block, place)
        if shared == 0:
            whole.add(place)
        fresh, at = _varint(block, at)
        count, at = _varint(block, at)
        if shared > len(key) or at + fresh + count > end:
            raise _Absurd("an entry beyond its block")
        key = key[:shared] + block[at : at + fresh]
        place = at + fresh + count
        yield key, block[place - count : place]
    # TensorFlow begins where the restarts say, and would meet other entries there
    if not begins <= whole:
        raise _Absurd("a block that begins twice")


def _handle(raw: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Where a block lies: (start, length), and the place after it."""
    start, place = _varint(raw, place)
    length, place = _varint(raw, place)
    return (start, length), place


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise _Absurd("a number that does not end")
