"""The ``task`` section of simbert's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option

from .form import SimilarityForm


@dataclass(frozen=True)
class TaskOptions:
    """How sentence vectors are learnt, and read off the encoder."""

    objective: Literal["simbert", "simcse", "simcse-supervised"] = option(
        "simbert",
        "simbert: writes each synonym from the other, and finds it in the batch; "
        "simcse: finds the same sentence under another dropout; simcse-supervised: "
        "finds a synonym among those of others and hard negatives",
    )
    pooling: Literal["auto", "cls", "pooler", "mean"] = option(
        "auto",
        "cls: the first token; pooler: a linear layer over it; mean: of all tokens; "
        "auto: cls, of a model that looks back only mean",
    )
    whitening: int | None = option(
        None,
        "numbers in a vector after whitening fitted to the training texts; null is "
        "none",
        minimum=1,
    )
    scale: float = option(
        30.0, "cosines are multiplied by it in the loss; SimCSE takes 20", above=0
    )
    prefix: str = option("", 'stands before each text; E5 wants "query: "')
    candidates: int = option(
        100, "texts sampled for a text and ranked by similarity", minimum=1
    )

    def form(self) -> SimilarityForm:
        """What a line of data is."""
        return SimilarityForm()
