"""What a folder or a file is: inspection with the families that nlpcli reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcli.backbones import recognise
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.inspect import Found, Inspection
from nlpcli.checkpoints.inspect import inspect as look
from nlpcli.checkpoints.rules import Plan, resolve
from nlpcli.checkpoints.source import Shape, Source
from nlpcli.engine.shapes import backbone_shapes, part_shapes, untold_blocks
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint


def inspect(path: str | Path) -> Inspection:
    """Look at a model folder, a run or a single file, as checkpoints.inspect says."""
    return look(path, _judge, [open_tf_checkpoint])


def _judge(config: Mapping[str, Any], source: Source) -> Found | None:
    guess = recognise(config, source.describe())
    if guess is None:
        return None
    family = guess.family
    known = None if family is None else _Known(family, config, source)
    return Found(guess.name, guess.reason, known, guess.lacks)


@dataclass
class _Known:
    """A family asked about one file."""

    family: Family
    config: Mapping[str, Any]
    source: Source

    @property
    def parts(self) -> Sequence[str]:
        return tuple(self.family.tables)

    def shapes(self, config: Mapping[str, Any]) -> dict[str, dict[str, Shape]]:
        sizes = self._sizes()
        beside = self.parts[1:]
        return {
            "backbone": backbone_shapes(self.family, sizes, self.source),
            **{part: part_shapes(self.family, sizes, part) for part in beside},
        }

    def sizes(self) -> tuple[int, int]:
        found = self._sizes()
        return found.num_hidden_layers, found.hidden_size

    def untold_blocks(self) -> str | None:
        return untold_blocks(self.family, self._sizes(), self.source, self.dialect)

    def plan(self, part: str, shapes: Mapping[str, Shape]) -> Plan:
        shares = self._sizes().shares if shapes else {}
        table = self.family.rules(part, self.dialect)
        return resolve(table, shapes, self.source, None, shares)

    @property
    def dialect(self) -> str:
        """Which of the family's names the file uses."""
        return self.family.dialect(self.source.describe(), self.source.dialect)

    def _sizes(self) -> TransformerConfig:
        if any(name.startswith("backbone/") for name in self.source.describe()):
            return TransformerConfig.from_dict(self.config, "its configuration")
        return self.family.read(self.config, "its configuration", self.dialect)
