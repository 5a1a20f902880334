"""Lines of UTF-8 text from files, gzipped files and stdin, with their numbers."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from nlpcli.errors import DataError, NotFoundError

OnBad = Callable[[int, DataError], None]


def where(path: str | Path, line: int) -> str:
    """``name:line``, as every data error begins."""
    return f"{path}:{line}"


def read_lines(
    path: str | Path, on_bad: OnBad | None = None
) -> Iterator[tuple[int, str]]:
    """1-based number and text of each line, without its end; "-" is stdin.

    A byte order mark and CRLF are accepted, gzip is recognised by its first bytes.
    A line that is not UTF-8 raises DataError, or goes to ``on_bad`` and is left out.
    Raises NotFoundError for a missing file, DataError for a folder or broken gzip.
    """
    stream = _open(path)
    try:
        for number, raw in enumerate(stream, 1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                problem = DataError(
                    f"{where(path, number)}: expected UTF-8, got byte "
                    f"0x{raw[error.start]:02x} at position {error.start + 1}"
                )
                if on_bad is None:
                    raise problem from None
                on_bad(number, problem)
                continue
            yield number, text.removesuffix("\n").removesuffix("\r")
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    finally:
        if path != "-":
            stream.close()


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
    except (ValueError, RecursionError) as error:
        shown = text.strip()[:40]
        raise DataError(
            f"{place}: expected a JSON object, got {shown!r} ({error})"
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a JSON object, got {text.strip()[:40]!r}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _open(path: str | Path) -> IO[bytes]:
    if path == "-":
        return sys.stdin.buffer
    try:
        stream: IO[bytes] = Path(path).open("rb")  # noqa: SIM115 - the caller closes
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file, got a folder") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    magic = stream.read(2)
    stream.seek(0)
    if magic == b"\x1f\x8b":
        return gzip.open(stream, "rb")  # type: ignore[return-value]
    return stream
