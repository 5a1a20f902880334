"""Lines of UTF-8 text, with their numbers: files, gzipped ones, pipes and stdin."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
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
BESIDE = 16  # more that a line counts where many of them make one thing
LONGEST_DOCUMENT = 2**28  # the same of a published file that is one JSON value
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_HEAD = 200  # lines that are looked at before the first is read
_FAR = 64 * 2**20  # about the bytes in memory that looking ahead may hold
_ENDLESS = 2**30  # bytes: what goes on for longer without a line end has no lines


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
    and takes nothing away; it ends early, as do ``first`` and ``some``, where it would
    hold more than 64 MB. "-" is stdin; a byte order mark and CRLF are accepted, gzip is
    recognised by its first bytes.

    Raises NotFoundError for a missing file; DataError for a folder and, where they are
    met, for broken gzip and for a line without an end.
    """

    def __init__(
        self,
        source: str | Path | Spooled,
        longest: int = LONGEST_LINE,
        stream: IO[bytes] | None = None,
    ) -> None:
        """``stream``: the bytes of the source, where it is open already."""
        self.source = source
        self.name = _shown(source)
        self.longest = longest
        self.number = 0  # of the last line that was read from the input
        self.taken = 0  # of the last line that was given out
        self.ended = False  # whether that was the last
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
            line = self._ahead.popleft() if self._ahead else next(self._rest, None)
            if line is None:
                return
            self.taken = line[0]
            yield line

    def flows(self) -> bool:
        """Whether the input is a pipe or a device, which may have no end."""
        self.open()
        try:
            number = cast(IO[bytes], self._stream).fileno()
        except (OSError, ValueError):  # a stand-in of a test or a notebook
            return False
        return not stat.S_ISREG(os.fstat(number).st_mode)

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

    def some(self, count: int) -> list[Line]:
        """The next ``count`` lines that are not blank; they stay to be read."""
        found = (line for line in self._looked_at() if not _is_blank(line))
        return list(islice(found, count))

    def origin(self, number: int) -> str:
        """Where a line stands, for messages."""
        return origin_of(self.name, number)

    def too_long(self, number: int, what: str = "line") -> DataError:
        """That what begins on a line is longer than ``longest``."""
        return DataError(
            f"{self.origin(number)}: expected a {what} of at most {self.longest} bytes "
            "(--longest-line), got more"
        )

    def _looked_at(self) -> Iterator[Line]:
        held = 0
        for line in self._ahead:
            held += _held(line)
            yield line
        while held <= _FAR or len(self._ahead) < 2:
            found = next(self._rest, None)
            if found is None:
                return
            held += _held(found)
            self._ahead.append(found)
            yield found

    def _read(self) -> Iterator[Line]:
        self.open()
        try:
            stream = _unpacked(self._stream)
            most = len(_BOM) + self.longest + len(b"\r\n") + 1
            while raw := stream.readline(most):
                self.number += 1
                yield self.number, self._text(raw)
                if len(raw) == most and not raw.endswith(b"\n"):
                    self._skip(stream)
            self.ended = True
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.name}: cannot be read: {_why(error)}") from error

    def _skip(self, stream: IO[bytes]) -> None:
        """The rest of a line, when what comes after it is wanted."""
        left = _ENDLESS
        while (raw := stream.readline(2**16)) and not raw.endswith(b"\n"):
            left -= len(raw)
            if left < 0:
                raise DataError(f"{self.origin(self.number)}: expected lines, got none")

    def _text(self, raw: bytes) -> str | BadLine:
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if self.number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > self.longest:
            return BadLine(str(self.too_long(self.number)), line)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte, place = line[error.start], error.start + 1
            told = f"expected UTF-8, got byte 0x{byte:02x} at position {place}"
            return BadLine(f"{self.origin(self.number)}: {told}", line)


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
    is_stdin = str(source) == STDIN
    if not is_stdin and (not path.exists() or path.is_file() or path.is_dir()):
        return source
    with explained_open(source) as stream:
        try:
            return Spooled(_shown(source), stream)
        except OSError as error:
            told = f"cannot be kept to be read again: {_why(error)}"
            raise DataError(f"{_shown(source)}: {told}") from error


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
    except (FileNotFoundError, ValueError):  # the latter for what names no file: "a\0b"
        raise NotFoundError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{source}: expected a file, got a folder") from None
    except OSError as error:
        told = f"{_shown(source)}: cannot be read: {_why(error)}"
        raise DataError(told) from error


def _shown(source: str | Path | Spooled) -> str:
    return "stdin" if str(source) == STDIN else str(source)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def _is_blank(line: Line) -> bool:
    return isinstance(line[1], str) and not line[1].strip()


def _held(line: Line) -> int:
    """About the bytes that a line takes in memory."""
    return 100 + (sys.getsizeof(line[1]) if isinstance(line[1], str) else 700)


def _unpacked(stream: Any) -> IO[bytes]:
    # Looked at, not read and rewound: a pipe does not go back. It may also give one
    # byte, and then wait: only the first of gzip is worth it.
    begins = stream.peek(len(_GZIP))[: len(_GZIP)]
    if begins == _GZIP[:1]:
        stream.read(1)
        begins += stream.peek(1)[:1]
        stream = io.BufferedReader(_After(_GZIP[:1], stream))
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream) if begins == _GZIP else stream)


class _After(io.RawIOBase):
    """Bytes that were taken from a stream, and then the stream."""

    def __init__(self, taken: bytes, stream: io.BufferedReader) -> None:
        self.taken = taken
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.taken or self.stream.read1(len(buffer))
        self.taken = b""
        buffer[: len(found)] = found
        return len(found)


def _stdin() -> IO[bytes]:
    """A reader of stdin of our own.

    A daemon thread that waits inside sys.stdin's holds its lock, and Python aborts
    when it meets that lock at exit.
    """
    if sys.stdin is None:  # as Python leaves what was closed from the beginning
        raise OSError(errno.EBADF, "it is closed")
    try:
        number = sys.stdin.fileno()
    except (OSError, ValueError):  # not a real file: a test's or a notebook's
        return io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))
    return os.fdopen(number, "rb", closefd=False)
