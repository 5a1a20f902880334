"""One process at a time trains into a run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nlpcli.errors import NlpcliError, UsageError
from nlpcli.files.atomic import explained
from nlpcli.files.own_file import open_own

LOCK = ".lock"

_LONGEST = 64  # bytes of a lock: room for any process number
_WHAT = "as lock"


@contextmanager
def exclusive(folder: Path, patience: float = 2.0) -> Iterator[None]:
    """Hold the folder's lock; raises UsageError after ``patience`` seconds without it.

    The system lets go of it when the process ends, however it ends, so a lock is never
    stale; the process number inside is for the message only. Raises NlpcliError where
    the name belongs to something else, which stays as it is.
    """
    path = folder / LOCK
    deadline = time.monotonic() + patience
    while True:
        with open_own(path, os.O_RDWR | os.O_CREAT, _WHAT) as descriptor:
            if _lock(path, descriptor):
                _sign(path, descriptor)
                try:
                    yield
                finally:
                    _unlock(descriptor)
                return
            if time.monotonic() >= deadline:
                holder = _number(descriptor) or "unknown"
                raise UsageError(f"{folder}: in use by process {holder}")
        time.sleep(0.05)


def is_held(folder: Path) -> bool:
    """Whether a living process holds the folder's lock; who may read it may ask."""
    path = folder / LOCK
    # NFS lends a lock only on what is open for writing
    access = os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY
    for _ in range(3):  # whoever asks the same holds it for a moment
        try:
            with open_own(path, access, _WHAT) as descriptor:
                if _lock(path, descriptor):
                    _unlock(descriptor)
                    return False
        except (NlpcliError, OSError):
            return False
        time.sleep(0.005)
    return True


def _lock(path: Path, descriptor: int) -> bool:
    """Take the lock; not that of a file which the name no longer belongs to."""
    from filelock import lock_descriptor  # 15 ms, spared where no lock is taken

    with explained(path):
        if not lock_descriptor(descriptor, blocking=False):
            return False
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False


def _unlock(descriptor: int) -> None:
    from filelock import unlock_descriptor

    # closing alone leaves it to children that were forked while it was held
    with suppress(OSError):
        unlock_descriptor(descriptor)


def _sign(path: Path, descriptor: int) -> None:
    """Write who holds it; raises NlpcliError over a file that is no lock of ours."""
    if _number(descriptor) is None:
        raise NlpcliError(f"{path}: expected a lock of nlpcli, got another's file")
    with explained(path):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode("ascii"))


def _number(descriptor: int) -> str | None:
    """The process number in a lock, "" before there is one, None in other files."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        content = os.read(descriptor, _LONGEST + 1)
    except OSError:  # Windows does not let others read what is locked
        return ""
    number = content.strip(b"\0")  # zeros are what a power cut leaves
    fits = len(content) <= _LONGEST and (not number or number.isdigit())
    return number.decode("ascii") if fits else None
