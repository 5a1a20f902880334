"""Folders that are there whole or not at all: replaced, or published beside others.

Inside a run ``NAME`` is replaced so that the next writer can finish what a kill cut
short: the new one is written to ``.NAME.partial``, synced, renamed to ``.NAME.new``;
then ``NAME`` becomes ``.NAME.old``, ``.NAME.new`` becomes ``NAME`` and the old one
goes. At any moment ``NAME``, else ``.NAME.new``, else ``.NAME.old`` is there and whole;
only ``.NAME.partial`` may be unfinished. These names are the run's own.

A folder that a person names has neighbours that are not ours: it is written under a
name that nobody can foresee and takes its place in one step.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nlpcli.errors import UsageError
from nlpcli.files.atomic import beside, explained, put_new, sync_folder, sync_tree
from nlpcli.files.named import followed

Write = Callable[[Path], None]


def replace_folder(target: Path, write: Write) -> None:
    """Replace ``target`` by what ``write`` puts into the folder it is given.

    When ``write`` fails or the disk is full the old folder is untouched and nothing
    else is left; a full disk raises NlpcliError. Where one of the names is a link, the
    link goes, and what it points to stays.
    """
    with explained(target):
        repair(target)
    side = sides(target)
    try:
        with explained(target):
            side.partial.mkdir()
            write(side.partial)
            sync_tree(side.partial)
            side.partial.rename(side.ready)
            sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(side.partial, ignore_errors=True)
        raise
    with explained(target):
        repair(target)


def publish_folder(
    target: Path, write: Write, is_ours: Callable[[Path], bool], force: bool
) -> None:
    """Give ``target`` what ``write`` puts into the folder it is given.

    Only with ``force``, and only what ``is_ours`` knows, is replaced; what else is
    there raises UsageError, and when it appeared in the meantime the work is kept
    beside it, under the name that the error tells.
    """
    refuse_other(target, is_ours, force)
    shown, target = target, followed(target)
    made, ours = beside(target), True
    try:
        with explained(shown):
            try:
                made.mkdir()
            except FileExistsError:
                ours = False  # another's, and it stays
                raise
            write(made)
            sync_tree(made)
            if force and is_ours(target):
                _take_place(made, target)
            else:
                put_new(made, target, shown)
    finally:
        if ours:
            shutil.rmtree(made, ignore_errors=True)


def refuse_other(target: Path, is_ours: Callable[[Path], bool], force: bool) -> None:
    """Raise UsageError for a folder that ``publish_folder`` would not replace."""
    place = followed(target)
    if not os.path.lexists(place):
        return
    if not force:
        hint = "; --force replaces it" if is_ours(place) else ""
        raise UsageError(f"{target}: expected a new folder, this exists{hint}")
    if not is_ours(place):
        raise UsageError(
            f"{target}: holds more than a model that nlpcli wrote, which is all that "
            "--force replaces; name another folder"
        )


def repair(target: Path) -> None:
    """Carry a replacement to its end, from wherever it was cut short."""
    side = sides(target)
    for name in (target, *side):
        if os.path.lexists(name) and not name.is_symlink() and not name.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    if _is_folder(side.ready):
        if os.path.lexists(target):
            remove(side.old)
            target.rename(side.old)
            sync_folder(target.parent)
        side.ready.rename(target)
        sync_folder(target.parent)
    elif _is_folder(side.old) and not os.path.lexists(target):
        side.old.rename(target)
        sync_folder(target.parent)
    for name in side:
        remove(name)


def find_whole(target: Path) -> Path | None:
    """The whole folder to read from, also in the middle of a replacement."""
    side = sides(target)
    for _ in range(3):  # the writer may be between two renames
        if target.is_dir():
            return target
        for folder in (side.ready, side.old):
            if _is_folder(folder):
                return folder
    return None


def leftovers(target: Path) -> list[Path]:
    """What a replacement that is under way, or was cut short, has beside ``target``."""
    return [name for name in sides(target) if os.path.lexists(name)]


def remove(folder: Path) -> None:
    """Take a folder away; of a link, the link alone."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


class Sides(NamedTuple):
    partial: Path
    ready: Path
    old: Path


def sides(target: Path) -> Sides:
    """The names of a replacement that is under way."""
    return Sides(
        target.with_name(f".{target.name}.partial"),
        target.with_name(f".{target.name}.new"),
        target.with_name(f".{target.name}.old"),
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _take_place(made: Path, target: Path) -> None:
    """Put ``made`` into the place of ``target``; what was there goes."""
    if _exchange(made, target):
        sync_folder(target.parent)
        remove(made)
        return
    old = beside(target)
    target.rename(old)
    made.rename(target)
    sync_folder(target.parent)
    remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Both names change places in one step, where the system has that (Linux)."""
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    call = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(one), os.fsencode(other)
    return bool(
        call is not None and call(here, names[0], here, names[1], exchange) == 0
    )
