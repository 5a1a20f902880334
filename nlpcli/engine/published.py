"""A published model, opened: its family, its sizes, its weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nlpcli.backbones import Guess, recognise
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rows import Rows
from nlpcli.checkpoints.rules import Plan, resolve, stream
from nlpcli.checkpoints.source import Shape, Source
from nlpcli.checkpoints.storage import config_file
from nlpcli.engine.shapes import backbone_shapes, untold_blocks
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import read_json_object
from nlpcli.runtime import weights
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint

_OURS = "backbone/"  # before each path, where a run keeps it
MOST_GAPS = 100  # lines of a message; twelve wrong layers are 192


@dataclass(frozen=True)
class Published:
    """A model folder; ``config`` are the sizes of the model that is made from it."""

    folder: Path
    source: Source
    family: Family
    config: TransformerConfig
    raw: Mapping[str, Any]

    @cached_property
    def dialect(self) -> str:
        """Which of the family's names the file uses."""
        return self.family.dialect(self.source.describe(), self.source.dialect)

    def with_config(self, config: TransformerConfig) -> Published:
        """The same weights for a model of other sizes."""
        return replace(self, config=config)

    def check_sizes(self) -> None:
        """Raise CheckpointError where the configuration is not that of the weights.

        To be asked before a model is built: a configuration may ask for any memory.
        """
        shapes = backbone_shapes(self.family, self.config, self.source)
        gaps = self.plan("backbone", shapes).gaps
        if gaps:
            raise CheckpointError(_some(gaps))

    def untold_blocks(self) -> str | None:
        """What to say of a file with more blocks than its configuration tells."""
        config = self.family.read(self.raw, self.source.label, self.dialect)
        return untold_blocks(self.family, config, self.source, self.dialect)

    def plan(
        self, part: str, shapes: Mapping[str, Shape], rows: Rows | None = None
    ) -> Plan:
        """Which tensors make a part's variables, and what stands against it."""
        table = self.family.rules(part, self.dialect)
        return resolve(table, shapes, self.source, rows, self.config.shares)

    def fill_backbone(
        self, backbone: Any, rows: Rows | None = None, others: Collection[str] = ()
    ) -> None:
        """Fill a backbone: all of it or a CheckpointError.

        ``others``: the file's names that layers beside it took; what is left over is
        told.
        """
        variables = backbone_variables(backbone)
        self._fill("backbone", variables, rows or Rows(), others)

    def fill_part(
        self, part: str, layer: Any, rows: Rows | None = None
    ) -> set[str] | None:
        """The published weights of a layer beside the backbone, where they are there.

        Returns the file's names that it took, None where it starts fresh.
        """
        variables = {v.path: v for v in layer.trainable_variables}
        if not variables:
            return set()
        if self.dialect not in self.family.tables.get(part, {}):
            return None
        shapes = {path: tuple(v.shape) for path, v in variables.items()}
        plan = self.plan(part, shapes, rows)
        if plan.gaps:
            return None
        self._fill(part, variables, rows or Rows(), plan.unused)
        return {name for _, names in plan.mapping.values() for name in names}

    def _fill(
        self,
        part: str,
        variables: Mapping[str, Any],
        rows: Rows,
        others: Collection[str],
    ) -> None:
        values = stream(
            self.family.tables[part][self.dialect],
            {path: tuple(v.shape) for path, v in variables.items()},
            self.source,
            kept_rows=rows.kept,
            compound_rows=rows.compound,
            others=others,
            shares=self.config.shares,
        )
        for path, blocks in values:
            weights.fill(variables[path], blocks)


def open_published(folder: Path) -> Published:
    """Open a model folder: its weights, its configuration, its family.

    Raises NotFoundError where one of them is missing, CheckpointError for a family that
    is not supported, or sizes that cannot be.
    """
    source = open_source(folder)
    path, raw = read_config_file(folder, source.dialect)
    guess = recognise(raw, source.describe()) or Guess("unknown", "nothing says")
    if guess.family is None:
        raise CheckpointError(
            f"{path}: expected a model of a family that nlpcli reads, found "
            f"{guess.name} ({guess.reason}): {guess.lacks}"
        )
    dialect = guess.family.dialect(source.describe(), source.dialect)
    dialects = guess.family.tables["backbone"]
    if dialect not in dialects:
        raise CheckpointError(
            f"{source.label}: expected names of {guess.family.name} in one of its "
            f"dialects ({', '.join(dialects)}), got those of {dialect}"
        )
    config = guess.family.read(raw, str(path), dialect)
    return Published(folder, source, guess.family, config, raw)


def read_config_file(folder: Path, dialect: str) -> tuple[Path, dict[str, Any]]:
    """The configuration of a model folder, "hf" or "tf", and where it stands.

    Raises NotFoundError when there is none, CheckpointError when it is not JSON.
    """
    path = config_file(folder, dialect)
    if path is None:
        raise NotFoundError(
            f"{folder}: expected config.json (Hugging Face) or bert_config.json "
            "(Google), found neither"
        )
    return path, read_json_object(path)


def open_source(folder: Path) -> Source:
    """The published weights of a folder, in any format that nlpcli reads."""
    return open_checkpoint(folder, openers=[open_tf_checkpoint])


def backbone_variables(backbone: Any) -> dict[str, Any]:
    """Variables by path, without the backbone's own name in front."""
    return {
        path.split("/", 1)[1]: variable
        for path, variable in weights.learnt_variables(backbone).items()
    }


def check_run_sizes(shapes: Mapping[str, Shape], source: Source) -> int:
    """How many numbers of a backbone a run's weights leave out.

    A run keeps our own paths, and no block where its model uses none. Raises
    CheckpointError where what it has is not what its configuration says.
    """
    found = {
        path.removeprefix(_OURS): shape
        for path, shape in source.describe().items()
        if path.startswith(_OURS)
    }
    missing = {path: shape for path, shape in shapes.items() if path not in found}
    gaps = [
        f"{source.label}: {_OURS}{path}: expected {shape}, file has {found[path]}"
        for path, shape in shapes.items()
        if found.get(path, shape) != shape
    ]
    if any("layer_" in path for path in found):
        gaps += [
            f"{source.label}: {_OURS}{path}: expected {shape}, file has none"
            for path, shape in missing.items()
        ]
    if gaps:
        raise CheckpointError(_some(gaps))
    return sum(map(math.prod, missing.values()))


def _some(gaps: list[str]) -> str:
    """Gaps as lines, the first ones of very many."""
    more = len(gaps) - MOST_GAPS
    return "\n".join(gaps[:MOST_GAPS] + ([f"... and {more} more"] if more > 0 else []))
