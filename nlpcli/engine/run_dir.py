"""A run's folder: its truth, its curves, its weights; whole whenever it is read."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from nlpcli import __version__
from nlpcli.config import RunConfig
from nlpcli.config.loader import load_config, to_yaml
from nlpcli.errors import DataError, NlpcliError, NotFoundError, UsageError
from nlpcli.files import swap
from nlpcli.files.atomic import explained, write_atomic
from nlpcli.files.json_file import read_json_object
from nlpcli.files.json_text import escaped
from nlpcli.files.lock import LOCK, exclusive, is_held
from nlpcli.samples import shipped_run

logger = logging.getLogger("nlpcli")

Checkpoint = Literal["best", "last"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("best", "last")

ROOT = Path("runs")
_PACKAGES = ("tensorflow", "keras", "numpy", "tokenizers", "safetensors")
_STATE = "run.json"
_SCORES = "scores.json"
_FILES = ("config.yaml", "environment.json", "metrics.jsonl", _SCORES)
_FOLDERS = (*CHECKPOINTS, "tensorboard")


class RunDir:
    """One run on disk; ``create`` starts one, ``open`` reads one back."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: str | Path, config: RunConfig, force: bool = False) -> RunDir:
        """Start a run in a new or empty folder.

        Raises UsageError when the folder holds a run (or anything else) and ``force``
        is not given. With it an old run goes away; files that are not a run's stay.
        """
        run = cls(Path(path), config)
        run.refuse_used(force)
        with explained(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        with exclusive(run.path):
            run.refuse_used(force)
            run._clear()
            write_atomic(run.path / "config.yaml", to_yaml(config))
            run._write_state(
                {
                    "recipe": config.recipe,
                    "model": config.backbone.model,
                    "status": "running",
                    "started": _now(),
                    "nlpcli": __version__,
                }
            )
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """Read a run, and finish or undo a swap that was cut short.

        Raises NotFoundError when the folder is no run.
        """
        path = Path(path)
        if not (path / _STATE).is_file():
            raise NotFoundError(f"{path}: expected a run folder, found no {_STATE}")
        run = cls(path, load_config(path / "config.yaml"))
        # a trainer at work mends its own folder, and readers can do without
        with suppress(NlpcliError, OSError):
            if run._leftovers() or run._stale_scores() is not None:
                with exclusive(path, patience=0):
                    run._repair()
        return run

    @property
    def state(self) -> dict[str, Any]:
        """What run.json says: recipe, model, status, started, and the summary."""
        return _read_state(self.path)

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.state.get("status") == "finished"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for training; the system lets go when the process ends.

        Raises UsageError when another process holds it.
        """
        with exclusive(self.path):
            self._repair()
            self.mark("running", {})
            yield

    def mark(self, status: str, summary: Mapping[str, Any]) -> None:
        """Set the status (running, finished, interrupted, failed) and add a summary."""
        self._write_state(
            {**self.state, **summary, "status": status, "updated": _now()}
        )

    def mark_finished(self, summary: Mapping[str, Any]) -> None:
        """The run came to its end."""
        self.mark("finished", summary)

    def save(self, name: Checkpoint, write: Callable[[Path], None]) -> None:
        """Replace a checkpoint by what ``write`` puts into the folder it is given.

        The old one stays until the new one is whole and on the disk; when ``write``
        fails or the disk is full it is untouched and nothing else is left.
        """
        swap.replace_folder(self.path / name, write)

    def save_best(
        self, write: Callable[[Path], None], scores: Mapping[str, Any]
    ) -> None:
        """Replace best/, its scores inside it, and then the copy in scores.json.

        One write decides: a kill between the two leaves an old copy, which is mended
        when the run is opened again and never read in the meantime.
        """
        text = _json_text(scores)

        def write_both(folder: Path) -> None:
            write(folder)
            write_atomic(folder / _SCORES, text)

        self.save("best", write_both)
        write_atomic(self.path / _SCORES, text)

    def folder(self, name: Checkpoint) -> Path:
        """The folder of a whole checkpoint; NotFoundError when there is none yet."""
        folder = swap.find_whole(self.path / name)
        if folder is None:
            raise NotFoundError(
                f"{self.path / name}: expected a checkpoint, found none "
                f"(the run is {self.state.get('status')})"
            )
        return folder

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; what is not finite becomes null."""
        path = self.path / "metrics.jsonl"
        line = json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n"
        with explained(path), path.open("a+b") as stream:
            _drop_torn_line(stream)
            stream.write(line.encode("utf-8"))

    def read_metrics(self) -> list[dict[str, Any]]:
        """All rows; a last line that was cut short is not one."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        rows = []
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: expected a JSON object") from error
        return rows

    def trim_metrics(self, step: int) -> None:
        """Drop the rows after a step, which a resumed run writes again."""
        kept = [row for row in self.read_metrics() if row.get("step", 0) <= step]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
        write_atomic(self.path / "metrics.jsonl", "".join(lines))

    def read_scores(self) -> dict[str, Any]:
        """The scores of the best weights; empty before the first evaluation."""
        best = swap.find_whole(self.path / "best")
        for folder in (best, self.path):
            # a trainer at work may take best/ away in this moment
            with suppress(NotFoundError):
                if folder is not None:
                    return _read_json(folder / _SCORES)
        return {}

    def write_environment(self, values: Mapping[str, Any]) -> None:
        """Write environment.json: versions and platform, then what really took effect.

        Versions come from the installed packages' own records; nothing is imported.
        """
        versions: dict[str, str | None] = {
            "nlpcli": __version__,
            "python": platform.python_version(),
        }
        versions |= {name: _version(name) for name in _PACKAGES}
        environment = {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            **values,
            "versions": {**versions, **values.get("versions", {})},
        }
        write_atomic(self.path / "environment.json", _json_text(environment))

    def refuse_used(self, force: bool) -> None:
        """Raise UsageError when the folder holds a run or anything else."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: expected a folder for the run, got a file")
        if force or not self.path.is_dir():
            return
        if (self.path / _STATE).exists():
            raise UsageError(
                f"{self.path}: holds a run already; give --force to replace it, "
                "--resume to go on with it, or another --out"
            )
        names = sorted(p.name for p in self.path.iterdir() if p.name != LOCK)
        if names:
            raise UsageError(
                f"{self.path}: expected a new or empty folder, found {names[0]}"
                f"{' and more' if len(names) > 1 else ''}; give --force to use it"
            )

    def _clear(self) -> None:
        """Take an old run away, and only what belongs to one.

        run.json goes last, overwritten by the caller: were this cut short, what is
        left is a failed run that --force replaces.
        """
        if not (self.path / _STATE).exists():
            return
        self.mark("failed", {})
        with explained(self.path):
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
            folders = [self.path / name for name in _FOLDERS]
            for folder in [*folders, *self._leftovers()]:
                if folder.is_dir():
                    shutil.rmtree(folder)

    def _leftovers(self) -> list[Path]:
        return [side for n in CHECKPOINTS for side in swap.leftovers(self.path / n)]

    def _repair(self) -> None:
        with explained(self.path):
            for name in CHECKPOINTS:
                swap.repair(self.path / name)
            if (scores := self._stale_scores()) is not None:
                write_atomic(self.path / _SCORES, scores)

    def _stale_scores(self) -> bytes | None:
        """The scores of best/, where scores.json tells others."""
        best = swap.find_whole(self.path / "best")
        if best is None or not (best / _SCORES).is_file():
            return None
        own, copy = (best / _SCORES).read_bytes(), self.path / _SCORES
        return None if copy.is_file() and copy.read_bytes() == own else own

    def _write_state(self, state: Mapping[str, Any]) -> None:
        write_atomic(self.path / _STATE, _json_text(state))


@dataclass(frozen=True)
class RunSummary:
    """One line of ``nlpcli runs``."""

    path: Path
    recipe: str
    model: str
    status: str
    started: str
    updated: str
    seconds: float | None = None
    score_name: str | None = None
    score: float | None = None
    steps: int | None = None


def list_runs(root: str | Path = ROOT) -> list[RunSummary]:
    """The runs of a folder, newest first; what cannot be read is left out, said."""
    root = Path(root)
    if not root.is_dir():
        return []
    found = []
    for state_file in root.glob(f"*/{_STATE}"):
        try:
            found.append(_summary(state_file.parent, _read_state(state_file.parent)))
        except (NlpcliError, OSError) as error:
            logger.warning("run left out: %s", error)
    return sorted(found, key=lambda run: (run.started, run.path.name), reverse=True)


def newest_finished(*recipes: str, root: str | Path = ROOT) -> RunDir:
    """The run of these recipes (of any, where none is named) that finished last.

    Raises NotFoundError if none did.
    """
    names = [recipe.replace("_", "-") for recipe in recipes]
    finished = [
        run
        for run in list_runs(root)
        if run.status == "finished" and (not names or run.recipe in names)
    ]
    if not finished:
        raise NotFoundError(
            f"{root}: expected a finished run of {' or '.join(names) or 'any recipe'}, "
            f"found none; `nlpcli train {names[0] if names else 'RECIPE'}` makes one, "
            "--run DIR names one"
        )
    return RunDir.open(max(finished, key=lambda run: run.updated).path)


def choose_run(run: RunDir | str | Path | None, recipe: str | None) -> RunDir:
    """The run that was named, else the newest finished one of ``recipe``, else the
    trained model that ships with it.

    Raises NotFoundError when there is none, or when it is of another recipe.
    """
    if run is None:
        try:
            return newest_finished(*([recipe] if recipe else []))
        except NotFoundError:
            if (shipped := shipped_run(recipe or "")) is None:
                raise
            return RunDir.open(shipped)
    opened = run if isinstance(run, RunDir) else RunDir.open(run)
    if recipe is not None and opened.config.recipe != recipe:
        raise NotFoundError(
            f"{opened.path}: expected a run of {recipe}, found one of "
            f"{opened.config.recipe}"
        )
    return opened


def default_out(recipe: str, root: str | Path = ROOT) -> Path:
    """A free folder named after the recipe and the time: runs/ner-20261121-154501."""
    stem = Path(root) / f"{recipe}-{datetime.now():%Y%m%d-%H%M%S}"
    path, count = stem, 1
    while path.exists():
        count += 1
        path = stem.with_name(f"{stem.name}-{count}")
    return path


def _read_state(path: Path) -> dict[str, Any]:
    """run.json; a run whose process died without a word is interrupted."""
    state = _read_json(path / _STATE)
    if state.get("status") == "running" and not is_held(path):
        state["status"] = "interrupted"
    return state


def _summary(path: Path, state: Mapping[str, Any]) -> RunSummary:
    started = str(state.get("started", ""))
    return RunSummary(
        path,
        str(state.get("recipe")),
        str(state.get("model")),
        str(state.get("status")),
        started,
        str(state.get("updated", started)),
        state.get("seconds"),
        state.get("score_name"),
        state.get("score"),
        state.get("steps"),
    )


def _drop_torn_line(stream: Any) -> None:
    """Cut a last line without its end, left by a process that was killed."""
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) != b"\n":
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)


def _plain(value: Any) -> Any:
    """Values that JSON has: numpy's numbers as Python's, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _json_text(value: Mapping[str, Any]) -> str:
    return escaped(json.dumps(_plain(value), ensure_ascii=False, indent=2)) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    return read_json_object(path, DataError)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
