"""The ``task`` section of classify's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option

from .form import ClassifyForm


@dataclass(frozen=True)
class TaskOptions:
    """How labels are read off a sentence."""

    pooling: Literal["auto", "cls", "mean", "pooler"] = option(
        "auto",
        "cls: the first token's state; mean: of all; pooler: the first's through it; "
        "auto: cls, of a model that looks back only mean",
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: an error counts the more, the rarer its label is"
    )
    top: int | None = option(
        None, "so many labels are told, likeliest first", minimum=1, flag=True
    )

    def form(self) -> ClassifyForm:
        """What a line of data is."""
        return ClassifyForm()
