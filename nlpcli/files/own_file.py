"""Plain files of our own folders, opened through no link and waiting at no pipe."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nlpcli.errors import NlpcliError
from nlpcli.files.atomic import explained
from nlpcli.files.plain_file import kind_of


@contextmanager
def open_own(path: Path, access: int, what: str) -> Iterator[int]:
    """A descriptor of the file itself; ``access`` as os.open takes it.

    Raises NlpcliError, which says that a plain file ``what`` was expected, where the
    name belongs to something else; that stays as it is.
    """
    with explained(path), suppress(FileNotFoundError):
        _refuse_other(path, path.lstat().st_mode, what)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no system has all
        access |= getattr(os, name, 0)
    with explained(path):
        descriptor = os.open(path, access, 0o666)
    try:
        _refuse_other(path, os.fstat(descriptor).st_mode, what)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_other(path: Path, mode: int, what: str) -> None:
    if not stat.S_ISREG(mode):
        raise NlpcliError(f"{path}: expected a plain file {what}, got {kind_of(mode)}")
