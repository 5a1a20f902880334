"""A folder replaced as a whole, though no rename replaces a folder that is not empty.

The new one is written to ``.NAME.partial``, synced, renamed to ``.NAME.new``; then
``NAME`` becomes ``.NAME.old``, ``.NAME.new`` becomes ``NAME`` and the old one goes. At
any moment ``NAME``, else ``.NAME.new``, else ``.NAME.old`` is there and whole; only
``.NAME.partial`` may be unfinished.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nlpcli.files.atomic import explained, sync_folder, sync_tree


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Replace ``target`` by what ``write`` puts into the folder it is given.

    When ``write`` fails or the disk is full the old folder is untouched and nothing
    else is left; a full disk raises NlpcliError.
    """
    with explained(target):
        repair(target)
    sides = _sides(target)
    try:
        with explained(target):
            sides.partial.mkdir()
            write(sides.partial)
            sync_tree(sides.partial)
            sides.partial.rename(sides.ready)
            sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(sides.partial, ignore_errors=True)
        raise
    with explained(target):
        repair(target)


def repair(target: Path) -> None:
    """Carry a replacement to its end, from wherever it was cut short."""
    sides = _sides(target)
    if sides.ready.exists():
        if target.exists():
            _remove(sides.old)
            target.rename(sides.old)
            sync_folder(target.parent)
        sides.ready.rename(target)
        sync_folder(target.parent)
    elif sides.old.exists() and not target.exists():
        sides.old.rename(target)
        sync_folder(target.parent)
    _remove(sides.old)
    _remove(sides.partial)


def find_whole(target: Path) -> Path | None:
    """The whole folder to read from, also in the middle of a replacement."""
    sides = _sides(target)
    for _ in range(3):  # the writer may be between two renames
        for folder in (target, sides.ready, sides.old):
            if folder.is_dir():
                return folder
    return None


def leftovers(target: Path) -> list[Path]:
    """What a replacement that is under way, or was cut short, has beside ``target``."""
    return [side for side in _sides(target) if side.exists()]


class _Sides(NamedTuple):
    partial: Path
    ready: Path
    old: Path


def _sides(target: Path) -> _Sides:
    return _Sides(
        target.with_name(f".{target.name}.partial"),
        target.with_name(f".{target.name}.new"),
        target.with_name(f".{target.name}.old"),
    )


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
