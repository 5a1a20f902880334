"""One process at a time trains into a run folder."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlpcli.errors import UsageError
from nlpcli.files.atomic import explained

LOCK = ".lock"


@contextmanager
def exclusive(folder: Path, patience: float = 2.0) -> Iterator[None]:
    """Hold the folder's lock; raises UsageError after ``patience`` seconds without it.

    The system lets go of it when the process ends, however it ends, so a lock is never
    stale; the process number inside is for the message only.
    """
    with explained(folder / LOCK):
        stream = (folder / LOCK).open("a+b")
    with stream:
        deadline = time.monotonic() + patience
        while not _try_lock(stream.fileno(), fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                stream.seek(0)
                holder = stream.read().decode("ascii", "replace") or "unknown"
                raise UsageError(f"{folder}: in use by process {holder}")
            time.sleep(0.05)
        with explained(folder / LOCK):
            stream.truncate(0)
            stream.write(str(os.getpid()).encode("ascii"))
            stream.flush()
        yield


def is_held(folder: Path) -> bool:
    """Whether a living process holds the folder's lock."""
    try:
        with (folder / LOCK).open("rb") as stream:
            return not _try_lock(stream.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
