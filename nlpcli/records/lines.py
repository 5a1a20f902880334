"""Lines of UTF-8 text, with their numbers: files, gzipped ones, pipes and stdin."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from nlpcli.errors import DataError, NotFoundError

STDIN = "-"
LONGEST_LINE = 16 * 2**20  # bytes without the end; what is longer is no line of text
LONGEST_DOCUMENT = 2**31  # a published file may be one line of JSON
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_HEAD = 200  # lines that are looked at before the first is read


class BadLine(DataError):
    """A line that is no text; ``begins`` is its first byte that is no space, if any."""

    def __init__(self, message: str, raw: bytes) -> None:
        super().__init__(message)
        self.begins = raw.lstrip()[:1]


Line = tuple[int, str | BadLine]


def origin_of(name: str | Path, number: int) -> str:
    """``name:12``, as every data error begins."""
    return f"{name}:{number}"


class Lines:
    """The lines of one input, opened once: a pipe has no second beginning.

    Iterating gives (1-based number, text without its end); a line that is not UTF-8,
    or longer than ``longest`` bytes, is a BadLine in its place. ``head`` looks ahead
    and takes nothing away. "-" is stdin; a byte order mark and CRLF are accepted, gzip
    is recognised by its first bytes.

    Raises NotFoundError for a missing file; DataError for a folder and, where it is
    met, for broken gzip.
    """

    def __init__(
        self,
        source: str | Path | Spooled,
        longest: int = LONGEST_LINE,
        stream: IO[bytes] | None = None,
    ) -> None:
        """``stream``: the bytes of the source, where it is open already."""
        self.source = source
        self.name = "stdin" if str(source) == STDIN else str(source)
        self.longest = longest
        self.number = 0  # of the last line that was read from the input
        self._stream = stream  # else opened when the first line is wanted
        self._ahead: deque[Line] = deque()
        self._rest = self._read()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> Lines:
        """Open it now, so that what cannot be opened is told at once.

        Nothing is read: the first line of a pipe may be long in coming.
        """
        self._stream = self._stream or explained_open(self.source)
        return self

    def close(self) -> None:
        """Let go of the input."""
        if self._stream is not None:
            self._stream.close()

    def __iter__(self) -> Iterator[Line]:
        while True:
            if self._ahead:
                yield self._ahead.popleft()
                continue
            line = next(self._rest, None)
            if line is None:
                return
            yield line

    def head(self, count: int = _HEAD) -> list[Line]:
        """The next ``count`` lines, which stay to be read."""
        return list(islice(self._looked_at(), count))

    def first(self) -> str | None:
        """The first line with something in it; None when there is none."""
        return self.first_line()[1]

    def first_line(self) -> tuple[int, str | None]:
        """Its number too; of an input without one, the number of its last line."""
        for number, text in self._looked_at():
            if isinstance(text, str) and text.strip():
                return number, text
        return self.number, None

    def origin(self, number: int) -> str:
        """Where a line stands, for messages."""
        return origin_of(self.name, number)

    def _looked_at(self) -> Iterator[Line]:
        yield from self._ahead
        for line in self._rest:
            self._ahead.append(line)
            yield line

    def _read(self) -> Iterator[Line]:
        self.open()
        try:
            stream = _unpacked(self._stream)
            while raw := stream.readline(self.longest + len(b"\r\n") + 1):
                self.number += 1
                yield self.number, self._text(raw, stream)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.name}: cannot be read: {error}") from error

    def _text(self, raw: bytes, stream: IO[bytes]) -> str | BadLine:
        origin = self.origin(self.number)
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if self.number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > self.longest:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(self.longest)
            told = f"expected a line of at most {self.longest} bytes, got more"
            return BadLine(f"{origin}: {told}", line)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte, place = line[error.start], error.start + 1
            told = f"expected UTF-8, got byte 0x{byte:02x} at position {place}"
            return BadLine(f"{origin}: {told}", line)


class Spooled:
    """The whole of an input that can be read only once, packed or not, on disk."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name = name
        self.copy = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        shutil.copyfileobj(stream, self.copy)
        self.copy.flush()

    def __str__(self) -> str:
        return self.name

    def open(self) -> IO[bytes]:
        """Another reader, from the beginning."""
        stream = os.fdopen(os.dup(self.copy.fileno()), "rb")
        stream.seek(0)
        return stream


def reusable(source: str | Path) -> str | Path | Spooled:
    """A source that ``Lines`` may open again: what is no plain file is copied once."""
    path = Path(source)
    if not path.exists() or path.is_file() or path.is_dir():
        return source
    with explained_open(source) as stream:
        return Spooled(str(source), stream)


def read_lines(source: str | Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line; the first one that is none is raised."""
    with Lines(source) as lines:
        for number, text in lines:
            if isinstance(text, DataError):
                raise text
            yield number, text


def explained_open(source: str | Path | Spooled) -> IO[bytes]:
    """The bytes of a source; NotFoundError or DataError for what cannot be opened."""
    try:
        if isinstance(source, Spooled):
            return source.open()
        return _stdin() if str(source) == STDIN else Path(source).open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{source}: expected a file, got a folder") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from error


def _unpacked(stream: Any) -> IO[bytes]:
    # Looked at, not read and rewound: a pipe does not go back.
    packed = stream.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if packed else stream


def _stdin() -> IO[bytes]:
    """A reader of stdin of our own.

    A daemon thread that waits inside sys.stdin's holds its lock, and Python aborts
    when it meets that lock at exit.
    """
    try:
        number = sys.stdin.fileno()
    except (OSError, ValueError):  # not a real file: a test's or a notebook's
        return io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))
    return os.fdopen(number, "rb", closefd=False)
