"""Outputs that a person names: a file, which may be a link, a device or a pipe."""

from __future__ import annotations

import gzip
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nlpcli.errors import NotFoundError, UsageError
from nlpcli.files.atomic import explained, whole_file
from nlpcli.files.owners import is_trusted

_DESCRIPTOR = re.compile(r"/(?:proc/(?P<process>self|\d+)|dev)/fd/(?P<number>\d+)")
_STDIN = "-"


@contextmanager
def named_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Bytes to an output: a file is there whole at the end, others as they are written.

    A link leads to the file that it stands for, unless another user made it. Raises
    UsageError, and keeps the work under another name, when a file has appeared since
    ``refuse_existing`` looked and ``force`` is not given.
    """
    number = descriptor_of(path)
    if number is None and not is_special(path):
        with whole_file(followed(path), force, path) as stream:
            yield stream
        return
    with explained(path):
        opened = path.open("wb") if number is None else os.fdopen(os.dup(number), "wb")
    try:
        yield opened
        with explained(path):
            opened.flush()
    finally:
        with suppress(OSError):
            opened.close()


def write_lines(path: str | Path, lines: Iterable[str], force: bool = False) -> None:
    """An output of lines that have their ends, as UTF-8; a name in .gz packs them."""
    path = Path(path)
    with named_file(path, force) as stream, _packing(path, stream) as packed:
        for line in lines:
            data = line.encode("utf-8")
            with explained(path):
                packed.write(data)


@contextmanager
def _packing(path: Path, stream: BinaryIO) -> Iterator[BinaryIO]:
    if path.suffix != ".gz":
        yield stream
        return
    # same lines, same bytes: neither the time nor a name
    with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
        yield packed  # type: ignore[misc]


def refuse_existing(path: Path | None, force: bool, *inputs: str | Path | None) -> None:
    """Raise UsageError for an output that exists, NotFoundError where it cannot be.

    With ``force`` a file may be replaced, but none of ``inputs``; "-" is stdin.
    """
    if path is None or is_special(path):
        return
    followed(path)
    if path.is_dir():
        raise UsageError(f"{path}: expected a file name, got a folder")
    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; --force replaces it")
    if any(_is_same(path, other) for other in inputs if other):
        raise UsageError(f"{path}: expected another file than the input, got the same")
    if not path.parent.is_dir():
        raise NotFoundError(f"{path}: there is no folder {path.parent}")


def refuse_sources(target: Path, sources: Iterable[Path]) -> None:
    """Raise UsageError where what is to be replaced is, or holds, what is read."""
    real = Path(os.path.realpath(target))
    for source in sources:
        read = Path(os.path.realpath(source))
        if real in (read, *read.parents):
            raise UsageError(f"{target}: is or holds {source}, which is read from")


def refuse_within(target: Path, folders: Iterable[Path]) -> None:
    """Raise UsageError where a name is inside a folder that is replaced as a whole."""
    real = Path(os.path.realpath(target))
    for folder in folders:
        if Path(os.path.realpath(folder)) in real.parents:
            raise UsageError(
                f"{target}: is inside {folder}, which training replaces as a whole; "
                "name another folder"
            )


def is_special(path: Path) -> bool:
    """What is written to as it is: a device, a pipe, what the process has open."""
    if descriptor_of(path) is not None:
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def descriptor_of(path: Path) -> int | None:
    """The number that /dev/stdout, /dev/fd/N or /proc/self/fd/N stand for."""
    spelled = str(path.absolute())
    if spelled in ("/dev/stdout", "/dev/stderr"):
        return 1 if spelled == "/dev/stdout" else 2
    found = _DESCRIPTOR.fullmatch(spelled)
    if found is None or found["process"] not in (None, "self", str(os.getpid())):
        return None
    return int(found["number"])


def followed(path: Path) -> Path:
    """What a name stands for, through links of this user or the system's.

    Raises UsageError for one of another user, which may lead anywhere, and for one
    that leads nowhere.
    """
    place = Path(os.path.realpath(path.parent), path.name)
    for _ in range(40):
        if not place.is_symlink():
            return place
        if not is_trusted(place.lstat()):
            raise UsageError(f"{path}: a link of another user, which is not followed")
        if not place.exists():
            raise UsageError(f"{path}: a link to what is not there")
        leads = place.parent / place.readlink()
        place = Path(os.path.realpath(leads.parent), leads.name)
    raise UsageError(f"{path}: links without end")


def _is_same(path: Path, other: str | Path) -> bool:
    with suppress(OSError, ValueError):
        if str(other) == _STDIN:
            return os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
        return path.samefile(other)
    return False
