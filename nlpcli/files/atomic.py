"""Files that appear whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from nlpcli.errors import NlpcliError, NotFoundError, UsageError

_RUST = re.compile(r"\(os error (\d+)\)")
_FULL = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "no space left in the disk quota",
    errno.EFBIG: "no space left under the file size limit of this process",
}
# of a place that cannot be written, whatever is tried; what else fails is the machine's
_UNFIT = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
    *(errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
}
_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.partial")
_LONGEST = 200  # bytes of a name; the system takes 255, and endings come to it


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that readers see the old one or the new one.

    A link of that name goes, and what it points to stays as it is; a device is written
    to, never replaced. Raises NotFoundError when the folder is missing and NlpcliError
    when it cannot be written (disk full, no permission); the file that was there is
    then untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path = Path(path)
    if _is_device(path):
        _write_device(path, data)
        return
    with whole_file(path) as stream, explained(path):
        stream.write(data)


@contextmanager
def whole_file(
    path: Path, force: bool = True, shown: Path | None = None
) -> Iterator[BinaryIO]:
    """Bytes on their way to a file that is there, whole, when the block ends well.

    They go to a new file beside it, whose name nobody can foresee, with the mode of
    the file that it replaces; after an error that one is untouched and the new one
    gone. Without ``force`` a file that appeared in the meantime stays too: UsageError
    says where the work is kept. ``shown``: how messages call the file.
    """
    shown = shown or path
    partial, stream, ours = beside(path), None, True
    try:  # before it is made: a signal may come as soon as it is there
        with explained(shown):
            try:
                stream = _create(partial, path)
            except FileExistsError:
                ours = False  # another's, and it stays
                raise
        yield stream
        with explained(shown):
            stream.flush()
            os.fsync(stream.fileno())
            if force:
                partial.replace(path)
                sync_folder(path.parent)
            else:
                put_new(partial, path, shown)
    finally:
        if stream is not None:
            with suppress(OSError):
                stream.close()
        if ours:
            with suppress(OSError):
                partial.unlink()


def beside(path: Path) -> Path:
    """A hidden name in the same folder, long enough at random that it is free."""
    return path.with_name(f".{_cut(path.name)}.{os.urandom(8).hex()}.partial")


def unfinished(folder: Path, names: Collection[str]) -> list[Path]:
    """What is left in a folder where the writing of files of these names was killed."""
    found = [(path, _PARTIAL.fullmatch(path.name)) for path in folder.iterdir()]
    return [path for path, left in found if left is not None and left["name"] in names]


def put_new(made: Path, path: Path, shown: Path) -> None:
    """Give a file or folder its name, which nothing may have; pushed to the disk.

    Where something has it by now, the work is kept under a name with a number, which
    the UsageError tells.
    """
    for name in _names(path):
        try:
            _claim(made, name)
        except FileExistsError:
            continue
        sync_folder(path.parent)
        if name != path:
            raise UsageError(
                f"{shown}: appeared while the work went on, and stays without --force; "
                f"what was to be there is in {name}"
            )
        return


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn a system error inside into an NlpcliError that names ``path`` and the cause.

    A place that cannot be written is a UsageError, NotFoundError where its folder is
    missing. Libraries written in Rust (safetensors, tokenizers) raise their own
    exceptions and name the system's error number in the text.
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
        kind = UsageError if number in _UNFIT else NlpcliError
        raise kind(f"{path}: cannot write, {reason}") from error


def open_to_others(path: Path) -> None:
    """Give a file the permissions that a new one has here: safetensors writes for the
    owner alone."""
    probe = path.with_name(f".{path.name}.mode")
    probe.touch()
    path.chmod(stat.S_IMODE(probe.stat().st_mode))
    probe.unlink()


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


def _create(partial: Path, path: Path) -> BinaryIO:
    """The new file, readable by no more than the one that it will replace."""
    try:
        old: os.stat_result | None = path.lstat()
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        old = None
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o777
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_BINARY"):  # no system has all
        flags |= getattr(os, name, 0)
    descriptor = os.open(partial, flags, mode)
    if old is not None and hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchown(descriptor, -1, old.st_gid)
        if os.fstat(descriptor).st_gid != old.st_gid:
            mode &= ~stat.S_IRWXG  # meant for another group
        os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "w+b")


def _claim(made: Path, name: Path) -> None:
    """Rename without replacing; FileExistsError where the name is taken."""
    if made.is_dir():
        name.mkdir()
        made.rename(name)  # an empty folder gives way
        return
    try:
        os.link(made, name)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        made.replace(name)


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{_cut(path.stem)}-{number}{path.suffix}")


def _cut(name: str) -> str:
    """The name in at most 200 bytes, which is what a system counts."""
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


def _is_device(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _write_device(path: Path, data: bytes) -> None:
    # a pipe that nobody reads is an error, not a wait
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    with explained(path), os.fdopen(os.open(path, flags), "wb") as stream:
        stream.write(data)
