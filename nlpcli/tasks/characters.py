"""Tasks of characters: a tag for each, a score for each span or pair of spans.

Pieces become characters again (CharacterLift), so that answers have exact places
whatever the vocabulary is; long texts are cut in windows that overlap.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.records.form import E
from nlpcli.tasks.protocol import Answers, EncodedWindow, Recipe, Setup
from nlpcli.text.batching import Features, Field
from nlpcli.text.characters import align_characters
from nlpcli.text.tokenizers.encoding import Encoding
from nlpcli.text.windows import cut_windows

if TYPE_CHECKING:
    from nlpcli.heads.task_model import TaskModel
    from nlpcli.layers.characters import CharacterLift

Lift = Callable[[], "CharacterLift"]


class Characters(Recipe[E], Answers[E]):
    """A recipe hands in what its gold is, its heads, and how their logits are read.

    Its options have ``char_layers``. ``own_fields``: how its targets pad. ``mark``:
    whether the encoder reads a mark before the text that covers no character.
    """

    mark = False  # as the runs of 0.1 learnt

    def __init__(self, setup: Setup, own_fields: Mapping[str, Field]) -> None:
        super().__init__(setup)
        pad = self.tokenizer.vocab.pad_id
        self.fields = {
            "token_ids": Field(("tokens",), pad, tokens=True),
            "padding_mask": Field(("tokens",), False),
            "char_ids": Field(("characters",), pad, tokens=True),
            "char_to_token": Field(("characters",)),
            "char_places": Field(("characters",)),
            "char_mask": Field(("characters",), False),
            **own_fields,
        }

    @abstractmethod
    def heads(self, backbone: Any, lift: Lift) -> TaskModel:
        """The model; ``lift`` makes its bridge to characters, once."""

    def encode(self, examples: Sequence[E], gold: bool) -> list[list[EncodedWindow]]:
        texts = [example.text for example in examples]
        if self.setup.config.tokenizer.pieces == "characters":
            encodings = [self.tokenizer.encode_characters(text) for text in texts]
        else:
            encodings = self.tokenizer.encode_batch(texts)
        return [
            list(self._windows(text, encoding))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def build(self, backbone: Any) -> TaskModel:
        from nlpcli.layers.characters import CharacterLift

        sizes, layers = backbone.config, self.options.char_layers
        dropout = sizes.hidden_dropout_prob
        return self.heads(
            backbone,
            lambda: CharacterLift(sizes.hidden_size, layers, dropout, sizes.width),
        )

    def _windows(self, text: str, encoding: Encoding) -> Iterator[EncodedWindow]:
        if not text or text.isspace():
            return
        pieces, places = align_characters(encoding.offsets, len(text))
        char_ids = self.tokenizer.character_ids(text)
        vocab, data = self.tokenizer.vocab, self.setup.config.data
        longest = data.max_length
        most = longest - 2, 2 * longest
        begin = vocab.require("begin")
        for window in cut_windows(pieces, *most, data.stride, text, self.mark):
            inside = slice(window.start, window.end)
            own = encoding.token_ids[window.first_token : window.last_token]
            token_ids = np.concatenate([[begin], own, [vocab.end_id]])
            covering = np.maximum(pieces[inside] - window.first_token + 1, 0)
            features: Features = {
                "token_ids": token_ids.astype(np.int32),
                "padding_mask": np.ones(len(token_ids), bool),
                "char_ids": char_ids[inside].astype(np.int32),
                "char_to_token": covering.astype(np.int32),
                "char_places": places[inside].astype(np.int32),
                "char_mask": np.ones(window.end - window.start, bool),
            }
            yield EncodedWindow(features, window)
