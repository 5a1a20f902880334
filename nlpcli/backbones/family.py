"""What a family of published models is: the one door for all that is done with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpcli.backbones.config import TransformerConfig
from nlpcli.checkpoints.table import RuleTable

Raw = Mapping[str, Any]


def stack(config: TransformerConfig) -> Any:
    """One stack of blocks; what builds a model is imported when one is built."""
    from nlpcli.backbones.transformer import Transformer

    return Transformer(config)


@dataclass(frozen=True)
class Family:
    """How a family is recognised, read, built, named and written.

    model_types: those of config.json that it reads. marks: patterns of names in its
    files, and what to say of them. read: the raw configuration, its file and the
    dialect of the weights -> sizes and parts; it raises CheckpointError. tables: part
    ("backbone", "pooler", "mlm" ...) -> dialect -> rules. publish: sizes and the parts
    that are there -> a config.json that transformers reads. rank: who is asked first,
    since BERT's names are among those of its children. claims: a further way to
    recognise it, which gives a reason or None. dialect: which names a file uses, from
    its names and its container's dialect. written: the dialect of a file for
    transformers, by the sizes. buffers: constants that transformers wants to find in a
    file. foreign: why transformers cannot load it, None where it can. refuses: why it
    cannot write (an attention that is not its own). unlike: ends of names of
    transformers' classes that it has not, or whose head is not as BERT's.
    """

    name: str
    model_types: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    read: Callable[[Raw, str, str], TransformerConfig]
    tables: Mapping[str, Mapping[str, RuleTable]]
    publish: Callable[[TransformerConfig, Collection[str]], dict[str, Any]]
    rank: int = 0
    claims: Callable[[Raw, Collection[str]], str | None] = lambda raw, names: None
    dialect: Callable[[Collection[str], str], str] = lambda names, given: given
    written: Callable[[TransformerConfig], str] = lambda config: "hf"
    build: Callable[[TransformerConfig], Any] = stack
    buffers: Callable[[TransformerConfig], Mapping[str, np.ndarray]] = lambda config: {}
    foreign: str | None = None
    refuses: str | None = None
    unlike: tuple[str, ...] = ()

    def rules(self, part: str, dialect: str) -> RuleTable:
        """The names of a part in a dialect; none where no file of it has the part."""
        return self.tables[part].get(dialect, RuleTable(()))

    def marked(self, names: Collection[str]) -> str | None:
        """What in the names of a file speaks for the family; None for nothing."""
        for pattern, reason in self.marks:
            if any(re.search(pattern, name) for name in names):
                return reason
        return None
