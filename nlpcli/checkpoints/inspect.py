"""What a folder or a file is, and what would be missing to load it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.names import grouped
from nlpcli.checkpoints.rules import Plan
from nlpcli.checkpoints.source import Opener, Shape, Source
from nlpcli.checkpoints.storage import CONFIGS, config_file, missing_files
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import read_json_object, short
from nlpcli.text.tokenizers.load import guess_kind, load_tokenizer
from nlpcli.text.tokenizers.tokenizer_json import FILE
from nlpcli.text.tokenizers.vocab import Vocab


@dataclass
class Inspection:
    """The report; ``as_dict`` is what ``models inspect --json`` prints.

    kind: "model" or "run". parts: part -> "complete", "incomplete" or "absent".
    missing_tensors: gaps of incomplete parts. loads: whether the backbone can be used
    as it is, with the tokenizer beside it.
    """

    path: str
    kind: str = "model"
    container: str | None = None
    dialect: str | None = None
    family: str | None = None
    family_reason: str | None = None
    supported: bool = False
    loads: bool = False
    layers: int | None = None
    hidden: int | None = None
    vocab_size: int | None = None
    tensors: int = 0
    parameters: int = 0
    dtype: str | None = None
    bytes: int = 0
    parts: dict[str, str] = field(default_factory=dict)
    tokenizer: str | None = None
    missing_files: list[str] = field(default_factory=list)
    missing_tensors: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


class Known(Protocol):
    """A family that can be loaded, as inspection asks it."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of what a file of it may hold, the backbone first."""

    @property
    def dialect(self) -> str:
        """Which of its names a file uses."""

    def shapes(self, config: Mapping[str, Any]) -> dict[str, dict[str, Shape]]:
        """Variables of each part, by path, that a configuration promises; raises
        CheckpointError or ValueError where it does not tell."""

    def sizes(self) -> tuple[int, int]:
        """Layers and hidden size, where ``shapes`` told."""

    def untold_blocks(self) -> str | None:
        """What to say of a file with more blocks than its configuration tells."""

    def plan(self, part: str, shapes: Mapping[str, Shape]) -> Plan:
        """What of a part is in the file, and what is not."""


@dataclass(frozen=True)
class Found:
    """A family and what made us think so; not ``known`` where it is not read, and
    what it ``lacks`` for that."""

    name: str
    reason: str
    known: Known | None
    lacks: str = ""


Judge = Callable[[Mapping[str, Any], Source], Found | None]
"""The family of a configuration and of weights; None where nothing tells."""


def inspect(
    path: str | Path, judge: Judge, openers: Sequence[Opener] = ()
) -> Inspection:
    """Look at a model folder, a run or a single checkpoint file.

    openers: formats beside safetensors and torch files. Raises NotFoundError when there
    is nothing, CheckpointError when a file is broken.
    """
    path = Path(path)
    report = Inspection(str(path))
    folder = path if path.is_dir() else path.parent
    best = path / "best"
    if (best / "model.safetensors").exists():
        report.kind, path, folder = "run", best, best
    elif (folder / "task.json").exists():
        report.kind = "run"
    config = _config(folder, report)
    report.layers = _integer(config, "num_hidden_layers")
    report.hidden = _integer(config, "hidden_size")
    report.vocab_size = _integer(config, "vocab_size")
    report.tokenizer = tokenizer_kind(folder)
    if path.is_dir():
        report.missing_files = missing_files(path)
    source = _open(path, openers, report)
    if source is None:
        return report
    found = source.describe()
    _measure(report, source, found)
    if report.kind == "run":
        _judge_run(report, judge, config, source, found)
    else:
        _judge(report, judge, config, source, found)
    whole = report.parts.get("backbone") == "complete" and not report.missing_files
    report.loads = _check_tokenizer(report, folder) and whole
    return report


def tokenizer_kind(folder: Path) -> str | None:
    """The tokenizer a folder's files speak of: one that is read, or another's name."""
    if (folder / "vocab.txt").exists() or (folder / FILE).exists():
        return guess_kind(folder)
    if any(folder.glob("*.model")):
        return "sentencepiece (no tokenizer.json)"
    return None


def _config(folder: Path, report: Inspection) -> dict[str, Any]:
    path = config_file(folder)
    if path is not None:
        return read_json_object(path)
    report.notes.append(f"no {' or '.join(CONFIGS)} beside the weights")
    return {}


def _open(path: Path, openers: Sequence[Opener], report: Inspection) -> Source | None:
    """The weights, or None with a note when they are not there to be read."""
    if not path.exists() and not openers:
        raise NotFoundError(f"{path}: no such file or folder")
    try:
        return open_checkpoint(path, openers)
    except NotFoundError as error:
        if not path.is_dir() or not any(path.iterdir()):
            raise
        report.notes.append(str(error))
        return None


def _measure(report: Inspection, source: Source, found: Mapping[str, Shape]) -> None:
    report.container, report.dialect = source.container, source.dialect
    report.tensors = len(found)
    report.parameters = sum(math.prod(shape) for shape in found.values())
    types = Counter(source.dtype(name) for name in found)
    report.dtype = ", ".join(name for name, _ in types.most_common()) or None
    report.bytes = sum(Path(file).stat().st_size for file in source.files)


def _judge(
    report: Inspection,
    judge: Judge,
    config: Mapping[str, Any],
    source: Source,
    found: Mapping[str, Shape],
) -> None:
    """Family, and for each of its parts whether it is all there."""
    guess = judge(config, source)
    if guess is None:
        report.notes.append(f"unknown family; names: {', '.join(grouped(found)[:5])}")
        return
    report.family, report.family_reason = guess.name, guess.reason
    if guess.known is None:
        report.notes.append(f"{guess.name}: recognised, {guess.lacks}")
        return
    report.supported, report.dialect = True, guess.known.dialect
    shapes = _shapes(guess.known, config, report)
    if shapes:
        report.layers, report.hidden = guess.known.sizes()
    if shapes and (untold := guess.known.untold_blocks()):
        report.notes.append(untold)
    used: set[str] = set()
    leftover: set[str] = set(found)
    for part in guess.known.parts:
        if shapes and not shapes[part]:
            continue  # tied to the backbone's
        plan = guess.known.plan(part, shapes.get(part, {}))
        taken = {name for _, names in plan.mapping.values() for name in names}
        if shapes.get(part) and not plan.gaps:
            report.parts[part] = "complete"
        elif taken or part == "backbone":
            report.parts[part] = "incomplete"
            report.missing_tensors += plan.gaps
        else:
            report.parts[part] = "absent"
        used |= taken
        leftover &= set(plan.unused) | taken
        report.notes += [note for note in plan.notes if note not in report.notes]
    report.unused = grouped(name for name in found if name in leftover - used)


def _judge_run(
    report: Inspection,
    judge: Judge,
    config: Mapping[str, Any],
    source: Source,
    found: Mapping[str, Shape],
) -> None:
    """A run keeps our own paths, with the backbone's name in front."""
    report.dialect = "nlpcli"
    report.family = short(str(config.get("model_type", "bert")))
    guess = judge({"model_type": "bert", **config}, source)
    if guess is None or guess.known is None:
        return
    report.supported = True
    shapes = _shapes(guess.known, config, report).get("backbone", {})
    wanted = {f"backbone/{path}": shape for path, shape in shapes.items()}
    gaps = [
        f"{path}: expected {shape}, {source.label} "
        + (f"has {found[path]}" if path in found else "has none")
        for path, shape in wanted.items()
        if found.get(path) != shape
    ]
    report.parts["backbone"] = "complete" if wanted and not gaps else "incomplete"
    report.missing_tensors = gaps
    heads = {name.split("/", 1)[0] for name in found} - {"backbone"}
    report.parts |= dict.fromkeys(sorted(heads), "complete")


def _shapes(
    family: Known, config: Mapping[str, Any], report: Inspection
) -> dict[str, dict[str, Shape]]:
    try:
        return family.shapes(config)
    except (ValueError, CheckpointError) as error:
        told = "; ".join(str(error).splitlines())
        report.notes.append(f"its configuration does not tell its sizes: {told}")
        return {}


def _check_tokenizer(report: Inspection, folder: Path) -> bool:
    """Whether the tokenizer beside the weights can be used with them, and notes.

    The same reading as that of every command that uses the folder.
    """
    if report.tokenizer is None:
        return True
    try:
        tokenizer = load_tokenizer(folder)
    except (CheckpointError, NotFoundError) as error:
        report.notes += str(error).splitlines() if report.supported else []
        return False
    report.tokenizer = tokenizer.kind
    vocab, rows = tokenizer.vocab, report.vocab_size
    name, size = Path(vocab.origin).name, len(vocab.tokens)
    report.notes += _repeated(name, vocab)
    if rows is None or size == rows:
        return True
    too_many = "; there is no row for the last ones" if size > rows else ""
    report.notes.append(f"{name} has {size} tokens, the configuration {rows}{too_many}")
    return size <= rows


def _repeated(name: str, vocab: Vocab) -> list[str]:
    """A note on tokens that stand twice, with the places of the first."""
    if not vocab.repeated:
        return []
    token, numbers = next(iter(vocab.repeated.items()))
    unit = "line" if name == "vocab.txt" else "place"
    more = len(vocab.repeated) - 1
    return [
        f"{name}: {short(token)!r} stands twice, on {unit} {numbers[0] + 1} and "
        f"{unit} {numbers[-1] + 1}: the last is its id"
        + (f" (and {more} more such tokens)" if more else "")
    ]


def _integer(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) else None
