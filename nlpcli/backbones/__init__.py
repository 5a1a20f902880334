"""Families of published models, found by folder: each file of ``families`` holds one.

This is the only module that reaches for a family.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from nlpcli.backbones.family import Family
from nlpcli.files.json_file import short

# Names of files that are known and not read, and what to say.
_OTHERS = (
    ("t5", r"(en|de)coder[./]block[._/]\d+[./]layer", "T5's block names"),
    ("uer", r"^embedding\.word\.embedding\.weight", "UER's names; convert it first"),
    ("keras", r"\.ATTRIBUTES/VARIABLE_VALUE$", "a TensorFlow 2 object checkpoint"),
)
_LAST = 100  # the rank of BERT, whose names its children have too


@dataclass(frozen=True)
class Guess:
    """What a model is, and what made us think so; no family where it is not read, and
    what it ``lacks`` for that."""

    name: str
    reason: str
    family: Family | None = None
    lacks: str = "not supported yet"


@cache
def all_families() -> tuple[Family, ...]:
    """All families, those first whose marks are the most particular."""
    folder = Path(__file__).parent / "families"
    found = [
        import_module(f"{__name__}.families.{path.stem}").FAMILY
        for path in sorted(folder.glob("*.py"))
        if path.stem != "__init__"
    ]
    return tuple(sorted(found, key=lambda family: family.rank))


def family_of(model_type: str) -> Family | None:
    """The family that reads a ``model_type``; None where none does."""
    return next((f for f in all_families() if model_type in f.model_types), None)


def recognise(config: Mapping[str, Any], names: Collection[str]) -> Guess | None:
    """The family of a model by its files' names and its configuration.

    What the names say counts more; None when neither says anything.
    """
    found = [f for f in all_families() if f.rank < _LAST]
    for family in found:
        reason = family.claims(config, names) or family.marked(names)
        if reason is not None:
            return Guess(family.name, reason, family)
    for name, pattern, reason in _OTHERS:
        if any(re.search(pattern, tensor) for tensor in names):
            return Guess(name, reason)
    for family in all_families()[len(found) :]:
        reason = family.marked(names)
        if reason is not None:
            return _child(config, names) or Guess(family.name, reason, family)
    given = config.get("model_type")
    if not isinstance(given, str):
        return None
    told = family_of(given)
    return Guess(told.name if told else short(given), "its configuration says so", told)


def _child(config: Mapping[str, Any], names: Collection[str]) -> Guess | None:
    """A family that has BERT's names and differs in what is not there."""
    has_words = any("word_embeddings" in name for name in names)
    if has_words and not any("position_embeddings" in name for name in names):
        return Guess(
            "nezha-or-roformer",
            "BERT's names without positions",
            lacks="its configuration has to say which: "
            '"model_type": "nezha" or "model_type": "roformer"',
        )
    given = config.get("model_type")
    if not isinstance(given, str) or given == "bert":
        return None
    told = family_of(given)
    reason = "BERT's names, but its configuration says so"
    return Guess(told.name if told else short(given), reason, told)
