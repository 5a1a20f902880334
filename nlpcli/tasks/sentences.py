"""Tasks of sentences: a label for a text, or for a pair of texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from nlpcli.records.form import E
from nlpcli.tasks.protocol import Answers, EncodedWindow, Recipe, Setup
from nlpcli.text.batching import Field
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.sequences import Ids, lay_out
from nlpcli.text.windows import whole_window


class Sentences(Recipe[E], Answers[E]):
    """A recipe says which texts an example has; heads and decoding are its own.

    What is longer than data.max_length is cut at the end; of a pair the longer one
    loses first. ``own_fields``: how its targets pad.
    """

    def __init__(
        self, setup: Setup, own_fields: Mapping[str, Field] | None = None
    ) -> None:
        super().__init__(setup)
        config = setup.config
        self.reader = SentenceReader(
            self.tokenizer,
            config.data.max_length,
            characters=config.tokenizer.pieces == "characters",
        )
        self.fields = {
            **self.reader.fields(),
            "segment_ids": Field(("tokens",)),
            **(own_fields or {}),
        }

    @abstractmethod
    def texts(self, example: E) -> tuple[str, ...]:
        """The text of an example, or both of a pair."""

    def encode(self, examples: Sequence[E], gold: bool) -> list[list[EncodedWindow]]:
        """[CLS] a [SEP] (b [SEP]) as the one window; none where all texts are blank."""
        texts = [self.texts(example) for example in examples]
        read = iter(self.reader.pieces([t for own in texts for t in own], None))
        return [
            self._windows(own, [next(read) for _ in own], len(example.text))
            for example, own in zip(examples, texts, strict=True)
        ]

    def _windows(
        self, texts: Sequence[str], parts: Sequence[Ids], length: int
    ) -> list[EncodedWindow]:
        if not any(text.strip() for text in texts):
            return []
        room = self.reader.longest - len(parts) - 1
        ids, owners = lay_out(self.tokenizer.vocab, cut_longest(parts, room))
        features = {
            "token_ids": ids,
            "segment_ids": np.maximum(owners, 0),
            "padding_mask": np.ones(len(ids), bool),
        }
        return [EncodedWindow(features, whole_window(length))]


def cut_longest(parts: Sequence[Ids], room: int) -> list[Ids]:
    """One or two sequences with at most ``room`` tokens in all.

    As BERT cuts a pair: the longer one loses its end first, of equals the second.
    """
    if len(parts) == 1:
        return [parts[0][:room]]
    first, second = parts
    return [
        first[: max(room - len(second), room - room // 2)],
        second[: max(room - len(first), room // 2)],
    ]
