"""The ``task`` section of NER's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option

from .form import NerForm


@dataclass(frozen=True)
class TaskOptions:
    """How entities are found in the characters of a text."""

    head: Literal["crf", "global-pointer", "softmax"] = option(
        "crf",
        "crf tags each character; global-pointer scores each span; softmax tags each "
        "piece by itself, which transformers can answer too",
    )
    nested: bool = option(
        False, "keep entities that lie inside others; needs head: global-pointer"
    )
    char_layers: int = option(
        1,
        "width-3 convolutions over the characters, under the head; softmax has none",
        minimum=0,
    )
    pointer_dim: int = option(
        64, "size of the start and end vectors of global-pointer", minimum=2
    )

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        if self.nested and self.head != "global-pointer":
            yield (
                ["nested", "head"],
                f"expected false, since task.head is {self.head} and only "
                "global-pointer finds nested entities",
            )
        if self.pointer_dim % 2:
            yield (
                ["pointer_dim"],
                f"expected an even integer (rotary pairs), got {self.pointer_dim}",
            )

    def form(self) -> NerForm:
        """What a line of data is; overlapping entities are data for spans alone."""
        return NerForm(nested=self.head == "global-pointer")
