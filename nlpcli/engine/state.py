"""Where a training is, and what one that is resumed must find as it was."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from nlpcli import __version__
from nlpcli.engine.metrics_file import is_number
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import CheckpointError, ConfigError, DataError, NlpcliError
from nlpcli.files.json_file import read_json_object
from nlpcli.files.json_text import dumps, plain
from nlpcli.records.lines import Spooled, explained_open

logger = logging.getLogger("nlpcli")

FILE = "state.json"
ACCEPT = "--accept-changes"
_LIBRARIES = ("tensorflow", "keras", "numpy")

Fingerprint = dict[str, Any]


@dataclass
class State:
    """All that ``last/`` keeps beside the tensors."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    evaluated: int = 0
    stale: int = 0
    loss_scale: float = 2.0**15
    loss_scale_calm: int = 0
    random_states: list[list[int]] = field(default_factory=list)
    pending_losses: list[float] = field(default_factory=list)

    def text(self) -> str:
        """As it is kept."""
        return dumps(plain(asdict(self))) + "\n"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_lists(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, list) and all(map(_is_count, item)) for item in value
    )


def _is_losses(value: Any) -> bool:
    return isinstance(value, list) and all(v is None or is_number(v) for v in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("step", "epoch", "batch", "best_step"), _is_count),
    **dict.fromkeys(("evaluated", "stale", "loss_scale_calm"), _is_count),
    **dict.fromkeys(("seconds", "loss_scale"), is_number),
    "best": lambda value: value is None or is_number(value),
    "random_states": _is_lists,
    "pending_losses": _is_losses,
}


def read_state(folder: Path) -> State:
    """The state of ``last/``; keys that this version lacks are passed over.

    Raises CheckpointError for a value of another type than the key has.
    """
    path = folder / FILE
    kept, state = read_json_object(path, CheckpointError), State()
    for name in (item.name for item in fields(State)):
        value = kept.get(name, getattr(state, name))
        if not _FITS[name](value):
            raise CheckpointError(f"{path}: {name}: got {str(value)[:60]!r}")
        setattr(state, name, value)
    state.pending_losses = [
        math.nan if loss is None else loss for loss in state.pending_losses
    ]
    return state


def fingerprint(source: str | Path | Spooled) -> Fingerprint:
    """Size and digest of the bytes of a data file, also of one that came by a pipe."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    with explained_open(source) as stream:
        try:
            while block := stream.read(2**20):
                digest.update(block)
                size += len(block)
        except OSError as error:
            raise DataError(f"{source}: cannot be read: {error.strerror}") from error
    return {"bytes": size, "blake2b": digest.hexdigest()}


def refuse_changes(
    run: RunDir, data: Mapping[str, Fingerprint], accepted: bool
) -> None:
    """Raise ConfigError when a run would not go on as it began.

    data: what it learns from now. Other files, another nlpcli and a state that this
    one does not know whole are told, each; ``accepted`` makes them warnings.
    """
    problems = [*_other_data(run, data), *_other_code(run)]
    for name, began, now in _other_libraries(run):
        logger.warning("%s: began with %s %s, now %s", run.path, name, began, now)
    if problems and not accepted:
        raise ConfigError([f"{what}; {ACCEPT} goes on" for what in problems])
    for what in problems:
        logger.warning("%s", what)


def _other_data(run: RunDir, data: Mapping[str, Fingerprint]) -> list[str]:
    began = run.state.get("data")
    if not isinstance(began, dict) or not began:
        logger.debug("%s: does not say what its data was", run.path)
        return []
    return [
        f"{run.path}: {name}: expected the file that training began with "
        f"({_told(began[name])}), got another ({_told(now)})"
        for name, now in data.items()
        if name in began and began[name] != now
    ]


def _told(known: Any) -> str:
    if not isinstance(known, dict):
        return "unknown"
    return f"{known.get('bytes')} bytes, {str(known.get('blake2b'))[:8]}"


def _other_code(run: RunDir) -> list[str]:
    began = run.state.get("nlpcli")
    problems = []
    if began is not None and began != __version__:
        problems.append(
            f"{run.path}: began with nlpcli {began}, expected that, this is "
            f"{__version__}"
        )
    path = run.folder("last") / FILE
    known = {item.name for item in fields(State)}
    strange = sorted(set(read_json_object(path, CheckpointError)) - known)
    if strange:
        problems.append(
            f"{path}: expected what nlpcli {__version__} knows, got also "
            f"{', '.join(strange[:5])}"
        )
    return problems


def _other_libraries(run: RunDir) -> list[tuple[str, str, str]]:
    try:
        kept = read_json_object(run.path / "environment.json")
    except NlpcliError:
        return []
    began = kept.get("versions")
    began = began if isinstance(began, dict) else {}
    changed = []
    for name in _LIBRARIES:
        try:
            now = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if name in began and began[name] != now:
            changed.append((name, str(began[name]), now))
    return changed
