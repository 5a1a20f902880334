"""The ``task`` section of triple extraction's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option

from .form import TripleForm


@dataclass(frozen=True)
class TaskOptions:
    """How triples are found in the characters of a text."""

    model: Literal["gplinker", "casrel"] = option(
        "gplinker",
        "gplinker scores all spans and links at once; casrel finds subjects, then "
        "the objects of each",
    )
    schema: str | None = option(
        None,
        "file of predicates with subject and object types, as DuIE publishes it; null "
        "takes the predicates of the training data",
        path=True,
    )
    char_layers: int = option(
        1, "width-3 convolutions over the characters, under the heads", minimum=0
    )
    pointer_dim: int = option(
        64, "size of the vectors that gplinker compares", minimum=2
    )
    efficient: bool = option(
        True,
        "all labels of a gplinker head share their vectors and differ by what each "
        "end adds; false gives each its own",
    )
    start_threshold: float = option(
        0.6, "probability above which casrel begins a span", above=0, below=1
    )
    end_threshold: float = option(
        0.5, "probability above which casrel ends a span", above=0, below=1
    )

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        if self.pointer_dim % 2:
            yield (
                ["pointer_dim"],
                f"expected an even integer (rotary pairs), got {self.pointer_dim}",
            )

    def form(self) -> TripleForm:
        """What a line of data is; the schema is read when a line is."""
        return TripleForm(self.schema)
