"""Indexes of TensorFlow checkpoints, written by hand: as no TensorFlow would."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_index(prefix: Path, entries: Mapping[str, bytes], data: int = 4) -> None:
    """PREFIX.index with these entries, PREFIX.data-* with so many zeros."""
    header = b"\x08\x01\x1a\x02\x08\x01"  # one shard, the version
    table = _table([(b"", header), *((k.encode(), v) for k, v in entries.items())])
    prefix.with_name(prefix.name + ".index").write_bytes(table)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(b"\0" * data)


def entry(
    shape: Iterable[int], size: int = 4, kind: int = 1, more: bytes = b""
) -> bytes:
    """A BundleEntryProto: type, shape and bytes of the data."""
    axes = b"".join(_field(2, _number(1, axis)) for axis in shape)
    return _number(1, kind) + _field(2, axes) + _number(5, size) + more


def checksum(data: bytes) -> bytes:
    """The field of an entry that vouches for its data."""
    return b"\x35" + struct.pack("<I", _masked_crc(data))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value % 2**64) if value else b""


def _field(field: int, message: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(message)) + message


def _table(items: list[tuple[bytes, bytes]]) -> bytes:
    """A table of LevelDB: a block of items, one of nothing, one that leads to them."""
    out = b""

    def put(block: bytes) -> bytes:
        nonlocal out
        handle = _varint(len(out)) + _varint(len(block))
        out += block + b"\0" + struct.pack("<I", _masked_crc(block + b"\0"))
        return handle

    first, nothing = put(_block(items)), put(_block([]))
    footer = nothing + put(_block([(b"\xff", first)]))
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    return out + footer + b"\0" * (40 - len(footer)) + magic


def _block(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    body, restarts = b"", []
    for key, value in items:
        restarts.append(len(body))
        body += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]
    return body + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _masked_crc(data: bytes) -> int:
    """CRC-32C, masked as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
