"""A run's folder: its truth, its curves, its weights; whole whenever it is read."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nlpcli import __version__
from nlpcli.config import RunConfig
from nlpcli.config.loader import load_config, to_yaml
from nlpcli.engine import metrics_file, run_files
from nlpcli.engine.metrics_file import is_number
from nlpcli.engine.run_files import (
    CONFIG,
    EVENTS,
    METRICS,
    SCORES,
    STATE,
    Checkpoint,
    read_json,
)
from nlpcli.errors import DataError, NlpcliError, NotFoundError, UsageError
from nlpcli.files import swap
from nlpcli.files.atomic import explained, write_atomic
from nlpcli.files.json_text import escaped, plain
from nlpcli.files.lock import exclusive, is_held
from nlpcli.samples import shipped_run

logger = logging.getLogger("nlpcli")

ROOT = Path("runs")
_PACKAGES = ("tensorflow", "keras", "numpy", "tokenizers", "safetensors")


class RunDir:
    """One run on disk; ``create`` starts one, ``open`` reads one back."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: RunConfig,
        force: bool = False,
        data: Mapping[str, Any] | None = None,
    ) -> RunDir:
        """Start a run in a new or empty folder.

        Raises UsageError when the folder holds a run (or anything else) and ``force``
        is not given. With it an old run goes away; files that are not a run's stay,
        and where one has the name of a run's file UsageError says so. ``data``: the
        fingerprints of what it learns from.
        """
        run = cls(Path(path), config)
        run.refuse_used(force)
        with explained(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        with exclusive(run.path):
            run.refuse_used(force)
            if run_files.is_run(run.path):
                run.mark("failed", {})
                run_files.clear(run.path)
            # first: what else is there is a run's from now on
            run._write_state(
                {
                    "recipe": config.recipe,
                    "model": config.backbone.model,
                    "status": "running",
                    "started": _now(),
                    "nlpcli": __version__,
                    "data": dict(data or {}),
                }
            )
            write_atomic(run.path / CONFIG, to_yaml(config))
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """Read a run; nothing in its folder is changed, whoever may have made it.

        Raises NotFoundError when the folder is no run.
        """
        path = Path(path)
        for name in (STATE, CONFIG):
            if not (path / name).is_file():
                raise NotFoundError(f"{path}: expected a run folder, found no {name}")
        return cls(path, load_config(path / CONFIG))

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

        What a kill cut short is finished or undone. Raises UsageError when another
        process holds it.
        """
        with exclusive(self.path):
            run_files.repair(self.path)
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

        One write decides: a kill between the two leaves an old copy, which is never
        read, and mended when the training goes on.
        """
        text = _json_text(scores)

        def write_both(folder: Path) -> None:
            write(folder)
            write_atomic(folder / SCORES, text)

        self.save("best", write_both)
        write_atomic(self.path / SCORES, text)

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
        metrics_file.append(self.path / METRICS, row)

    def read_metrics(self, every: bool = True) -> list[dict[str, Any]]:
        """All rows; a last line that was cut short is not one.

        Raises DataError for a line that is no row, or without ``every`` leaves it out
        with a warning.
        """
        read = metrics_file.read if every else metrics_file.read_sound
        return read(self.path / METRICS)

    def trim_metrics(self, step: int) -> None:
        """Drop the rows after a step, which a resumed run writes again."""
        metrics_file.trim(self.path / METRICS, step)

    def event_folder(self) -> Path:
        """Where TensorBoard's events go; UsageError where that is a link elsewhere."""
        folder = self.path / EVENTS
        if folder.is_symlink():
            raise UsageError(f"{folder}: expected a folder, got a link")
        return folder

    def read_scores(self) -> dict[str, Any]:
        """The scores of the best weights; empty before the first evaluation.

        Raises DataError for what is no table of scores.
        """
        best = swap.find_whole(self.path / "best")
        for folder in (best, self.path):
            # a trainer at work may take best/ away in this moment
            with suppress(NotFoundError):
                if folder is not None:
                    return run_files.read_scores(folder / SCORES)
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
        """Raise UsageError when the folder holds a run or anything else.

        With ``force`` a run may go, and other files may be there; not ones that are
        called as a run's and are none.
        """
        run_files.refuse_used(self.path, force)

    def refuse_sources(self, sources: Mapping[str, str | Path]) -> None:
        """Raise UsageError for what is read from a run that is to be replaced.

        sources: what the configuration calls it -> file or folder.
        """
        run_files.refuse_sources(self.path, sources)

    def _write_state(self, state: Mapping[str, Any]) -> None:
        write_atomic(self.path / STATE, _json_text(state))


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
    """The runs of a folder, newest first; one warning tells which cannot be read."""
    root = Path(root)
    if not root.is_dir():
        return []
    found, problems = [], []
    for state_file in sorted(root.glob(f"*/{STATE}")):
        try:
            found.append(summary(state_file.parent))
        except (NlpcliError, OSError) as error:
            problems.append(str(error))
    if problems:
        logger.warning(
            "%d %s left out: %s%s",
            len(problems),
            "run" if len(problems) == 1 else "runs",
            "; ".join(problems[:3]),
            " and more" if len(problems) > 3 else "",
        )
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


def summary(path: Path) -> RunSummary:
    """A run in one line; DataError when its run.json is none."""
    state = _read_state(path)
    for name in ("recipe", "model", "status", "started", "updated", "score_name"):
        if not isinstance(state.get(name), (str, type(None))):
            raise DataError(f"{path / STATE}: {name}: expected text")
    for name in ("seconds", "score", "steps"):
        if not (state.get(name) is None or is_number(state[name])):
            raise DataError(f"{path / STATE}: {name}: expected a number")
    started = state.get("started") or ""
    return RunSummary(
        path,
        str(state.get("recipe")),
        str(state.get("model")),
        str(state.get("status")),
        started,
        state.get("updated") or started,
        state.get("seconds"),
        state.get("score_name"),
        state.get("score"),
        state.get("steps"),
    )


def _read_state(path: Path) -> dict[str, Any]:
    """run.json; a run whose process died without a word is interrupted."""
    state = read_json(path / STATE)
    if state.get("status") == "running" and not is_held(path):
        state["status"] = "interrupted"
    return state


def _json_text(value: Mapping[str, Any]) -> str:
    return escaped(json.dumps(plain(value), ensure_ascii=False, indent=2)) + "\n"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
