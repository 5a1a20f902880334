"""Files that strangers made: opened only where they are plain, read up to a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from nlpcli.errors import CheckpointError, NlpcliError, NotFoundError

MOST_BYTES = 64 * 2**20

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def read_plain(
    path: str | Path,
    most: int = MOST_BYTES,
    error: type[NlpcliError] = CheckpointError,
) -> bytes:
    """All bytes of a plain file of at most ``most``.

    Raises NotFoundError for a missing file and ``error`` for anything else: a device
    or a pipe, which would never end, a folder, a larger file.
    """
    with open_plain(path, error) as stream:
        try:
            # not what it says of its size: some of the system's files say 0
            content = stream.read(most + 1)
        except OSError as problem:
            raise error(f"{path}: cannot be read: {problem.strerror}") from problem
    if len(content) > most:
        raise error(f"{path}: expected at most {most} bytes, got more")
    return content


def open_plain(
    path: str | Path, error: type[NlpcliError] = CheckpointError
) -> BinaryIO:
    """The bytes of a plain file; never waits at a pipe, nor wakes a device.

    A link is followed: the hub's cache is made of them. Raises as ``read_plain``.
    """
    flags = os.O_RDONLY
    # no system has all
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    try:
        _refuse_other(path, Path(path).stat().st_mode, error)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from problem
    try:
        _refuse_other(path, os.fstat(descriptor).st_mode, error)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def kind_of(mode: int) -> str:
    """What a mode says of something that is no plain file: "a pipe"."""
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def _refuse_other(path: str | Path, mode: int, error: type[NlpcliError]) -> None:
    if not stat.S_ISREG(mode):
        raise error(f"{path}: expected a plain file, got {kind_of(mode)}")
