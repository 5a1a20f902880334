"""The user's cache: folders in it that nobody else can change."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nlpcli.files.owners import exposed_folder

logger = logging.getLogger("nlpcli")


def own_cache(*names: str) -> Path | None:
    """A folder of nlpcli in the user's cache, made for this user alone (0700).

    None where none can be made, or where another user can change it or one above it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser().joinpath("nlpcli", *names)
    except RuntimeError:  # no home is known
        return None
    # the place itself: a link on the way may lead elsewhere tomorrow
    folder = Path(os.path.realpath(folder))
    try:
        _make_private(folder)
        exposed = exposed_folder(folder)
    except OSError:
        return None
    if exposed is not None:
        logger.debug("nothing is kept in %s: others can write in %s", folder, exposed)
        return None
    return folder


def _make_private(folder: Path) -> None:
    """The folder, and those above it that are missing, for this user alone."""
    if folder.is_dir():
        return
    _make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
