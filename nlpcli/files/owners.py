"""Whose a file is: what another user can change is neither followed nor run."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_trusted(status: os.stat_result) -> bool:
    """Whether a file belongs to this user or to the system; so where nobody owns."""
    own = getattr(os, "geteuid", None)
    return own is None or status.st_uid in (0, own())


def is_private(status: os.stat_result) -> bool:
    """Whether nobody but this user and the system can write there."""
    return is_trusted(status) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def exposed_folder(folder: Path) -> Path | None:
    """The folder on the way to this one, itself included, that others can change.

    In a sticky folder as /tmp nobody renames what belongs to another, so it may stand
    above, not at the end. ``folder``: without links.
    """
    status = folder.stat()
    if not is_private(status):
        return folder
    for parent in folder.parents:
        status = parent.stat()
        sticky = is_trusted(status) and status.st_mode & stat.S_ISVTX
        if not sticky and not is_private(status):
            return parent
    return None
