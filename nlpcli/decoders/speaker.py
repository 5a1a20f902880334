"""What stands between the loop that decodes and the model that says the next token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Speaker(Protocol):
    """A model that writes ``width`` hypotheses to each prompt of a batch.

    The loop knows hypotheses, rules and ends; segments, slots of caches and what is
    looked at belong to the speaker. ``memory`` is any structure of tensors.
    """

    def begin(self, prompt: Mapping[str, Any]) -> tuple[Any, Any]:
        """Read the prompts: logits of the first token, (batch, vocabulary) float32,
        and the memory. Shapes may be dynamic here."""

    def over(self, prompt: Mapping[str, Any]) -> Extend:
        """How answers to these prompts grow; static shapes."""

    def follow(self, memory: Any, parents: Any) -> Any:
        """The memory in which each hypothesis has the past of its parent: (batch,
        width) indices."""


class Extend(Protocol):
    """One more token for each hypothesis."""

    def __call__(
        self, memory: Any, tokens: Any, step: Any, places: Any
    ) -> tuple[Any, Any]:
        """Logits of the next one, (batch, width, vocabulary) float32, and the memory.

        tokens: (batch, width), the ``step``-th of each answer, from 0; places: (batch,)
        the same number, but of a row that is done never beyond its own limit.
        """
