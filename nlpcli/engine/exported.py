"""An export for an engine: a folder that answers, without TensorFlow or Keras."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nlpcli.backbones.config import TransformerConfig
from nlpcli.config import AskedPrecision, RunConfig
from nlpcli.config.loader import load_config, with_task_sets
from nlpcli.engine.answers import answer_all, ask_all
from nlpcli.engine.restored import open_recipe, refuse_longer, restore
from nlpcli.engine.scoring import Gold, Scored, score
from nlpcli.engine.vectors import TextVectors, reading_digest
from nlpcli.errors import CheckpointError, NlpcliError, NotFoundError, UsageError
from nlpcli.files.json_file import read_json_object
from nlpcli.files.plain_file import read_plain
from nlpcli.progress import SILENT, Progress
from nlpcli.records.row import Row
from nlpcli.runtime.onnx_engine import OnnxProgram
from nlpcli.runtime.openvino_engine import OpenVinoProgram
from nlpcli.runtime.programs import Program, ProgramForward
from nlpcli.tasks.protocol import Answer, Answers, Embeds, Recipe
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.vocab import check_rows

Engine = Literal["onnx", "openvino"]
Target = Literal["onnx", "openvino", "savedmodel"]

ENDINGS: dict[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "openvino": (".xml", ".bin"),
    "savedmodel": (),
}
STATE = "export.json"
DECODER = "decoder.safetensors"
SERVED = "1"  # where a SavedModel lies: TensorFlow Serving asks for a version
MOST_STAGES = 4
_TEXTS = {STATE, "config.yaml", "config.json", "task.json"}
_OWN = {*_TEXTS, DECODER, "vocab.txt", "tokenizer.json", "tokenizer_config.json"}


@dataclass(frozen=True)
class ExportDir:
    """An export on disk. ``stages``: programs it has; ``dimension``: of its vectors,
    None where it makes none."""

    path: Path
    config: RunConfig
    to: Target
    stages: int
    dimension: int | None

    @classmethod
    def open(cls, path: Path, recipe: str | None = None) -> ExportDir:
        """Read what an export says of itself.

        Raises NotFoundError for what is none or of another recipe, CheckpointError for
        a folder that is not as ``export`` writes it; links are not followed.
        """
        if not is_export(path):
            raise NotFoundError(f"{path}: expected an export, found no {STATE}")
        for file in sorted(path.iterdir()):
            if file.is_symlink():
                raise CheckpointError(f"{file}: expected no link in an export")
        state = read_json_object(path / STATE, CheckpointError)
        to, stages, dimension = (state.get(k) for k in ("to", "stages", "dimension"))
        if to not in [*ENDINGS]:  # a list, too, may stand there
            known = ", ".join(ENDINGS)
            raise CheckpointError(f"{path / STATE}: to: expected one of {known}")
        if not (type(stages) is int and 0 < stages <= MOST_STAGES):
            told = f"{path / STATE}: stages: expected 1 to {MOST_STAGES}"
            raise CheckpointError(told)
        if not (dimension is None or (type(dimension) is int and dimension > 0)):
            raise CheckpointError(f"{path / STATE}: dimension: expected a size or null")
        config = load_config(path / "config.yaml")
        if recipe is not None and config.recipe != recipe:
            raise NotFoundError(
                f"{path}: expected an export of {recipe}, found one of {config.recipe}"
            )
        return cls(path, config, to, stages, dimension)

    def programs(
        self,
        engine: Engine | None = None,
        precision: AskedPrecision | None = None,
        threads: int | None = None,
    ) -> list[Program]:
        """Its programs in an engine, None for the one that it was made for.

        Raises UsageError for an engine that does not read them, or a precision that the
        engine does not compute in.
        """
        if self.to == "savedmodel":
            raise UsageError(
                f"{self.path}: holds a SavedModel, which TensorFlow Serving runs: "
                "expected an export --to onnx or openvino"
            )
        chosen: Engine = engine or self.to
        if chosen == "onnx" and self.to == "openvino":
            raise UsageError(
                f"--engine onnx: {self.path} holds programs of OpenVINO (an export "
                "--to onnx runs in both)"
            )
        if precision is None or precision == "auto":
            precision = "float32"  # an int8 one stays what it is
        if precision != "float32" and (chosen, precision) != ("openvino", "bfloat16"):
            raise UsageError(
                f"--precision {precision}: the engine {chosen} computes in float32"
                + (" or bfloat16" if chosen == "openvino" else "")
            )
        files = [self.path / f"{stage}{ENDINGS[self.to][0]}" for stage in self.names]
        for file in files:
            if not file.is_file():
                raise NotFoundError(f"{file}: expected a program, found none")
        if chosen == "onnx":
            return [OnnxProgram(file, threads) for file in files]
        return [OpenVinoProgram(file, precision, threads) for file in files]

    @property
    def names(self) -> list[str]:
        """The names of its programs."""
        return stage_names(self.stages)


class ExportedRun:
    """An export, ready to answer, with any lines, again and again."""

    def __init__(
        self,
        export: ExportDir,
        engine: Engine | None = None,
        batch_size: int = 32,
        precision: AskedPrecision | None = None,
        sets: Sequence[str] = (),
    ) -> None:
        """Load an export. ``sets`` change how it answers: ``task.key=value``."""
        config = with_task_sets(export.config, sets)
        self.export = export
        self.recipe = _recipe(export.path, config)
        self.batch_size = batch_size
        programs = export.programs(engine, precision, config.runtime.threads)
        arrays = _arrays(export.path / DECODER)
        self.forward = ProgramForward(programs, arrays, str(export.path))

    def predict(self, lines: Sequence[Row | str]) -> list[Answer | NlpcliError]:
        """An answer for each line, in order; an error in the place of a bad one."""
        asked = ask_all(self.recipe, lines)
        return asked.answers(self.answer(asked.examples))

    def answer(self, examples: Sequence[Any]) -> list[Answer]:
        """An answer for each example, in order.

        Raises CheckpointError where programs and recipe do not fit each other.
        """
        try:
            return answer_all(self.recipe, self.forward, examples, self.batch_size)
        except (LookupError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.export.path}: its programs give no answers of "
                f"{self.export.config.recipe}: {type(error).__name__}: {error}"
            ) from error

    def vectors(self) -> ExportedVectors:
        """What makes vectors of texts; NotFoundError where it makes none."""
        dimension = self.export.dimension
        if not isinstance(self.recipe, Embeds) or dimension is None:
            raise NotFoundError(
                f"{self.export.path}: an export of {self.export.config.recipe}, which "
                "makes no sentence vectors"
            )
        return ExportedVectors(self, self.recipe.reader, dimension)


class ExportedVectors(TextVectors):
    """Vectors by the programs of an export."""

    def __init__(
        self, run: ExportedRun, reader: SentenceReader, dimension: int
    ) -> None:
        super().__init__(reader, run.forward, dimension, run.batch_size)
        self.export = run.export

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name the programs behind the vectors, and how
        texts are read for them."""
        digest = reading_digest(self.reader)
        for name in self.export.names:
            for ending in ENDINGS[self.export.to]:
                with (self.export.path / f"{name}{ending}").open("rb") as file:
                    digest.update(hashlib.file_digest(file, "blake2b").digest())
        return digest.hexdigest()


def evaluate_export(
    run: ExportedRun, gold: Gold, started: float, progress: Progress = SILENT
) -> dict[str, Any]:
    """The scores of an export, as ``evaluate_run`` has those of a run."""
    config = run.export.config
    scored = Scored(run.recipe, config, run.answer, run.export.path)
    return score(scored, gold, started, progress)


def is_export(path: Path) -> bool:
    """Whether a folder says that it is an export."""
    return (path / STATE).is_file()


def stage_names(stages: int) -> list[str]:
    """The names of a model's programs: one for each stage of it."""
    return ["model", *(f"stage_{number}" for number in range(2, stages + 1))]


def write_state(
    folder: Path, recipe: str, version: str, to: Target, **more: Any
) -> None:
    """Say that a folder is an export."""
    state = {"nlpcli": version, "recipe": recipe, "to": to, **more}
    (folder / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def is_ours(folder: Path) -> bool:
    """Whether a folder is empty or an export, with nothing else in it."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    known = {*_OWN, SERVED}
    for ending in (ending for own in ENDINGS.values() for ending in own):
        known |= {name + ending for name in stage_names(MOST_STAGES)}
    files = list(folder.iterdir())
    if any(file.is_symlink() or file.name not in known for file in files):
        return False
    if any(file.is_file() == (file.name == SERVED) for file in files):
        return False
    if not files:
        return True
    with suppress(NlpcliError):
        state = read_json_object(folder / STATE)
        return all(isinstance(state.get(k), str) for k in ("nlpcli", "recipe", "to"))
    return False


def _recipe(folder: Path, config: RunConfig) -> Recipe[Any]:
    origin = folder / "config.json"
    sizes = TransformerConfig.from_dict(
        read_json_object(origin, CheckpointError), str(origin)
    )
    tokenizer = load_tokenizer(folder)
    check_rows(tokenizer.vocab, sizes.vocab_size, str(folder))
    refuse_longer(sizes, str(folder), config.data.max_length)
    recipe = open_recipe(config, tokenizer, sizes)
    restore(recipe, folder / "task.json")
    if not isinstance(recipe, Answers):
        raise NotFoundError(f"{folder}: {config.recipe} does not predict")
    return recipe


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    """What a decoder needs beside the programs; nothing where there is no file."""
    if not path.exists():
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, np.ndarray] = load(read_plain(path))
        return arrays
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from error
