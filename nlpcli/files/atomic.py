"""Files that appear whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import errno
import gzip
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nlpcli.errors import NlpcliError, NotFoundError, UsageError

_RUST = re.compile(r"\(os error (\d+)\)")
_FULL = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "no space left in the disk quota",
    errno.EFBIG: "no space left under the file size limit of this process",
}


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that readers see the old one or the new one.

    A link is followed; a device or pipe is written to, never replaced. Raises
    NotFoundError when the folder is missing and NlpcliError when it cannot be written
    (disk full, no permission); the file that was there is then untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    with explained(path):
        if is_special(target):
            target.write_bytes(data)
            return
        partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
        try:
            _write_durably(partial, data)
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        sync_folder(target.parent)


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """``write_atomic`` of lines that have their ends; a name in .gz packs them."""
    data = "".join(lines).encode("utf-8")
    if Path(path).suffix == ".gz":
        data = gzip.compress(data, mtime=0)  # same lines, same bytes
    write_atomic(path, data)


def refuse_existing(path: Path | None, force: bool) -> None:
    """Raise UsageError for an output that exists, NotFoundError where it cannot be."""
    if path is None or is_special(path):
        return
    if path.is_dir():
        raise UsageError(f"{path}: expected a file name, got a folder")
    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; --force replaces it")
    if not path.parent.is_dir():
        raise NotFoundError(f"{path}: there is no folder {path.parent}")


def is_special(path: Path) -> bool:
    """A device or a pipe: exists, and is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn a system error inside into an NlpcliError that names ``path`` and the cause.

    Libraries written in Rust (safetensors, tokenizers) raise their own exceptions and
    name the system's error number in the text.
    """
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else _foreign_number(error)
        if number is None:
            raise
        if number == errno.ENOENT and not Path(path).parent.is_dir():
            raise NotFoundError(
                f"{path}: cannot write, there is no folder {Path(path).parent}"
            ) from error
        reason = _FULL.get(number, os.strerror(number))
        raise NlpcliError(f"{path}: cannot write, {reason}") from error


def sync_tree(folder: Path) -> None:
    """Push every file of a folder, and the folders themselves, to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Push a folder's entries (renames, new files) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks cannot
            raise
    finally:
        os.close(descriptor)


def _foreign_number(error: Exception) -> int | None:
    found = _RUST.search(str(error))
    return int(found[1]) if found else None


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
