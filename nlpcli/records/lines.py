"""Lines of UTF-8 text from files, gzipped files and stdin, with their numbers."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError, NotFoundError

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
SHOWN = 40  # characters of a bad line in its message


def where(path: str | Path, line: int) -> str:
    """``name:line``, as every data error begins."""
    return f"{path}:{line}"


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """1-based number and text of each line, without its end; "-" is stdin.

    A byte order mark and CRLF are accepted, gzip is recognised by its first bytes.
    Raises DataError for a line that is not UTF-8, a folder or broken gzip, and
    NotFoundError for a missing file.
    """
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            raise line
        yield number, line


def decode_lines(path: str | Path) -> Iterator[tuple[int, str | DataError]]:
    """As ``read_lines``; a line that is not UTF-8 is a DataError in its place."""
    for number, raw in enumerate(_raw_lines(path), 1):
        if number == 1:
            raw = raw.removeprefix(_BOM)
        try:
            yield number, raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            yield (
                number,
                DataError(
                    f"{where(path, number)}: expected UTF-8, got byte "
                    f"0x{raw[error.start]:02x} at position {error.start + 1}"
                ),
            )


def read_json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """1-based number and object of each line that is not blank.

    Raises DataError for a line that is not one JSON object.
    """
    for number, text in read_lines(path):
        if text.strip():
            yield number, parse_object(text, where(path, number))


def parse_object(text: str, place: str) -> dict[str, Any]:
    """The JSON object in ``text``; DataError with ``place`` when it is not one."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        value, reason = None, f" ({error.msg}, column {error.colno})"
    except (ValueError, RecursionError) as error:
        value, reason = None, f" ({error})"
    else:
        reason = ""
    if not isinstance(value, dict):
        shown = text.strip()
        shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
        raise DataError(f"{place}: expected a JSON object, got {shown!r}{reason}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _raw_lines(path: str | Path) -> Iterator[bytes]:
    if path == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as stream:
            # Looked at, not read and rewound: a pipe does not go back.
            if stream.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
                with gzip.open(stream) as unpacked:
                    yield from unpacked
            else:
                yield from stream
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file, got a folder") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
