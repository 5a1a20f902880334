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
    ("roberta", r"^roberta\.", "names begin with 'roberta.' (BPE, not Chinese wwm)"),
    ("uer", r"^embedding\.word\.embedding\.weight", "UER's names; convert it first"),
    ("keras", r"\.ATTRIBUTES/VARIABLE_VALUE$", "a TensorFlow 2 object checkpoint"),
)


@dataclass(frozen=True)
class Guess:
    """What a model is, and what made us think so; no family where it is not read.

    lacks: what it would need to be read.
    """

    name: str
    reason: str
    family: Family | None = None
    lacks: str = "which is not supported yet"


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
    for family in all_families():
        reason = family.claims(config, names) or family.marked(names)
        if reason is not None:
            named = _by_type(config, family) or _unsaid(config, family, names)
            return named or Guess(family.name, reason, family)
    for name, pattern, reason in _OTHERS:
        if any(re.search(pattern, tensor) for tensor in names):
            return Guess(name, reason)
    given = config.get("model_type")
    if not isinstance(given, str):
        return None
    told = family_of(given)
    return Guess(told.name if told else short(given), "its configuration says so", told)


def _by_type(config: Mapping[str, Any], family: Family) -> Guess | None:
    """A family that uses BERT's names and that its configuration names."""
    given = config.get("model_type")
    if family.name != "bert" or not isinstance(given, str):
        return None
    if given in family.model_types:
        return None
    told = family_of(given)
    reason = "BERT's names, but its configuration says so"
    return Guess(told.name if told else short(given), reason, told)


def _unsaid(
    config: Mapping[str, Any], family: Family, names: Collection[str]
) -> Guess | None:
    """An encoder of BERT's names that has no positions, and no word of others."""
    if family.name != "bert" or config.get("model_type") is not None:
        return None
    has_words = any("word_embeddings" in name for name in names)
    if not has_words or any("position_embeddings" in name for name in names):
        return None
    return Guess(
        "nezha-or-roformer",
        "BERT's names without a table of positions",
        lacks='whose configuration has to say which: "model_type": "nezha" or '
        '"model_type": "roformer"',
    )
