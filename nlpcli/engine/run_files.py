"""Which files of a folder are a run's: what --force replaces, and what a kill left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from nlpcli.errors import DataError, NlpcliError, UsageError
from nlpcli.files import swap
from nlpcli.files.atomic import explained, unfinished, write_atomic
from nlpcli.files.json_file import read_json_object
from nlpcli.files.lock import LOCK

Checkpoint = Literal["best", "last"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("best", "last")

STATE = "run.json"
CONFIG = "config.yaml"
SCORES = "scores.json"
METRICS = "metrics.jsonl"
EVENTS = "tensorboard"
_FILES = (CONFIG, "environment.json", METRICS, SCORES)
_FOLDERS = (*CHECKPOINTS, EVENTS)
_LARGEST = 2**24  # bytes of a JSON file of a run


def is_run(path: Path) -> bool:
    """Whether a folder is a run of nlpcli, by its run.json."""
    file = path / STATE
    if file.is_symlink() or not file.is_file():
        return False
    with suppress(NlpcliError):
        state = read_json(file)
        return all(isinstance(state.get(name), str) for name in ("nlpcli", "recipe"))
    return False


def refuse_used(path: Path, force: bool) -> None:
    """See ``RunDir.refuse_used``."""
    if path.is_symlink() and not path.exists():
        raise UsageError(f"{path}: a link to what is not there")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: expected a folder for the run, got a file")
    names = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    names = [name for name in names if name != LOCK]
    more = " and more" if len(names) > 1 else ""
    if is_run(path):
        if not force:
            raise UsageError(
                f"{path}: holds a run already; give --force to replace it, "
                "--resume to go on with it, or another --out"
            )
    elif taken := [name for name in names if name in _own_names(path)]:
        raise UsageError(
            f"{path}: expected a new or empty folder, found {taken[0]}{more}, and no "
            "run that --force may replace; give another --out"
        )
    elif names and not force:
        raise UsageError(
            f"{path}: expected a new or empty folder, found {names[0]}{more}; give "
            "--force to use it"
        )


def refuse_sources(path: Path, sources: Mapping[str, str | Path]) -> None:
    """See ``RunDir.refuse_sources``."""
    own = [Path(os.path.realpath(path / name)) for name in _own_names(path)]
    for key, source in sources.items():
        read = Path(os.path.realpath(source))
        if any(name in (read, *read.parents) for name in own):
            raise UsageError(
                f"{path}: holds {source}, which {key} names and which would be gone; "
                "give another --out"
            )


def clear(path: Path) -> None:
    """Take an old run away, and only what belongs to one.

    run.json stays for the caller to overwrite: were this cut short, what is left is
    still a run, which --force replaces.
    """
    with explained(path):
        for name in _FILES:
            (path / name).unlink(missing_ok=True)
        for name in _FOLDERS:
            swap.remove(path / name)
        for name in CHECKPOINTS:
            for left in swap.leftovers(path / name):
                swap.remove(left)


def repair(path: Path) -> None:
    """Finish or undo what a kill cut short, under the run's lock."""
    with explained(path):
        for name in CHECKPOINTS:
            swap.repair(path / name)
        if (scores := _stale_scores(path)) is not None:
            write_atomic(path / SCORES, scores)
        for left in unfinished(path, (STATE, *_FILES)):
            left.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a run; DataError for what is none, or no plain file."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: expected a plain file")
    if path.is_file() and path.stat().st_size > _LARGEST:
        raise DataError(f"{path}: expected at most {_LARGEST} bytes")
    return read_json_object(path, DataError)


def read_scores(path: Path) -> dict[str, Any]:
    """Scores by name, some of them tables; DataError for anything else."""
    scores = read_json(path)
    for name, value in scores.items():
        table = list(value.values()) if isinstance(value, dict) else []
        cells = [
            cell for row in table if isinstance(row, dict) for cell in row.values()
        ]
        if (
            (name == "per_label" and not isinstance(value, dict))
            or not all(isinstance(row, dict) for row in table)
            or any(isinstance(cell, (dict, list, str)) for cell in cells)
        ):
            raise DataError(f"{path}: {name}: expected a table of numbers")
    return scores


def _own_names(path: Path) -> list[str]:
    sides = [side.name for name in CHECKPOINTS for side in swap.sides(path / name)]
    return [STATE, *_FILES, *_FOLDERS, *sides]


def _stale_scores(path: Path) -> bytes | None:
    """The scores of best/, where scores.json tells others."""
    best = swap.find_whole(path / "best")
    if best is None or not (best / SCORES).is_file():
        return None
    own, copy = (best / SCORES).read_bytes(), path / SCORES
    return None if copy.is_file() and copy.read_bytes() == own else own
